"""Wishes: a child or a teen asks for a character, an adult grants it in one step by sharing an own one.

What it does: every function is one transaction. All adults see what is open; a wish is answered once. How many wishes
of a person may be open, and how many answered ones are kept, is bounded.
What it refuses to know: which character fits (`grantable` only compares names), and what else is shared (shares.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from store import quotas, texts
from store.db import Database
from store.errors import NotFound, Refused
from store.messages import clock, new_id
from store.models import Character, User, Wish
from store.sharing import shares
from store.views import CharacterView, UserView
from store.visibility import ADULTS, allowed_ratings, visible

MAX_TEXT, MAX_OPEN, MAX_ANSWERED = 200, 5, 20
_MAX_SHOWN = 50
_FIRST_HAN = "\u3400"


@dataclass(frozen=True)
class WishView:
    """What somebody asked for. `who`, `by`: the names of the person and of who answered; `role`: the person's;
    `character`: the name of the one that was granted, empty if they may not see it (any more)."""

    id: str
    who: str
    role: str
    text: str
    state: str
    created_at: float
    character_id: str | None = None
    character: str = ""
    by: str = ""


def ask(db: Database, user: UserView, text: str, now: float | None = None) -> None:
    """Ask for a character. Raises Refused "grown_ups", "wish_empty", "wish_long", "too_many_wishes"."""
    if user.role in ADULTS:
        raise Refused("grown_ups")
    wish = " ".join(texts.clean(text).split())
    if not wish:
        raise Refused("wish_empty")
    if len(wish) > MAX_TEXT:
        raise Refused("wish_long", most=MAX_TEXT)
    own = Wish.owner_id == user.id
    with db.session() as session:
        n_open = session.scalar(select(func.count()).where(own, Wish.state == "open")) or 0
        if n_open >= MAX_OPEN:
            raise Refused("too_many_wishes", most=MAX_OPEN)
        answered = select(Wish.id).where(own, Wish.state != "open").order_by(Wish.answered_at.desc())
        old = session.scalars(answered.offset(MAX_ANSWERED)).all()
        session.execute(delete(Wish).where(Wish.id.in_(old)))
        session.add(Wish(id=new_id(), owner_id=user.id, text=wish, state="open", created_at=clock(now)))


def take_back(db: Database, user: UserView, wish_id: str) -> None:
    """Forget an own wish, also one that is answered. Raises NotFound."""
    with db.session() as session:
        row = session.get(Wish, wish_id)
        if row is None or row.owner_id != user.id:
            raise NotFound("wish")
        session.delete(row)


def list_open(db: Database, user: UserView) -> tuple[WishView, ...]:
    """What children and teens ask for, the oldest first; nothing for who is none of the adults."""
    if user.role not in ADULTS:
        return ()
    wanted = select(Wish, User.name, User.role).join(User, User.id == Wish.owner_id)
    wanted = wanted.where(Wish.state == "open", User.deleted_at.is_(None)).order_by(Wish.created_at, Wish.id)
    with db.reading() as session:
        rows = session.execute(wanted.limit(_MAX_SHOWN)).all()
        return tuple(WishView(row.id, who, role, row.text, row.state, row.created_at) for row, who, role in rows)


def list_own(db: Database, user: UserView, most: int = MAX_OPEN) -> tuple[WishView, ...]:
    """What this person asked for: all that is open, and the latest answers, the newest first."""
    own = select(Wish).where(Wish.owner_id == user.id)
    with db.reading() as session:
        is_open = session.scalars(own.where(Wish.state == "open").order_by(Wish.created_at.desc())).all()
        answered = session.scalars(own.where(Wish.state != "open").order_by(Wish.answered_at.desc()).limit(most)).all()
        return tuple(_own_view(session, row, user) for row in (*is_open, *answered))


def grant(db: Database, user: UserView, wish_id: str, character_id: str, now: float | None = None) -> WishView:
    """Share an own character with who asked. Raises NotFound (the wish, or the character is not this person's), Refused
    "adults_grant", "wish_rated", "too_many_shared"."""
    with db.reading() as session:
        sizes = quotas.json_sizes(session, user.id, Character)
    with db.session() as session:
        row, asker = _open(session, user, wish_id)
        character: Character = shares.own_thing(session, user.id, Character, character_id)
        if character.rating not in allowed_ratings(asker.role):
            raise Refused("wish_rated", name=character.name, who=asker.name)
        shares.add_person(session, character, asker.id, clock(now))
        row.state, row.character_id = "granted", character.id
        row.answered_by, row.answered_at = user.id, clock(now)
        session.flush()
        shares.refuse_too_many(session, user.id, Character, sizes)
        about = asker.name, asker.role, row.text, row.state, row.created_at
        return WishView(row.id, *about, character.id, character.name)


def decline(db: Database, user: UserView, wish_id: str, now: float | None = None) -> None:
    """Say no to a wish. Raises NotFound, Refused "adults_grant"."""
    with db.session() as session:
        row, _ = _open(session, user, wish_id)
        row.state, row.answered_by, row.answered_at = "declined", user.id, clock(now)


def grantable(own: Sequence[CharacterView], wish: WishView) -> tuple[CharacterView, ...]:
    """The characters of `own` that are rated for who asked, the one that the wish seems to mean first."""
    fitting = [one for one in own if one.rating in allowed_ratings(wish.role)]
    said = wish.text.casefold()
    return tuple(sorted(fitting, key=lambda one: (_likeness(one, said), one.name)))


def _likeness(character: CharacterView, said: str) -> int:
    """Negative, the lower the more words of the name, or pairs of Chinese letters of it, a wish says."""
    name = character.name.casefold()
    pairs = (name[start : start + 2] for start in range(len(name) - 1) if name[start] > _FIRST_HAN)
    parts = {*(word for word in name.split() if len(word) > 1), *pairs}
    return -100 if name in said else -sum(part in said for part in parts)


def _open(session: Session, user: UserView, wish_id: str) -> tuple[Wish, User]:
    """An open wish, and who asks. Raises NotFound, Refused "adults_grant"."""
    if user.role not in ADULTS:
        raise Refused("adults_grant")
    row = session.get(Wish, wish_id)
    asker = session.get(User, row.owner_id) if row else None
    if row is None or asker is None or row.state != "open" or asker.deleted_at is not None:
        raise NotFound("wish")
    return row, asker


def _own_view(session: Session, row: Wish, user: UserView) -> WishView:
    character = session.get(Character, row.character_id) if row.character_id else None
    by = session.get(User, row.answered_by) if row.answered_by else None
    name = character.name if character and visible(session, character, user) else ""
    who = by.name if by else ""
    return WishView(row.id, user.name, user.role, row.text, row.state, row.created_at, row.character_id, name, who)
