"""Card import: a character made of a card file; duplicates are hidden until the person confirms a second copy.

What it does: `import_card` makes a character of a stored card. If the person has that card already, the new character
is soft-deleted, so that `keep_copy` can show it later without the file. `finish_import` gives it a name and a rating.
What it refuses to know: files (store/cards), and how a picture is made small (web/characters/pictures.py).
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, exists, not_, select
from sqlalchemy.orm import Session

from store import characters, quotas
from store.cards import stored_card
from store.db import Database
from store.errors import NotFound, Refused
from store.messages import clock
from store.models import Character, Chat
from store.quotas import GENEROUS, MAX_CHARACTERS, Quota
from store.views import CharacterView, UserView, character_view
from store.visibility import allowed_ratings

MAX_HIDDEN = 20  # characters that were held back last, among which an import looks for the same card
IMPORT_ROLES = ("admin", "adult")
UNRATED = "adult"  # the rating until a person chooses one
_HAN = re.compile(r"[\u4e00-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class ImportResult:
    """A new character; `duplicate_of` is the one with the same card: then the new one is hidden until `keep_copy`."""

    character: CharacterView
    duplicate_of: CharacterView | None = None


def import_card(
    db: Database,
    user: UserView,
    card: dict[str, Any],
    picture: bytes | None = None,
    background: bytes | None = None,
    now: float | None = None,
    quota: Quota = GENEROUS,
) -> ImportResult:
    """Make a character of a stored card. Raises Refused "adults_bring", "too_many_characters", "bad_card", "quota"."""
    if user.role not in IMPORT_ROLES:
        raise Refused("adults_bring")
    own = _check_limit(db, user)
    as_exported = ((view, stored_card.with_tagline(view.card, view.tagline)) for view in own)
    duplicate = next((view for view, exported in as_exported if stored_card.is_same(exported, card)), None)
    if duplicate:
        hidden = _find_hidden(db, user, card)
        if hidden:
            return ImportResult(hidden, duplicate)
    options: dict[str, Any] = {"tagline": stored_card.tagline_of(card), "rating": UNRATED, "locale": locale_of(card)}
    character = characters.save_character(
        db, user, card, picture=picture, background=background, now=now, quota=quota, **options
    )
    if duplicate:
        characters.delete_character(db, user, character.id, now)
    return ImportResult(character, duplicate)


def keep_copy(db: Database, user: UserView, character_id: str, now: float | None = None) -> CharacterView:
    """Show a hidden character as a second copy; idempotent. Raises NotFound, Refused "too_many_characters", "quota"."""
    _check_limit(db, user)
    with db.reading() as session:
        n_bytes = len(json.dumps(_hidden(session, user, character_id).card, ensure_ascii=False).encode())
        known = quotas.json_sizes(session, user.id, Character)
    with db.session() as session:
        row = _hidden(session, user, character_id)
        if row.deleted_at is not None:
            quotas.refuse_larger(session, user.id, Character, n_bytes, known)
            row.deleted_at, row.created_at = None, clock(now)
        return character_view(row)


def finish_import(db: Database, user: UserView, character: CharacterView, name: str, rating: str) -> CharacterView:
    """Name and rate an imported character. Raises NotFound, Refused "bad_card", "bad_rating"."""
    card = stored_card.without_note(character.card, "no_name")
    if name.strip() != character.name:
        card["name"] = name.strip()
    options: dict[str, Any] = {"tagline": character.tagline, "rating": rating, "locale": character.locale}
    return characters.save_character(db, user, card, character_id=character.id, **options)


def locale_of(card: dict[str, Any]) -> str:
    """The language of a card, guessed from its letters: "zh" where more than a third are Han, else "en"."""
    written = json.dumps([card.get(name) for name in ("first_mes", "description", "scenario")], ensure_ascii=False)
    return "zh" if 3 * len(_HAN.findall(written)) > len(_LETTER.findall(written)) > 0 else "en"


def _hidden(session: Session, user: UserView, character_id: str) -> Character:
    """A character of this person that came as a file, hidden or shown already. Raises NotFound."""
    row = session.get(Character, character_id)
    if row is None or row.owner_id != user.id or row.rating not in allowed_ratings(user.role):
        raise NotFound("character")
    is_held_back = row.deleted_at is None or not session.scalar(select(_is_in_a_story(row.id)))
    if not stored_card.record_of(row.card) or not is_held_back:
        raise NotFound("character")
    return row


def _is_in_a_story(character_id: Any) -> ColumnElement[bool]:
    """Whether a story has it: then no import has held it back: it was withdrawn by who shared it, or deleted."""
    return exists().where(Chat.character_id == character_id)


def _check_limit(db: Database, user: UserView) -> list[CharacterView]:
    """The person's own characters. Raises Refused "too_many_characters"."""
    own = list(characters.list_own(db, user))
    if len(own) >= MAX_CHARACTERS:
        raise Refused("too_many_characters", most=MAX_CHARACTERS)
    return own


def _find_hidden(db: Database, user: UserView, card: dict[str, Any]) -> CharacterView | None:
    with db.reading() as session:
        rows = _soft_deleted(session, user.id)
        return next((character_view(row) for row in rows if stored_card.digest(row.card) == _digest(card)), None)


def _soft_deleted(session: Session, user_id: str) -> list[Character]:
    """The characters of a person that were held back last."""
    wanted = select(Character).where(Character.owner_id == user_id, Character.deleted_at.is_not(None))
    wanted = wanted.where(not_(_is_in_a_story(Character.id)))
    wanted = wanted.order_by(Character.deleted_at.desc()).limit(MAX_HIDDEN)
    return [row for row in session.scalars(wanted) if stored_card.record_of(row.card)]


def _digest(card: dict[str, Any]) -> str:
    return str(stored_card.record_of(card).get("digest", ""))
