"""The database schema, as SQLAlchemy 2 typed classes, with the constraints that the database itself enforces.

What it refuses to know: transactions and the meaning of a change (see turns/lifecycle.py, chats.py, accounts.py).
Ids are 32 hex characters; times are UTC seconds since the epoch as floats. Types stay within what SQLite and PostgreSQL
share.
To change a table: change it here, add a migration in migrations/versions (a test compares the two), and check the
dependants: the view (views/), export.py, and the order of the tables in backup/archive.py.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from store.memory.tables import StoryNoteRow as StoryNoteRow
from store.model_base import Base, one_of, partial_index
from store.presets.tables import PresetRow as PresetRow
from store.sharing.tables import Share as Share
from store.sharing.tables import Wish as Wish
from store.shelf.tables import ModelFile as ModelFile
from store.sign_in_tables import ROLES as ROLES
from store.sign_in_tables import EndedSession as EndedSession
from store.sign_in_tables import Invite as Invite

RATINGS = ("everyone", "teen", "adult")
SPEAKERS = ("user", "character", "narrator", "system")
KINDS = ("chat", "retry", "continue", "narrate", "suggest", "status")
RUNNING = ("waking", "reading", "writing")
IN_QUEUE = ("queued", *RUNNING)
UNFINISHED = ("waiting", *IN_QUEUE)
ENDED = ("done", "failed", "cancelled")

_IS_ENDED = one_of("state", ENDED)
HAS_ENDED = text(one_of("turns.state", ENDED))
"""The same text as in two partial indexes, or the planner does not use them."""


class User(Base):
    """A person who can sign in. `session_epoch` is part of the cookie: raising it signs out everywhere.

    `notify` and `sound`: how a browser tells them that a reply is there.
    `stored_messages` and `stored_bytes` count what stands in their stories (quotas.py).
    `suspended_at`: an admin keeps them out, everything of theirs stays.
    `deleted_at`: the account is gone for everybody, and what it had is being removed.
    `daily_minutes` and the quiet hours (`HH:MM`, local time of the server) limit those who need it; None: no limit.
    """

    __tablename__ = "users"
    __table_args__ = (CheckConstraint(one_of("role", ROLES), name="role"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    role: Mapped[str]
    locale: Mapped[str] = mapped_column(default="en")
    theme: Mapped[str] = mapped_column(default="auto")
    text_size: Mapped[str] = mapped_column(default="normal")
    notify: Mapped[bool] = mapped_column(default=False)
    sound: Mapped[bool] = mapped_column(default=False)
    session_epoch: Mapped[int] = mapped_column(default=1)
    daily_minutes: Mapped[int | None]
    quiet_from: Mapped[str | None]
    quiet_until: Mapped[str | None]
    suspended_at: Mapped[float | None]
    stored_messages: Mapped[int] = mapped_column(BigInteger, default=0)
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[float]
    deleted_at: Mapped[float | None]


class Character(Base):
    """A character to talk to. `card` is the `data` object of a V3 card; no owner means bundled.

    `shared`: who else may use it (visibility.py).
    """

    __tablename__ = "characters"
    __table_args__ = (CheckConstraint(one_of("rating", RATINGS), name="rating"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    slug: Mapped[str | None] = mapped_column(unique=True)
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    tagline: Mapped[str]
    card: Mapped[dict[str, Any]]
    avatar: Mapped[str]
    background: Mapped[str] = mapped_column(default="")
    rating: Mapped[str]
    shared: Mapped[str] = mapped_column(default="private", server_default="private")
    locale: Mapped[str]
    created_at: Mapped[float]
    deleted_at: Mapped[float | None]


class Persona(Base):
    """Who a person is in a story: name, description, perhaps a picture; to be chosen when a chat begins."""

    __tablename__ = "personas"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    description: Mapped[str]
    avatar: Mapped[str] = mapped_column(default="", server_default="")
    created_at: Mapped[float]


class Picture(Base):
    """An uploaded image; the `avatar` of a character or of a persona names it as `picture:<id>`."""

    __tablename__ = "pictures"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    media_type: Mapped[str]
    data: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[float]


class LorebookRow(Base):
    """A lorebook outside of a card, to be used in any chat. `data` is its file, unchanged.

    `deleted_at`: hidden, only stories that have it still use it (sharing/keepsakes.py).
    """

    __tablename__ = "books"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    data: Mapped[dict[str, Any]]
    rating: Mapped[str] = mapped_column(default="everyone", server_default="everyone")
    shared: Mapped[str] = mapped_column(default="private", server_default="private")
    created_at: Mapped[float]
    deleted_at: Mapped[float | None]


class SiteStateRow(Base):
    """One fact about the whole installation, such as an announcement or that the queue is paused."""

    __tablename__ = "house"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[dict[str, Any]]
    updated_at: Mapped[float]


class Chat(Base):
    """A conversation of one owner with one character. Every visible change raises `revision`.

    `author_note` is a standing wish for the style, `reference` a text for the coming replies; both are injected near
    the end of the prompt and withdrawn without a trace. `lore` names the lorebooks beside the character's own and keeps
    what their entries remember. `memory` has the switches of its long-term memory (memory/switches.py). `parent_id`:
    the story that this one branched off. `title_from`: "" (the name of the character), "hand" or "model".
    `introduced`: as whom its beginning knows the person (introductions.py). `extras` is what an imported file had and
    no code reads; an export writes it again.
    """

    __tablename__ = "chats"
    __table_args__ = (
        Index("ix_chats_owner_id_updated_at", "owner_id", "updated_at"),
        partial_index("ix_chats_present", "owner_id", where="deleted_at IS NULL"),
        partial_index("ix_chats_deleted", "deleted_at", where="deleted_at IS NOT NULL AND title <> ''"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    character_id: Mapped[str] = mapped_column(ForeignKey("characters.id"), index=True)
    title: Mapped[str]
    title_from: Mapped[str] = mapped_column(default="", server_default="")
    parent_id: Mapped[str | None] = mapped_column(String(32))
    revision: Mapped[int]
    user_name: Mapped[str]
    user_persona: Mapped[str] = mapped_column(default="")
    author_note: Mapped[str] = mapped_column(default="")
    reference: Mapped[str] = mapped_column(default="")
    introduced: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    window: Mapped[dict[str, Any]] = mapped_column(default=dict)
    lore: Mapped[dict[str, Any]] = mapped_column(default=dict)
    memory: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    extras: Mapped[dict[str, Any]] = mapped_column(default=dict, deferred=True)
    created_at: Mapped[float]
    updated_at: Mapped[float]
    deleted_at: Mapped[float | None]


class Message(Base):
    """One entry of a chat; its text is in its alternatives, `active` is the position of the shown one.

    A `pinned` message never leaves the memory. `extras`: what an imported file had beside it. `indexed`: the search
    knows what it shows; whoever changes that sets it to False (search/index.py).
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("chat_id", "ordinal"),
        CheckConstraint(one_of("role", SPEAKERS), name="role"),
        partial_index("ix_messages_pinned", "chat_id", "ordinal", where="pinned", sqlite="pinned = 1"),
        partial_index("ix_messages_shown", "chat_id", "ordinal", where="deleted_at IS NULL"),
        partial_index("ix_messages_waiting", "created_at", where="NOT indexed", sqlite="indexed = 0"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    chat_id: Mapped[str] = mapped_column(ForeignKey("chats.id"))
    ordinal: Mapped[int]
    role: Mapped[str]
    name: Mapped[str]
    active: Mapped[int] = mapped_column(default=0)
    pinned: Mapped[bool] = mapped_column(default=False)
    extras: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    indexed: Mapped[bool] = mapped_column(default=False, server_default=false())
    turn_id: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[float]
    deleted_at: Mapped[float | None]


class Alternative(Base):
    """One alternative of a message. `tokens` are int32, little endian, of the model that `model_key` names.

    `status` is what the status panel showed when this was the last message (see status.py), `prompt` what the model
    read for it (prompt_records.py), of a chat's newest messages only.
    """

    __tablename__ = "alternatives"
    __table_args__ = (UniqueConstraint("message_id", "position"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id"))
    position: Mapped[int]
    text: Mapped[str]
    tokens: Mapped[bytes | None] = mapped_column(LargeBinary)
    model_key: Mapped[str | None]
    finish: Mapped[str | None]
    turn_id: Mapped[str | None] = mapped_column(String(32), index=True)
    stats: Mapped[dict[str, Any]] = mapped_column(default=dict)
    status: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    prompt: Mapped[str | None] = mapped_column(deferred=True)
    created_at: Mapped[float]


class Turn(Base):
    """One requested piece of work on a chat; its id comes from the browser. turns/lifecycle.py has its rules.

    `crashes` counts the attempts that died; `result` is what an ended turn wrote (see turns/end.py).
    """

    __tablename__ = "turns"
    __table_args__ = (
        CheckConstraint(one_of("kind", KINDS), name="kind"),
        CheckConstraint(one_of("state", UNFINISHED + ENDED), name="state"),
        partial_index("uq_turns_unfinished_chat", "chat_id", where=one_of("state", UNFINISHED), unique=True),
        Index("ix_turns_owner_id_state", "owner_id", "state"),
        Index("ix_turns_chat_id_state", "chat_id", "state"),
        partial_index("ix_turns_ended_chat", "chat_id", "created_at", where=_IS_ENDED),
        partial_index("ix_turns_ended_owner", "owner_id", "created_at", where=_IS_ENDED),
        Index("ix_turns_state_created_at", "state", "created_at"),
        Index("ix_turns_ended_at", "ended_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    chat_id: Mapped[str] = mapped_column(ForeignKey("chats.id"))
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(default="waiting")
    attempt: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    user_message_id: Mapped[str | None] = mapped_column(ForeignKey("messages.id"), index=True)
    reply_message_id: Mapped[str | None] = mapped_column(ForeignKey("messages.id"), index=True)
    error_code: Mapped[str | None]
    error_text: Mapped[str | None]
    partial: Mapped[str] = mapped_column(default="")
    worker: Mapped[str | None]
    lease_until: Mapped[float | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[float]
    queued_at: Mapped[float | None]
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    updated_at: Mapped[float]
    stats: Mapped[dict[str, Any]] = mapped_column(default=dict)
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
