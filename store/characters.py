"""Character table: list, find, save and remove the characters of a person.

What it does: lists and finds the bundled characters and a person's own, as far as visibility.py allows; saves and
removes a person's own ones.
What it refuses to know: the age ratings (visibility.py), files (card_import.py, cards/), and what a card's texts mean.
To add a column: a field in models.py, a migration in migrations/versions, the field of the same name in CharacterView
(views/from_row.py fills it by name), a parameter of `save_character`, the form (web/characters/card_form.py) if people
set it, and export.py if it belongs to them.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from store import pictures, quotas, texts
from store.db import Database
from store.errors import NotFound, Refused
from store.messages import clock, new_id
from store.models import Character, Chat
from store.quotas import GENEROUS, Quota
from store.views import CharacterView, UserView, character_view
from store.visibility import allowed_ratings, visible

MAX_NAME, MAX_TAGLINE, MAX_CARD = 80, 160, 3 << 19  # the card as bytes of JSON


def list_characters(db: Database, user: UserView) -> tuple[CharacterView, ...]:
    """Every character that this person may talk to: the bundled ones first, then their own, by name."""
    with db.reading() as session:
        rows = session.scalars(
            select(Character)
            .where(Character.rating.in_(allowed_ratings(user.role)))
            .where(or_(Character.owner_id.is_(None), Character.owner_id == user.id), Character.deleted_at.is_(None))
            .order_by(Character.owner_id.is_not(None), Character.name, Character.id)
        )
        return tuple(character_view(row) for row in rows)


def get_character(db: Database, user: UserView, character_id: str) -> CharacterView:
    """One character. Raises NotFound, also when this person may not see it."""
    with db.reading() as session:
        row = session.get(Character, character_id)
        if row is None or not visible(row, user):
            raise NotFound("character")
        return character_view(row)


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
) -> CharacterView:
    """Create a character of this person, or change one. `card` is the `data` object of a V3 card, kept as it is.

    `background` is shown behind its stories; no bytes take away the one that is there.

    Raises NotFound (another person's), Refused "bad_card", "bad_picture", "bad_rating" (not for this role),
    "too_many_characters", "quota".
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
            row = Character(id=new_id(), owner_id=user.id, avatar="", created_at=clock(now))
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
        return character_view(row)


def delete_character(db: Database, user: UserView, character_id: str, now: float | None = None) -> None:
    """Soft-delete a character of this person. Raises NotFound, Refused "has_chats" while there are chats with it."""
    with db.session() as session:
        row = _own(session, user, character_id)
        if session.scalar(select(Chat.id).where(Chat.character_id == row.id, Chat.deleted_at.is_(None)).limit(1)):
            raise Refused("has_chats")
        row.deleted_at = clock(now)  # chats that were deleted can still be brought back


def _own(session: Session, user: UserView, character_id: str) -> Character:
    row = session.get(Character, character_id)
    if row is None or row.owner_id != user.id or not visible(row, user):
        raise NotFound("character")
    return row
