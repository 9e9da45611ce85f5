"""What holds for the whole house: an announcement that everybody reads, and whether the queue is paused.

What it does: keeps each as one row of the table `house`, so every process sees the same, and it outlives Redis and
every restart. A pause counts inside the transactions that queue and claim turns (turns/lifecycle.py): nothing slips
through. What it refuses to know: who may change it (web/admin/dashboard.py), and what becomes of the turns
(broker/queue.py). To add a fact: a name here, a function that writes it, and a field of HouseFacts.
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
    """A line of plain text. A new wording has a new id, so that who has put the old one away sees it."""

    id: str
    text: str
    at: float


@dataclass(frozen=True)
class SiteState:
    """All of them, of one moment. `paused_since` is None while the queue moves."""

    paused_since: float | None = None
    announcement: Announcement | None = None


def read(db: Database) -> SiteState:
    """What holds now."""
    with db.reading() as session:
        paused, told = session.get(SiteStateRow, PAUSE), session.get(SiteStateRow, ANNOUNCEMENT)
        return SiteState(
            paused_since=paused.updated_at if paused else None,
            announcement=Announcement(told.value["id"], told.value["text"], told.updated_at) if told else None,
        )


def is_paused(session: Session) -> bool:
    """Whether the queue is paused, in the caller's transaction."""
    return session.get(SiteStateRow, PAUSE) is not None


def not_paused() -> ColumnElement[bool]:
    """The same as a condition, for statements that must not see another moment."""
    return ~select(SiteStateRow.name).where(SiteStateRow.name == PAUSE).exists()


def announce(db: Database, text: str, now: float | None = None) -> Announcement | None:
    """Tell everybody one line; an empty one takes the last one down. Raises Refused "announcement_too_long"."""
    text = " ".join(texts.clean(text).split())
    if len(text) > MAX_ANNOUNCEMENT:
        raise Refused("announcement_too_long")
    with db.session() as session:
        _drop(session, ANNOUNCEMENT)
        if not text:
            return None
        told = Announcement(uuid.uuid4().hex, text, clock(now))
        session.add(SiteStateRow(name=ANNOUNCEMENT, value={"id": told.id, "text": text}, updated_at=told.at))
        return told


def set_pause(db: Database, paused: bool, now: float | None = None) -> bool:
    """Note that the queue is paused, or moves again; whether that is news. broker/queue.py has what follows from it."""
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
