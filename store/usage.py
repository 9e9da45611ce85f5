"""Usage accounting: seconds and tokens per person and day, and storage per person. Numbers, no texts, no titles.

What it does: `per_day` adds up ended turns (the column `stats`, see turns/end.py), `stored_per_person` rows and bytes
in SQL. Days are those of the server's clock. Waiting is the time from the begin of a turn to its claim, and in the
engine until a lane was free.
What it refuses to know: who may read this (web/admin/dashboard.py shows it to admins), and files beside the database.
To add a figure of a turn: a line in SPENT and a field of Spent; web/admin/activity.py and its template show it.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, case, cast, func, literal, select
from sqlalchemy.orm import Session

from store.db import Database
from store.messages import clock
from store.models import ENDED, Alternative, Chat, Message, Picture, Turn, User

SPENT = {
    "wake_s": ("wake_s",),
    "read_s": ("read_s",),
    "write_s": ("write_s",),
    "tokens_read": ("n_evaluated",),
    "tokens_written": ("n_generated",),
    "tokens_reused": ("n_kept", "n_shared", "n_restored"),
}
"""Fields of Spent and the names in turns.stats that make them up."""


@dataclass(frozen=True)
class Spent:
    """Cost of some turns. `tokens_reused` were in cells or blocks (cache hits) and not read again."""

    turns: int = 0
    wait_s: float = 0.0
    wake_s: float = 0.0
    read_s: float = 0.0
    write_s: float = 0.0
    tokens_read: float = 0.0
    tokens_written: float = 0.0
    tokens_reused: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        both = (getattr(self, each.name) + getattr(other, each.name) for each in fields(Spent))
        return Spent(*both)

    @property
    def busy_s(self) -> float:
        """Seconds in which the GPU worked for these turns."""
        return self.wake_s + self.read_s + self.write_s


@dataclass(frozen=True)
class Usage:
    """`days` are the first moments of the days, oldest first; for each person (by id) a Spent for every day."""

    days: tuple[dt.date, ...]
    people: dict[str, tuple[Spent, ...]]

    @property
    def by_day(self) -> tuple[Spent, ...]:
        """The sum over all people."""
        return tuple(sum(day, Spent()) for day in zip(*self.people.values(), strict=True)) or (Spent(),) * len(
            self.days
        )


@dataclass(frozen=True)
class StoredAmount:
    """What a person has in the database, in rows and bytes."""

    chats: int = 0
    messages: int = 0
    text_bytes: int = 0
    token_bytes: int = 0
    picture_bytes: int = 0

    @property
    def n_bytes(self) -> int:
        """Texts, their tokens and pictures together."""
        return self.text_bytes + self.token_bytes + self.picture_bytes


def per_day(db: Database, n_days: int = 7, now: float | None = None) -> Usage:
    """The last `n_days`, today included."""
    today = dt.datetime.fromtimestamp(clock(now)).date()
    days = tuple(today - dt.timedelta(days=back) for back in reversed(range(n_days)))
    starts = [dt.datetime.combine(day, dt.time()).timestamp() for day in days]
    earlier = [(Turn.ended_at < start, number) for number, start in enumerate(starts[1:])]
    day: ColumnElement[Any] = case(*earlier, else_=n_days - 1) if earlier else literal(0)
    waited = func.coalesce(Turn.started_at, Turn.ended_at) - Turn.created_at
    sums = [func.count(), func.sum(waited + _stat("wait_s"))]
    sums += [func.sum(reduce(add, map(_stat, names))) for names in SPENT.values()]
    wanted = select(Turn.owner_id, day.label("day"), *sums).group_by(Turn.owner_id, "day")
    ended = Turn.ended_at >= starts[0], Turn.state.in_(ENDED)
    people: dict[str, list[Spent]] = defaultdict(lambda: [Spent()] * n_days)
    with db.reading() as session:
        for owner, number, *found in session.execute(wanted.where(*ended)):
            people[owner][number] = Spent(int(found[0]), *(float(one or 0) for one in found[1:]))
    return Usage(days, {owner: tuple(spent) for owner, spent in people.items()})


def stored_per_person(db: Database) -> dict[str, StoredAmount]:
    """What each person has stored, by id; every person is in it."""
    own_chats = select(Chat.owner_id, func.count()).where(Chat.deleted_at.is_(None)).group_by(Chat.owner_id)
    pictures = select(Picture.owner_id, func.sum(func.length(Picture.data))).group_by(Picture.owner_id)
    with db.reading() as session:
        written = _written(session)
        n_chats: dict[str, int] = {owner: int(number) for owner, number in session.execute(own_chats)}
        drawn: dict[str, int] = {owner: int(number) for owner, number in session.execute(pictures)}
        return {
            owner: StoredAmount(n_chats.get(owner, 0), *written.get(owner, (0, 0, 0)), drawn.get(owner, 0))
            for owner in session.scalars(select(User.id).where(User.deleted_at.is_(None)))
        }


def _written(session: Session) -> dict[str, tuple[int, int, int]]:
    """For each owner of chats: messages, bytes of all alternatives, bytes of their tokens."""
    postgres = session.get_bind().dialect.name != "sqlite"
    text_bytes = func.octet_length(Alternative.text) if postgres else func.length(cast(Alternative.text, LargeBinary))
    texts = (
        select(
            Chat.owner_id,
            func.count(Message.id.distinct()),
            func.sum(text_bytes),
            func.sum(func.coalesce(func.length(Alternative.tokens), 0)),
        )
        .select_from(Alternative)
        .join(Message, Message.id == Alternative.message_id)
        .join(Chat, Chat.id == Message.chat_id)
        .group_by(Chat.owner_id)
    )
    return {owner: (int(n), int(texts), int(tokens)) for owner, n, texts, tokens in session.execute(texts)}


def _stat(name: str) -> ColumnElement[float]:
    """A number of turns.stats; 0 where a turn has none."""
    return func.coalesce(Turn.stats[name].as_float(), 0.0)
