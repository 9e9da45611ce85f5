"""Character table: list, find, save and remove the characters of a person.

What it does: lists and finds the bundled characters, a person's own and those that others share with them, as far as
visibility.py allows; saves and removes a person's own ones.
What it refuses to know: the age ratings (visibility.py), with whom one is shared (sharing/), files (card_import.py,
cards/), and what a card's texts mean.
To add a column: a field in models.py, a migration in migrations/versions, the field of the same name in CharacterView
(views/from_row.py fills it by name), a parameter of `save_character`, the form (web/characters/card_form.py) if people
set it, and export.py if it belongs to them.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store import pictures, quotas, texts
from store.db import Database
from store.errors import NotFound, Refused
from store.messages import character_of, clock, new_id, own_chat
from store.models import Character, Chat
from store.quotas import GENEROUS, Quota
from store.sharing import keepsakes, shares
from store.views import CharacterView, UserView, character_view
from store.visibility import PRIVATE, allowed_ratings, may_see, visible

MAX_NAME, MAX_TAGLINE, MAX_CARD = 80, 160, 3 << 19  # the card as bytes of JSON


def list_characters(db: Database, user: UserView) -> tuple[CharacterView, ...]:
    """Every character that this person may talk to: the bundled ones first, then their own and shared ones, by name."""
    with db.reading() as session:
        order = Character.owner_id.is_not(None), Character.name, Character.id
        rows = session.scalars(select(Character).where(may_see(Character, user)).order_by(*order))
        return tuple(character_view(row) for row in rows)


def list_own(db: Database, user: UserView) -> tuple[CharacterView, ...]:
    """The characters of this person, by name."""
    with db.reading() as session:
        own = select(Character).where(may_see(Character, user), Character.owner_id == user.id)
        return tuple(character_view(row) for row in session.scalars(own.order_by(Character.name, Character.id)))


def get_character(db: Database, user: UserView, character_id: str) -> CharacterView:
    """One character. Raises NotFound, also when this person may not see it."""
    with db.reading() as session:
        row = session.get(Character, character_id)
        if row is None or not visible(session, row, user):
            raise NotFound("character")
        return character_view(row)


def character_of_chat(db: Database, user: UserView, chat_id: str) -> CharacterView:
    """The character of a person's own story, also one that is not shared with them any more. Raises NotFound, Refused
    "not_for_you"."""
    with db.reading() as session:
        return character_view(character_of(session, own_chat(session, user.id, chat_id, lock=False)))


def save_character(
    db: Database,
    user: UserView,
    card: Mapping[str, Any],
    *,
    tagline: str = "",
    rating: str = "everyone",
    locale: str = "en",
    character_id: str | None = None,
    picture: bytes | None = None,
    background: bytes | None = None,
    now: float | None = None,
    quota: Quota = GENEROUS,
    avatar: str = "",
) -> CharacterView:
    """Create a character of this person, or change one. `card` is the `data` object of a V3 card, kept as it is.

    `background` is shown behind its stories; no bytes take away the one that is there. `avatar`: the name of a bundled
    picture, for a new character without a `picture`.

    Raises NotFound (another person's), Refused "bad_card", "bad_picture", "bad_rating" (not for this role),
    "too_many_characters", "too_many_shared", "quota".
    """
    name = " ".join(texts.clean(str(card.get("name") or "")).split())
    size = len(json.dumps(card, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if not 0 < len(name) <= MAX_NAME or size > MAX_CARD:
        raise Refused("bad_card")
    if rating not in allowed_ratings(user.role):
        raise Refused("bad_rating")
    with db.reading() as session:
        known = quotas.json_sizes(session, user.id, Character)
    with db.session() as session:
        row = _own(session, user, character_id) if character_id else None
        quotas.refuse_larger(session, user.id, Character, size, known, character_id)
        if row is None:
            quotas.refuse_another(session, user.id, Character)
            row = Character(id=new_id(), owner_id=user.id, avatar=avatar, created_at=clock(now))
            session.add(row)
        row.name, row.card, row.rating, row.locale = name, dict(card), rating, locale
        row.tagline = " ".join(texts.clean(tagline).split())[:MAX_TAGLINE]
        if picture or background:
            quotas.refuse_if_over(session, user.id, quota, n_bytes=len(picture or b"") + len(background or b""))
        if picture is not None:
            row.avatar = pictures.replace(session, user.id, row.avatar, picture, clock(now))
        if background is not None:
            row.background = pictures.replace_or_remove(session, user.id, row.background, background, clock(now))
        session.flush()
        if row.shared != PRIVATE:
            shares.refuse_too_many(session, user.id, Character, {**known, row.id: size})
        return character_view(row)


def delete_character(db: Database, user: UserView, character_id: str, now: float | None = None) -> None:
    """Soft-delete a character of this person; in others' stories it stays. Raises NotFound, Refused "has_chats" while
    they have chats with it."""
    with db.session() as session:
        row = _own(session, user, character_id)
        own = Chat.character_id == row.id, Chat.owner_id == user.id, Chat.deleted_at.is_(None)
        if session.scalar(select(Chat.id).where(*own).limit(1)):
            raise Refused("has_chats")
        shares.withdraw(session, row)
        row.deleted_at = clock(now)  # chats that were deleted can still be brought back
    keepsakes.keep(db, Character, character_id, now)


def _own(session: Session, user: UserView, character_id: str) -> Character:
    row = session.get(Character, character_id)
    if row is None or row.owner_id != user.id or not visible(session, row, user):
        raise NotFound("character")
    return row
