"""Access rule of characters and lorebooks: which of them a person may see and use, by owner, sharing and age rating.

A child sees what is rated for everyone, a teen also what is rated teen, adults and admins see all; a person's own
things follow the same rule. Beside the bundled and the own ones a person sees what others share: with the whole house,
or with chosen people. What reaches a child or a teen was shared by an adult: who is not grown up shares with adults.
What it refuses to know: what is in a card, and who shares what with whom (sharing/shares.py).
To add a rating or a role: RATINGS in models.py or ROLES in sign_in_tables.py, `_ALLOWED` here, and its words in web.
"""

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from store.models import RATINGS, Character, LorebookRow, Share, User
from store.views import UserView

Shareable = type[Character] | type[LorebookRow]
ADULTS = ("admin", "adult")
AUDIENCES = PRIVATE, PEOPLE, HOUSE = ("private", "people", "house")
"""Who may see a thing beside its owner: nobody, the people of its rows in `shares`, everybody."""
_ALLOWED = {
    "child": RATINGS[:1],
    "teen": RATINGS[:2],
    "adult": RATINGS,
    "admin": RATINGS,
}


def allowed_ratings(role: str) -> tuple[str, ...]:
    """The ratings of what a person of this role may see, and may give."""
    return _ALLOWED[role]


def may_see(table: Shareable, user: User | UserView) -> ColumnElement[bool]:
    """The SQL condition: rows of `table` that this person may see and use."""
    own = or_(table.owner_id.is_(None), table.owner_id == user.id)
    here = and_(table.deleted_at.is_(None), table.rating.in_(allowed_ratings(user.role)))
    return and_(here, or_(own, and_(_is_shared(table, user.id), _by(table, user.role))))


def visible(session: Session, row: Character | LorebookRow, user: User | UserView) -> bool:
    """Whether this person may see and use a character or a lorebook."""
    if row.deleted_at is not None or row.rating not in allowed_ratings(user.role):
        return False
    table = type(row)
    if row.owner_id in (None, user.id):
        return True
    seen = select(table.id).where(table.id == row.id, may_see(table, user))
    return row.shared != PRIVATE and session.scalar(seen) is not None


def shares_of(table: Shareable) -> ColumnElement[bool]:
    """The SQL condition that joins `shares` with the things of a table."""
    return (Share.character_id if table is Character else Share.book_id) == table.id


def _is_shared(table: Shareable, user_id: str) -> ColumnElement[bool]:
    chosen = exists().where(shares_of(table), Share.person_id == user_id)
    return or_(table.shared == HOUSE, and_(table.shared == PEOPLE, chosen))


def _by(table: Shareable, role: str) -> ColumnElement[bool]:
    """Whether the owner is somebody from whom a person of this role may get something."""
    owner = exists().where(User.id == table.owner_id, User.deleted_at.is_(None))
    return owner if role in ADULTS else owner.where(User.role.in_(ADULTS))
