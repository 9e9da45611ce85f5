"""Characters: who may talk to whom.

What it does: lists and finds characters that a person may see. A child sees what is rated for everyone, a teen also
what is rated teen, adults see all; a person's own characters follow the same rule.
What it refuses to know: the contents of a card.
"""

from sqlalchemy import or_, select

from store.db import Database
from store.errors import NotFound
from store.models import RATINGS, Character, User
from store.views import CharacterView, UserView, character_view

_ALLOWED = {
    "child": RATINGS[:1],
    "teen": RATINGS[:2],
    "adult": RATINGS,
    "admin": RATINGS,
}


def visible(character: Character, user: User | UserView) -> bool:
    """Whether this person may see and use the character."""
    return character.rating in _ALLOWED[user.role] and character.owner_id in (None, user.id)


def list_characters(db: Database, user: UserView) -> tuple[CharacterView, ...]:
    """Every character that this person may talk to: the bundled ones first, then their own, by name."""
    with db.reading() as session:
        rows = session.scalars(
            select(Character)
            .where(Character.rating.in_(_ALLOWED[user.role]))
            .where(or_(Character.owner_id.is_(None), Character.owner_id == user.id))
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
