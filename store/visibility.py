"""Access rule of characters: which of them a person may see and use, by owner and age rating.

A child sees what is rated for everyone, a teen also what is rated teen, adults and admins see all; a person's own
characters follow the same rule. What it refuses to know: queries, and what is in a card.
To add a rating or a role: RATINGS or ROLES in models.py, `_ALLOWED` here, and its words in web.
"""

from store.models import RATINGS, Character, User
from store.views import UserView

_ALLOWED = {
    "child": RATINGS[:1],
    "teen": RATINGS[:2],
    "adult": RATINGS,
    "admin": RATINGS,
}


def allowed_ratings(role: str) -> tuple[str, ...]:
    """The ratings of what a person of this role may see, and may give."""
    return _ALLOWED[role]


def visible(character: Character, user: User | UserView) -> bool:
    """Whether this person may see and use the character."""
    theirs = character.owner_id in (None, user.id) and character.deleted_at is None
    return theirs and character.rating in allowed_ratings(user.role)
