"""Account tables: people, their roles, limits and preferences, and invitations.

What it does: an invitation makes one account, once; names are unique whatever their case and width. Signing out
everywhere raises the session epoch, which invalidates cookies.
What it refuses to know: passwords. Callers hash and compare them; this module stores the hash.
To add a column of people: `User` in models.py, a migration in migrations/versions, `_new_user` here, the field of the
same name in UserView (views/from_row.py fills it by name), a function here that sets it, and `_ACCOUNT` in export.py if
it belongs to the person's data. To add a table that belongs to people: its model and migration, `delete_account` here,
export.py; backups include it.
"""

import hashlib
import re
import secrets
import time

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store import removal, sign_ins, texts
from store.db import Database, rows_changed
from store.errors import NotFound, Refused
from store.messages import clock, new_id
from store.models import ROLES, Invite, User
from store.views import InviteView, UserView, invite_view, user_view

DAY_S = 86_400
LOCALES = ("en", "zh")
THEMES = ("auto", "light", "dark")
TEXT_SIZES = ("small", "normal", "large", "largest")
_PREFERENCES = {"locale": LOCALES, "theme": THEMES, "text_size": TEXT_SIZES}
_PRESENT = User.deleted_at.is_(None)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def create_invite(
    db: Database,
    role: str,
    created_by: str | None = None,
    ttl_s: float = 7 * DAY_S,
    now: float | None = None,
    name: str = "",
) -> tuple[InviteView, str]:
    """A new invitation and its token, which is stored nowhere (only its hash is); `name`: for whom it is, may be empty.

    Raises Refused "bad_role", "bad_name".
    """
    if role not in ROLES:
        raise Refused("bad_role")
    invited = texts.clean_name(name)
    if name.strip() and not invited:
        raise Refused("bad_name")
    token = secrets.token_urlsafe(32)
    created_at = clock(now)
    invite = Invite(
        id=new_id(),
        token_hash=_hash(token),
        role=role,
        name=invited,
        created_by=created_by,
        created_at=created_at,
        expires_at=created_at + ttl_s,
    )
    with db.session() as session:
        session.add(invite)
        session.flush()
        return invite_view(invite), token


def find_invite(db: Database, token: str, now: float | None = None) -> InviteView:
    """The invitation of a token, if it can still be used. Raises Refused "bad_invite"."""
    with db.reading() as session:
        return invite_view(_usable(session, token, clock(now)))


def revoke_invite(db: Database, invite_id: str, now: float | None = None) -> None:
    """Revoke an invitation. Raises NotFound."""
    with db.session() as session:
        invite = session.get(Invite, invite_id)
        if invite is None:
            raise NotFound("invitation")
        invite.revoked_at = invite.revoked_at or clock(now)


def sign_up(db: Database, token: str, name: str, password_hash: str, now: float | None = None) -> UserView:
    """Turn an invitation into an account. Raises Refused "bad_invite", "bad_name" or "name_taken"."""
    shown = texts.clean_name(name)
    if not shown:
        raise Refused("bad_name")
    created_at = clock(now)
    try:
        with db.session() as session:
            invite = _usable(session, token, created_at)
            if session.scalar(select(User.id).where(User.name_key == texts.name_key(shown))):
                raise Refused("name_taken")
            user = _new_user(shown, password_hash, invite.role, created_at)
            session.add(user)
            session.flush()
            _use(session, invite, user, created_at)
            return user_view(user)
    except IntegrityError:  # only where two writers run at once: the other one got the name
        raise Refused("name_taken") from None


def find_user(db: Database, name: str) -> UserView | None:
    """The person of this name, or None."""
    with db.reading() as session:
        user = session.scalar(select(User).where(User.name_key == texts.name_key(name), _PRESENT))
        return user_view(user) if user else None


def get_user(db: Database, user_id: str) -> UserView | None:
    """The person of this id, or None: a cookie may outlive its account."""
    with db.reading() as session:
        user = session.get(User, user_id)
        return user_view(user) if user and user.deleted_at is None else None


def has_admin(db: Database) -> bool:
    """Whether there is an admin, who can invite other people."""
    with db.reading() as session:
        return session.scalar(select(User.id).where(User.role == "admin", _PRESENT).limit(1)) is not None


def sign_out_everywhere(db: Database, user_id: str) -> UserView:
    """Raise the session epoch: cookies that carry the old one are invalid. Raises NotFound."""
    with db.session() as session:
        user = _get(session, user_id)
        sign_ins.end_all(session, user)
        return user_view(user)


def list_users(db: Database) -> tuple[UserView, ...]:
    """All people, by name."""
    with db.reading() as session:
        return tuple(map(user_view, session.scalars(select(User).where(_PRESENT).order_by(User.name_key))))


def list_invites(db: Database) -> tuple[InviteView, ...]:
    """Every invitation, the newest first."""
    with db.reading() as session:
        return tuple(map(invite_view, session.scalars(select(Invite).order_by(Invite.created_at.desc(), Invite.id))))


def change_password(db: Database, user_id: str, password_hash: str, epoch: int | None = None) -> UserView:
    """Keep a new hash and sign out everywhere. With `epoch`: only while it is the session epoch.

    Raises NotFound, Refused "bad_reset".
    """
    with db.session() as session:
        user = _get(session, user_id)
        if epoch is not None and user.session_epoch != epoch:
            raise Refused("bad_reset")
        user.password_hash = password_hash
        sign_ins.end_all(session, user)
        return user_view(user)


def set_preferences(
    db: Database,
    user_id: str,
    *,
    locale: str | None = None,
    theme: str | None = None,
    text_size: str | None = None,
    notify: bool | None = None,
    sound: bool | None = None,
) -> UserView:
    """Set the looks and the notifications of a person; None: as it is. Raises NotFound, Refused "bad_preference"."""
    chosen = {"locale": locale, "theme": theme, "text_size": text_size}
    if any(value is not None and value not in _PREFERENCES[name] for name, value in chosen.items()):
        raise Refused("bad_preference")
    with db.session() as session:
        user = _get(session, user_id)
        for name, value in chosen.items():
            setattr(user, name, value or getattr(user, name))
        user.notify = user.notify if notify is None else notify
        user.sound = user.sound if sound is None else sound
        return user_view(user)


def set_role(db: Database, user_id: str, role: str) -> UserView:
    """Give a person another role. The last admin stays one. Raises NotFound, Refused "bad_role", "last_admin"."""
    if role not in ROLES:
        raise Refused("bad_role")
    with db.session() as session:
        user = _get(session, user_id)
        _refuse_if_last_admin(session, user, role == "admin")
        user.role = role
        return user_view(user)


def suspend(db: Database, user_id: str, suspended: bool, now: float | None = None) -> UserView:
    """Keep a person out, signed out everywhere, or let them in again; everything of theirs stays.

    Raises NotFound, Refused "last_admin".
    """
    with db.session() as session:
        user = _get(session, user_id)
        if suspended:
            _refuse_if_last_admin(session, user, False)
            sign_ins.end_all(session, user)
        user.suspended_at = clock(now) if suspended else None
        return user_view(user)


def set_limits(
    db: Database, user_id: str, daily_minutes: int | None, quiet_from: str | None, quiet_until: str | None
) -> UserView:
    """How long a day, and when not. None: no limit. Raises NotFound, Refused "bad_limit"."""
    refuse_bad_limits(daily_minutes, quiet_from, quiet_until)
    with db.session() as session:
        user = _get(session, user_id)
        user.daily_minutes, user.quiet_from, user.quiet_until = daily_minutes, quiet_from, quiet_until
        return user_view(user)


def refuse_bad_limits(daily_minutes: int | None, quiet_from: str | None, quiet_until: str | None) -> None:
    """Raise Refused "bad_limit" for limits that a person cannot have."""
    if daily_minutes is not None and not 1 <= daily_minutes <= 24 * 60:
        raise Refused("bad_limit.minutes")
    if (quiet_from is None) != (quiet_until is None):
        raise Refused("bad_limit.half")
    if not all(_CLOCK.fullmatch(time) for time in (quiet_from, quiet_until) if time is not None):
        raise Refused("bad_limit.clock")


def delete_account(db: Database, user_id: str) -> None:
    """Delete a person with all their rows, for good. Raises NotFound, Refused "last_admin".

    The account is gone at once; its rows go in batches, and where that is interrupted `removal.remove_deleted` goes on.
    """
    with db.session() as session:
        user = _get(session, user_id)
        _refuse_if_last_admin(session, user, False)
        user.deleted_at, user.session_epoch = time.time(), user.session_epoch + 1
        user.name, user.name_key, user.password_hash = "", f"deleted {user.id}", ""
    removal.remove_account(db, user_id)


def _get(session: Session, user_id: str) -> User:
    user = session.get(User, user_id, with_for_update=True)
    if user is None or user.deleted_at is not None:
        raise NotFound("account")
    return user


def _refuse_if_last_admin(session: Session, user: User, stays: bool) -> None:
    may_act = User.id != user.id, _PRESENT, User.suspended_at.is_(None)
    other_admins = select(func.count()).where(User.role == "admin", *may_act)
    if user.role == "admin" and not stays and not session.scalar(other_admins):
        raise Refused("last_admin")


def _new_user(name: str, password_hash: str, role: str, now: float) -> User:
    return User(
        id=new_id(),
        name=name,
        name_key=texts.name_key(name),
        password_hash=password_hash,
        role=role,
        locale="en",
        theme="auto",
        session_epoch=1,
        created_at=now,
    )


def _usable(session: Session, token: str, now: float) -> Invite:
    invite = session.scalar(select(Invite).where(Invite.token_hash == _hash(token)))
    if invite is None or invite.used_at or invite.revoked_at or invite.expires_at <= now:
        raise Refused("bad_invite")
    return invite


def _use(session: Session, invite: Invite, user: User, now: float) -> None:
    unused = update(Invite).where(Invite.id == invite.id, Invite.used_at.is_(None))
    if rows_changed(session, unused.values(used_at=now, used_by=user.id)) != 1:
        raise Refused("bad_invite")


def _hash(token: str) -> str:
    return hashlib.sha256(texts.clean(token).encode()).hexdigest()
