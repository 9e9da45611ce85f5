"""The tables of sharing: with whom one thing is shared, and what people ask for. Part of the schema in models.py.

What it refuses to know: who may see what (visibility.py), and when a row is written (shares.py, wishes.py).
"""

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.model_base import Base, one_of

WISH_STATES = ("open", "granted", "declined")


class Share(Base):
    """A character or a lorebook that its owner shares with one person. `owner_id` is the owner of the thing."""

    __tablename__ = "shares"
    __table_args__ = (
        UniqueConstraint("character_id", "person_id"),
        UniqueConstraint("book_id", "person_id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    character_id: Mapped[str | None] = mapped_column(ForeignKey("characters.id"))
    book_id: Mapped[str | None] = mapped_column(ForeignKey("books.id"))
    created_at: Mapped[float]


class Wish(Base):
    """A character that a child or a teen asks for, in their own words; `character_id` is the one that was granted."""

    __tablename__ = "wishes"
    __table_args__ = (CheckConstraint(one_of("state", WISH_STATES), name="state"), Index("ix_wishes_state", "state"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    text: Mapped[str]
    state: Mapped[str] = mapped_column(default="open")
    character_id: Mapped[str | None] = mapped_column(ForeignKey("characters.id"), index=True)
    answered_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[float]
    answered_at: Mapped[float | None]
