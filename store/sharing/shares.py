"""Shares: a person shares an own character or lorebook with nobody, with chosen people, or with the whole house.

What it does: every function is one transaction. Only the owner of a thing shares it; what is withdrawn stays, as it is
now, in the stories that have it (keepsakes.py). Who is not grown up shares with adults, one by one. How much one person
may share is bounded: everybody's lists show it.
What it refuses to know: who may see what (visibility.py) and what people ask for (wishes.py).
To share another kind of thing: its columns `owner_id`, `shared`, `rating`, `deleted_at`; a column of it in `Share`
(tables.py), its line in KINDS, in visibility.py and in keepsakes.py; its page shows templates/_sharing.html.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from store import quotas
from store.db import Database
from store.errors import NotFound, Refused
from store.messages import clock, new_id
from store.models import Character, LorebookRow, Share, User
from store.sharing import keepsakes
from store.views import UserView, user_view
from store.visibility import ADULTS, AUDIENCES, HOUSE, PEOPLE, PRIVATE, Shareable, allowed_ratings

KINDS: Mapping[str, Shareable] = {"character": Character, "lorebook": LorebookRow}
MAX_SHARED, MAX_SHARED_MB = 100, 8  # of one kind by one person
MAX_PEOPLE = 500


@dataclass(frozen=True)
class Sharing:
    """Who may see a thing beside its owner: the audience, and the ids of the chosen people."""

    audience: str = PRIVATE
    people: frozenset[str] = frozenset()


def read(db: Database, owner_id: str, kind: str, thing_id: str) -> Sharing:
    """With whom a thing of this person is shared. Raises NotFound."""
    with db.reading() as session:
        row = own_thing(session, owner_id, KINDS[kind], thing_id)
        people = session.scalars(select(Share.person_id).where(_column(KINDS[kind]) == thing_id))
        return Sharing(row.shared, frozenset(people))


def share(
    db: Database,
    user: UserView,
    kind: str,
    thing_id: str,
    audience: str,
    people: Collection[str] = (),
    rating: str | None = None,
    now: float | None = None,
) -> None:
    """Share an own thing with exactly these from now on; who saw it and does not any more keeps it in their stories.

    Raises NotFound (the thing or a person), Refused "bad_audience", "bad_rating", "share_with_whom",
    "share_with_adults", "too_many_shared".
    """
    table, chosen = KINDS[kind], frozenset(people) if audience == PEOPLE else frozenset()
    _check(user, audience, chosen, rating)
    with db.reading() as session:
        sizes = quotas.json_sizes(session, user.id, table)
    with db.session() as session:
        row = own_thing(session, user.id, table, thing_id)
        _refuse_readers(session, user, chosen)
        row.shared, row.rating = audience, rating or row.rating
        _set_people(session, row, chosen, clock(now))
        session.flush()
        if audience != PRIVATE:
            refuse_too_many(session, user.id, table, sizes)
    keepsakes.keep(db, table, thing_id, now)


def add_person(session: Session, row: Character | LorebookRow, person_id: str, now: float) -> None:
    """Share with one more person, in the caller's transaction."""
    if row.shared == HOUSE:
        return
    known = frozenset(session.scalars(select(Share.person_id).where(_column(type(row)) == row.id)))
    row.shared = PEOPLE
    _set_people(session, row, known | {person_id}, now)


def withdraw(session: Session, row: Character | LorebookRow) -> None:
    """Share with nobody any more, in the caller's transaction; `keepsakes.keep` comes after it."""
    row.shared = PRIVATE
    _set_people(session, row, frozenset(), 0.0)


def readers(db: Database, user: UserView) -> tuple[UserView, ...]:
    """The people with whom this person may share, by name."""
    wanted = select(User).where(User.deleted_at.is_(None), User.id != user.id).order_by(User.name_key)
    if user.role not in ADULTS:
        wanted = wanted.where(User.role.in_(ADULTS))
    with db.reading() as session:
        return tuple(map(user_view, session.scalars(wanted.limit(MAX_PEOPLE))))


def names(db: Database, user_ids: Iterable[str | None]) -> Mapping[str, str]:
    """The names of people by their ids."""
    wanted = {user_id for user_id in user_ids if user_id}
    if not wanted:
        return {}
    with db.reading() as session:
        rows = session.execute(select(User.id, User.name).where(User.deleted_at.is_(None)))
        return {user_id: name for user_id, name in rows if user_id in wanted}


def own_thing(session: Session, owner_id: str, table: Shareable, thing_id: str) -> Any:
    """The row of a thing of this person. Raises NotFound."""
    row: Any = session.get(table, thing_id)
    role = session.scalar(select(User.role).where(User.id == owner_id))
    if row is None or role is None or row.owner_id != owner_id or row.deleted_at is not None:
        raise NotFound("character" if table is Character else "lorebook")
    if row.rating not in allowed_ratings(role):
        raise NotFound("character" if table is Character else "lorebook")
    return row


def refuse_too_many(session: Session, owner_id: str, table: Shareable, sizes: Mapping[str, int]) -> None:
    """Raises Refused where a person would share more than anybody may; `sizes`: their `json_sizes` of a moment ago."""
    ids = session.scalars(
        select(table.id).where(table.owner_id == owner_id, table.shared != PRIVATE, table.deleted_at.is_(None))
    ).all()
    if len(ids) > MAX_SHARED or sum(sizes.get(one, 0) for one in ids) > MAX_SHARED_MB << 20:
        raise Refused("too_many_shared", most=MAX_SHARED, mb=MAX_SHARED_MB)


def _check(user: UserView, audience: str, chosen: Collection[str], rating: str | None) -> None:
    if audience not in AUDIENCES:
        raise Refused("bad_audience")
    if rating is not None and rating not in allowed_ratings(user.role):
        raise Refused("bad_rating")
    if audience == PEOPLE and not chosen:
        raise Refused("share_with_whom")
    if audience == HOUSE and user.role not in ADULTS:
        raise Refused("share_with_adults")


def _refuse_readers(session: Session, user: UserView, chosen: Collection[str]) -> None:
    """Raises NotFound, Refused where a person is not there, or not one with whom this user may share."""
    n_found = n_adults = 0
    if len(chosen) > MAX_PEOPLE:
        raise NotFound("account")
    if chosen:
        there = User.id.in_(chosen), User.id != user.id, User.deleted_at.is_(None)
        n_found = session.scalar(select(func.count()).where(*there)) or 0
        n_adults = session.scalar(select(func.count()).where(*there, User.role.in_(ADULTS))) or 0
    if n_found != len(chosen):
        raise NotFound("account")
    if user.role not in ADULTS and n_adults != len(chosen):
        raise Refused("share_with_adults")


def _set_people(session: Session, row: Character | LorebookRow, people: frozenset[str], now: float) -> None:
    column = _column(type(row))
    known = frozenset(session.scalars(select(Share.person_id).where(column == row.id)))
    session.execute(delete(Share).where(column == row.id, Share.person_id.in_(known - people)))
    for person_id in sorted(people - known):
        thing = {column.key: row.id}
        session.add(Share(id=new_id(), owner_id=row.owner_id, person_id=person_id, created_at=now, **thing))


def _column(table: Shareable) -> Any:
    return Share.character_id if table is Character else Share.book_id
