"""Installation statistics: how many people, chats, turns and bytes there are. No names and no texts.

What it refuses to know: who reads them (`inglenook stats`, /metrics), and files beside the database.
To add a number: a field of InstallationStats, its query in `count`, a line in deploy/cli/stats.py.
"""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, Select, func, select, text

from store.db import Database
from store.models import UNFINISHED, Alternative, Character, Chat, Invite, Message, Picture, Turn, User

DAY_S = 86_400.0
_UNFINISHED = select(Turn.state, func.count()).where(Turn.state.in_(UNFINISHED)).group_by(Turn.state)


@dataclass(frozen=True)
class InstallationStats:
    """`turns` counts the states of the turns of the last `days`, `unfinished` those of now; bytes are in SQL."""

    people: dict[str, int]
    open_invites: int
    own_characters: int
    chats: int
    messages: int
    wordings: int
    pictures: int
    picture_bytes: int
    database_bytes: int
    turns: dict[str, int]
    unfinished: dict[str, int]
    active_people: int


def count(db: Database, days: float = 1.0, now: float | None = None) -> InstallationStats:
    """All statistics, from one snapshot."""
    now = time.time() if now is None else now
    since = now - days * DAY_S
    open_invite = (Invite.used_at.is_(None), Invite.revoked_at.is_(None), Invite.expires_at > now)
    recent = Turn.created_at >= since
    by_role = select(User.role, func.count()).where(User.deleted_at.is_(None))
    with db.snapshot() as connection:
        return InstallationStats(
            people=_pairs(connection, by_role.group_by(User.role)),
            open_invites=_number(connection, select(func.count(Invite.id)).where(*open_invite)),
            own_characters=_number(
                connection,
                select(func.count(Character.id)).where(Character.owner_id.is_not(None), Character.deleted_at.is_(None)),
            ),
            chats=_number(connection, select(func.count(Chat.id)).where(Chat.deleted_at.is_(None))),
            messages=_number(connection, select(func.count(Message.id)).where(Message.deleted_at.is_(None))),
            wordings=_number(connection, select(func.count(Alternative.id))),
            pictures=_number(connection, select(func.count(Picture.id))),
            picture_bytes=_number(connection, select(func.sum(func.length(Picture.data)))),
            database_bytes=_database_bytes(connection),
            turns=_pairs(connection, select(Turn.state, func.count()).where(recent).group_by(Turn.state)),
            unfinished=_pairs(connection, _UNFINISHED),
            active_people=_number(connection, select(func.count(Turn.owner_id.distinct())).where(recent)),
        )


def unfinished(db: Database) -> dict[str, int]:
    """How many turns are in each of the states before the end, now."""
    with db.snapshot() as connection:
        return _pairs(connection, _UNFINISHED)


def _number(connection: Connection, statement: Select[int]) -> int:
    return int(connection.scalar(statement) or 0)


def _pairs(connection: Connection, statement: Select[str, int]) -> dict[str, int]:
    return {name: int(number) for name, number in connection.execute(statement)}


def _database_bytes(connection: Connection) -> int:
    if connection.dialect.name != "sqlite":
        return int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    pages, size = (connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("page_count", "page_size"))
    return int(pages or 0) * int(size or 0)
