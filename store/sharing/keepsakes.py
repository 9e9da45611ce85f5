"""Keepsakes (copy on withdrawal): what somebody shared stays in the stories of others as it was.

What it does: who has stories with a character, or with a lorebook attached, that is not shared with them any more gets
a hidden copy of it, picture included, and their stories point to that one. So the owner's later changes are the owner's
own, and an account can be deleted without tearing others' stories. One short transaction for each person; what is
interrupted goes on with the next change of sharing, and before an account is removed.
What it refuses to know: ratings and roles. A story that is not for its owner's age is closed elsewhere (messages.py).
"""

import json
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, exists, false, not_, select, true, update
from sqlalchemy.orm import Session

from store import pictures
from store.db import Database
from store.messages import clock, new_id
from store.models import Character, Chat, LorebookRow, Picture, Share
from store.visibility import PEOPLE, PRIVATE, Shareable

_COPIED = {
    Character: ("name", "tagline", "card", "avatar", "background", "rating", "locale"),
    LorebookRow: ("name", "data", "rating"),
}
_PICTURES = ("avatar", "background")


def keep(db: Database, table: Shareable, thing_id: str, now: float | None = None) -> int:
    """Give everybody a copy whose stories use the thing, and with whom it is not shared; how many there were."""
    with db.reading() as session:
        row: Any = session.get(table, thing_id)
        if row is None or row.owner_id is None:
            return 0
        values = {name: getattr(row, name) for name in _COPIED[table]}
        shown = _pictures_of(session, row)
        people = session.scalars(select(Chat.owner_id).distinct().where(_uses(row), _unshared(table, row))).all()
    for person_id in people:
        with db.session() as session:
            _keep_one(session, table, thing_id, person_id, values, shown, clock(now))
    return len(people)


def keep_all(db: Database, owner_id: str) -> None:
    """The same for everything of a person, before their account is removed: it is shared with nobody any more."""
    for table in (Character, LorebookRow):
        with db.session() as session:
            session.execute(update(table).where(table.owner_id == owner_id).values(shared=PRIVATE))
        with db.reading() as session:
            ids = session.scalars(select(table.id).where(table.owner_id == owner_id)).all()
        for thing_id in ids:
            keep(db, table, thing_id)


def _keep_one(
    session: Session,
    table: Shareable,
    thing_id: str,
    person_id: str,
    values: dict[str, Any],
    shown: dict[str, tuple[str, bytes]],
    now: float,
) -> None:
    """One person's copy, and their stories on it."""
    copy = table(id=new_id(), owner_id=person_id, created_at=now, deleted_at=now, **values)
    for column, (media_type, data) in shown.items():
        picture = Picture(id=new_id(), owner_id=person_id, media_type=media_type, data=data, created_at=now)
        session.add(picture)
        setattr(copy, column, pictures.PREFIX + picture.id)
    session.add(copy)
    session.flush()
    own = Chat.owner_id == person_id
    if table is Character:
        session.execute(update(Chat).where(own, Chat.character_id == thing_id).values(character_id=copy.id))
        return
    for chat in session.scalars(select(Chat).where(own, cast(Chat.lore, Text).contains(thing_id))):
        chat.lore = _renamed(chat.lore, thing_id, copy.id)
        chat.window = _renamed(chat.window, thing_id, copy.id)


def _uses(row: Character | LorebookRow) -> ColumnElement[bool]:
    """The chats of others that use a thing."""
    others = Chat.owner_id != row.owner_id
    if isinstance(row, Character):
        return and_(others, Chat.character_id == row.id)
    return and_(others, cast(Chat.lore, Text).contains(row.id))


def _unshared(table: Shareable, row: Character | LorebookRow) -> ColumnElement[bool]:
    """Whether the thing is not shared with the owner of a chat."""
    if row.shared == PRIVATE or row.deleted_at is not None:
        return true()
    column = Share.character_id if table is Character else Share.book_id
    chosen = exists().where(column == row.id, Share.person_id == Chat.owner_id)
    return not_(chosen) if row.shared == PEOPLE else false()


def _pictures_of(session: Session, row: Character | LorebookRow) -> dict[str, tuple[str, bytes]]:
    """Type and bytes of the uploaded pictures of a character, by the columns that name them."""
    found = {}
    for column in _PICTURES if isinstance(row, Character) else ():
        name = getattr(row, column)
        picture = session.get(Picture, name.removeprefix(pictures.PREFIX)) if name else None
        if picture and name.startswith(pictures.PREFIX):
            found[column] = (picture.media_type, picture.data)
    return found


def _renamed(facts: dict[str, Any], old_id: str, new: str) -> dict[str, Any]:
    """The facts of a chat with another id of a lorebook: an id is nowhere else in them."""
    renamed: dict[str, Any] = json.loads(json.dumps(facts).replace(old_id, new))
    return renamed
