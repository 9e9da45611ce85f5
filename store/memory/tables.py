"""The table of story notes: what the model keeps of messages that have left the context window. Part of the schema in
models.py.

What it refuses to know: when a note is written (worker) and who may change it (notes.py).
"""

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, false
from sqlalchemy.orm import Mapped, mapped_column

from store.model_base import Base, one_of

NOTE_STATES = ("fresh", "stale")


class StoryNoteRow(Base):
    """A note on the messages `first_ordinal` to `last_ordinal` of a chat.

    `written_after`: the ordinal of the message behind which its segment stands in the session. `level`: 1 for a note on
    messages, 2 for one on notes, which are `covered_by` it. `tokens` are int32, little endian, of the model that
    `model_key` names; None for a text by hand. `version` is part of the segment's name. `state`: "stale" when a message
    that it stands for has changed since. `edited_at`: its text is by hand.
    """

    __tablename__ = "story_notes"
    __table_args__ = (
        CheckConstraint(one_of("state", NOTE_STATES), name="state"),
        Index("ix_story_notes_chat_id_first_ordinal", "chat_id", "first_ordinal"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    chat_id: Mapped[str] = mapped_column(ForeignKey("chats.id"))
    first_ordinal: Mapped[int]
    last_ordinal: Mapped[int]
    written_after: Mapped[int]
    level: Mapped[int] = mapped_column(default=1)
    covered_by: Mapped[str | None] = mapped_column(String(32))
    text: Mapped[str]
    tokens: Mapped[bytes | None] = mapped_column(LargeBinary)
    model_key: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    state: Mapped[str] = mapped_column(default="fresh")
    pinned: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[float]
    edited_at: Mapped[float | None]
    deleted_at: Mapped[float | None]
