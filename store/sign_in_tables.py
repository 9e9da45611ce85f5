"""The tables of who may come in: invitations, and sessions that have ended. Part of the schema in models.py.

What it refuses to know: accounts themselves (models.py), and what makes a sign-in count (sign_ins.py).
"""

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from store.model_base import Base, one_of

ROLES = ("admin", "adult", "teen", "child")


class EndedSession(Base):
    """A browser's session that was signed out; `id` is the hashed key in its cookie (see sign_ins.py)."""

    __tablename__ = "ended_sessions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    ended_at: Mapped[float] = mapped_column(index=True)


class Invite(Base):
    """An invitation for one person; only a hash of its token is kept. `name`: for whom it is, if an admin wrote it."""

    __tablename__ = "invites"
    __table_args__ = (CheckConstraint(one_of("role", ROLES), name="role"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str]
    name: Mapped[str] = mapped_column(default="", server_default="")
    created_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[float]
    expires_at: Mapped[float]
    used_at: Mapped[float | None]
    used_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    revoked_at: Mapped[float | None]
