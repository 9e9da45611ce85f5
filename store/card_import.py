"""Characters that come from a card: brought along, held back as a second copy, settled.

What it does: a card that somebody has already makes a character that is held back (it counts as removed) until they
say that they want a second copy, so that nobody has to find the file again. Who may bring cards: adults.
What it refuses to know: files (store/cards) and how a picture is made small.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store import characters
from store.cards import stored_card
from store.db import Database
from store.errors import NotFound, Refused
from store.messages import clock
from store.models import Character
from store.views import CharacterView, UserView, character_view

MAX_CHARACTERS = 400
IMPORT_ROLES = ("admin", "adult")
UNRATED = "adult"  # the rating of what nobody has rated yet
_HAN = re.compile(r"[\u4e00-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class ImportResult:
    """A new character, and the one that it is a second copy of: then it is held back."""

    character: CharacterView
    duplicate_of: CharacterView | None = None


def import_card(
    db: Database, user: UserView, card: dict[str, Any], picture: bytes | None = None, now: float | None = None
) -> ImportResult:
    """Make a character of a kept card. Raises Refused "adults_bring", "too_many_characters", "bad_card"."""
    if user.role not in IMPORT_ROLES:
        raise Refused("adults_bring")
    mine = _check_room(db, user)
    already = next(
        (one for one in mine if stored_card.is_same(stored_card.with_tagline(one.card, one.tagline), card)), None
    )
    if already:
        held = _held_back(db, user, card)
        if held:
            return ImportResult(held, already)
    options: dict[str, Any] = {"tagline": stored_card.tagline_of(card), "rating": UNRATED, "locale": locale_of(card)}
    made = characters.save_character(db, user, card, picture=picture, now=now, **options)
    if already:
        characters.delete_character(db, user, made.id, now)
    return ImportResult(made, already)


def keep_copy(db: Database, user: UserView, character_id: str, now: float | None = None) -> CharacterView:
    """Bring a character that is held back out as a second copy; again changes nothing. Raises NotFound, Refused."""
    _check_room(db, user)
    with db.session() as session:
        row = session.get(Character, character_id)
        if row is None or row.owner_id != user.id or not stored_card.record_of(row.card):
            raise NotFound("character")
        if row.deleted_at is not None:
            row.deleted_at, row.created_at = None, clock(now)
        return character_view(row)


def finish_import(db: Database, user: UserView, character: CharacterView, name: str, rating: str) -> CharacterView:
    """Name and rate a character that was brought along. Raises NotFound, Refused "bad_card", "bad_rating"."""
    card = stored_card.without_note(character.card, "no_name")
    if name.strip() != character.name:
        card["name"] = name.strip()
    options: dict[str, Any] = {"tagline": character.tagline, "rating": rating, "locale": character.locale}
    return characters.save_character(db, user, card, character_id=character.id, **options)


def locale_of(card: dict[str, Any]) -> str:
    """The language that a card is written in, as far as its letters show."""
    said = json.dumps([card.get(name) for name in ("first_mes", "description", "scenario")], ensure_ascii=False)
    return "zh" if 3 * len(_HAN.findall(said)) > len(_LETTER.findall(said)) > 0 else "en"


def _check_room(db: Database, user: UserView) -> list[CharacterView]:
    """The characters of one's own. Raises Refused "too_many_characters"."""
    mine = [one for one in characters.list_characters(db, user) if one.owner_id]
    if len(mine) >= MAX_CHARACTERS:
        raise Refused("too_many_characters")
    return mine


def _held_back(db: Database, user: UserView, card: dict[str, Any]) -> CharacterView | None:
    with db.reading() as session:
        rows = _removed(session, user.id)
        return next((character_view(row) for row in rows if stored_card.digest(row.card) == _digest(card)), None)


def _removed(session: Session, user_id: str) -> list[Character]:
    wanted = select(Character).where(Character.owner_id == user_id, Character.deleted_at.is_not(None))
    return [row for row in session.scalars(wanted) if stored_card.record_of(row.card)]


def _digest(card: dict[str, Any]) -> str:
    return str(stored_card.record_of(card).get("digest", ""))
