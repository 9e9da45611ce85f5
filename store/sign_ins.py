"""Sign-ins (session revocation): whether the cookie of a browser still counts.

What it does: a cookie names the account, its session epoch and the key of its own session. Signing out ends that
session here: a copy of the cookie does not count any more. Signing out everywhere raises the epoch (accounts.py), which
also makes the ended sessions of before unnecessary. The table is bounded: an ended session is forgotten once its cookie
has expired, and who signs out too often is signed out everywhere instead.
What it refuses to know: cookies and how a key is made (web/auth/session_cookie.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from store.db import Database
from store.messages import clock
from store.models import EndedSession, User
from store.views import UserView, user_view

COOKIE_S = 30 * 86_400.0
MAX_ENDED = 200  # of one person
RECENT_S = 600.0


@dataclass(frozen=True)
class SignIns:
    """The epoch and the role of everybody, by id, and the keys of the sessions that ended lately."""

    people: Mapping[str, tuple[int, str]]
    ended: frozenset[str]

    def counts(self, person: UserView, key: str) -> bool:
        """Whether an open tab of this person, as they were when it was opened, may go on."""
        return self.people.get(person.id) == (person.session_epoch, person.role) and key not in self.ended


def find_signed_in(db: Database, user_id: str, epoch: int, key: str) -> UserView | None:
    """The person that a cookie stands for; None when it does not count any more."""
    with db.reading() as session:
        user = session.get(User, user_id)
        if user is None or user.deleted_at is not None or user.session_epoch != epoch:
            return None
        if user.suspended_at is not None:
            return None
        has_ended = session.get(EndedSession, key) is not None
        return None if has_ended else user_view(user)


def read_sign_ins(db: Database, now: float | None = None) -> SignIns:
    """What open tabs are compared with."""
    people = select(User.id, User.session_epoch, User.role).where(
        User.deleted_at.is_(None), User.suspended_at.is_(None)
    )
    ended = select(EndedSession.id).where(EndedSession.ended_at > clock(now) - RECENT_S)
    with db.reading() as session:
        by_id = {row.id: (row.session_epoch, row.role) for row in session.execute(people)}
        return SignIns(by_id, frozenset(session.scalars(ended)))


def end_session(db: Database, user_id: str, key: str, now: float | None = None) -> None:
    """Sign out of one browser: no copy of its cookie counts any more. Without a key: out of all of them."""
    with db.session() as session:
        user = session.get(User, user_id, with_for_update=True)
        if user is None:
            return
        n_ended = session.scalar(select(func.count()).where(EndedSession.owner_id == user_id)) or 0
        if not key or n_ended >= MAX_ENDED:
            end_all(session, user)
        elif session.get(EndedSession, key) is None:
            session.add(EndedSession(id=key, owner_id=user_id, ended_at=clock(now)))


def end_all(session: Session, user: User) -> None:
    """End every session of a person, in the caller's transaction."""
    user.session_epoch += 1
    session.execute(delete(EndedSession).where(EndedSession.owner_id == user.id))


def forget_expired(db: Database, now: float | None = None) -> int:
    """Forget ended sessions whose cookies have expired; returns how many."""
    expired = select(EndedSession.id).where(EndedSession.ended_at < clock(now) - 2 * COOKIE_S).limit(1_000)
    with db.reading() as session:
        ids = session.scalars(expired).all()
    if ids:
        with db.session() as session:
            session.execute(delete(EndedSession).where(EndedSession.id.in_(ids)))
    return len(ids)
