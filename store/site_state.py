"""State of the whole installation: the announcement on every page, and whether the queue is paused.

What it does: keeps each fact as one row of the table `house`, so that all processes see the same and it survives Redis
and restarts. A pause is checked inside the transactions that queue and claim turns (turns/lifecycle.py): no turn can
begin between check and pause.
What it refuses to know: who may change it (web/admin/dashboard.py), and what becomes of the turns (broker/queue.py).
To add a fact: its name here, a function that writes it, a field of SiteState that `read` fills; web/admin/dashboard.py
lets admins change it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from store import texts
from store.db import Database
from store.errors import Refused
from store.messages import clock
from store.models import SiteStateRow

PAUSE, ANNOUNCEMENT = "pause", "announcement"
MAX_ANNOUNCEMENT = 280


@dataclass(frozen=True)
class Announcement:
    """A line of plain text. A changed text has a new id, so that people who closed the old one see it."""

    id: str
    text: str
    at: float


@dataclass(frozen=True)
class SiteState:
    """All facts, of one moment. `paused_since` is None while the queue moves."""

    paused_since: float | None = None
    announcement: Announcement | None = None


def read(db: Database) -> SiteState:
    """The facts now."""
    with db.reading() as session:
        pause, announcement = session.get(SiteStateRow, PAUSE), session.get(SiteStateRow, ANNOUNCEMENT)
        return SiteState(
            paused_since=pause.updated_at if pause else None,
            announcement=_announcement_of(announcement) if announcement else None,
        )


def is_paused(session: Session) -> bool:
    """Whether the queue is paused, in the caller's transaction."""
    return session.get(SiteStateRow, PAUSE) is not None


def not_paused() -> ColumnElement[bool]:
    """The opposite as an SQL condition, for statements that must check it at the same moment."""
    return ~select(SiteStateRow.name).where(SiteStateRow.name == PAUSE).exists()


def announce(db: Database, text: str, now: float | None = None) -> Announcement | None:
    """Set the announcement; an empty text removes it. Raises Refused "announcement_too_long"."""
    text = " ".join(texts.clean(text).split())
    if len(text) > MAX_ANNOUNCEMENT:
        raise Refused("announcement_too_long")
    with db.session() as session:
        _drop(session, ANNOUNCEMENT)
        if not text:
            return None
        row = SiteStateRow(name=ANNOUNCEMENT, value={"id": uuid.uuid4().hex, "text": text}, updated_at=clock(now))
        session.add(row)
        return _announcement_of(row)


def set_pause(db: Database, paused: bool, now: float | None = None) -> bool:
    """Write whether the queue is paused; returns whether that changed. broker/queue.py does the rest."""
    with db.session() as session:
        if is_paused(session) == paused:
            return False
        if paused:
            session.add(SiteStateRow(name=PAUSE, value={}, updated_at=clock(now)))
        else:
            _drop(session, PAUSE)
        return True


def _drop(session: Session, name: str) -> None:
    row = session.get(SiteStateRow, name)
    if row is not None:
        session.delete(row)
        session.flush()


def _announcement_of(row: SiteStateRow) -> Announcement:
    return Announcement(row.value["id"], row.value["text"], row.updated_at)
