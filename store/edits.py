"""Edits of a transcript by hand: edit, delete (one, or all below) and undo, pin, branch, start over.

What it does: every function but `branch` is one transaction with an optimistic lock: callers pass the revision that
they last saw, and no turn may be under way. A branch copies the messages with their tokens (in batches,
chat_copies.py), so its session is restored from the blocks of the old one (cache hits).
What it refuses to know: what reading again costs (reread_cost.py) and which tabs must hear of it (web).
To add a change: a function here, its frame and handler in web/live/changes.py, a row in tests/web/test_live_foreign.py.
"""

import re
import zlib

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from store import context_messages, greetings, introductions, macros, messages, quotas, texts
from store.batches import ROWS
from store.chat_building import Fill, build_chat
from store.chat_copies import Copying
from store.chat_macros import ChatMacros
from store.chats import new_chat
from store.db import Database
from store.errors import NotFound, Refused
from store.memory import notes
from store.messages import clock, new_id, own_chat, raise_revision, refuse_if_changed
from store.models import Character, Chat, Message, User
from store.quotas import GENEROUS, Quota
from store.views import ChatView, CommittedView, chat_view, committed_view

_TITLE = 80


def edit_message(
    db: Database,
    owner_id: str,
    message_id: str,
    text: str,
    expected_revision: int,
    now: float | None = None,
    seen: int | None = None,
) -> CommittedView:
    """Replace the text of the active alternative. Later messages stay, and are read again.

    `seen`: the checksum (CRC-32) of the text that the person began to edit. With it the text has to be that one,
    and the revision need not be the chat's: what else was changed meanwhile does not matter.
    Raises NotFound, Refused "moved_on", "busy", "empty", "too_long", "message_moved".
    """
    new_text = _resolved_text(db, owner_id, message_id, text, clock(now))
    with db.session() as session:
        message, chat = _own_message(session, owner_id, message_id, expected_revision if seen is None else None)
        alternative = messages.active_alternative(session, message)
        if seen is not None and seen != zlib.crc32(alternative.text.encode()):
            raise Refused("message_moved")
        quotas.add(session, owner_id, n_bytes=quotas.reply_bytes(new_text, None) - quotas.row_bytes(alternative))
        alternative.text, alternative.tokens, alternative.model_key = new_text, None, None
        message.indexed = False
        notes.mark_stale(session, chat.id, message.ordinal)
        alternative.finish, alternative.status = "edited", None
        alternative.stats = {name: value for name, value in alternative.stats.items() if name != "words"}
        return _changed(session, chat, message, now)


def delete_message(
    db: Database, owner_id: str, message_id: str, expected_revision: int, now: float | None = None
) -> int:
    """Hide a message; returns the chat's new revision. Raises NotFound, Refused "moved_on", "busy"."""
    with db.session() as session:
        message, chat = _own_message(session, owner_id, message_id, expected_revision)
        message.deleted_at = clock(now)
        notes.mark_stale(session, chat.id, message.ordinal)
        return raise_revision(chat, clock(now))


def restore_message(
    db: Database, owner_id: str, message_id: str, expected_revision: int, now: float | None = None
) -> CommittedView:
    """Undo a delete. Raises NotFound, Refused "moved_on", "busy"."""
    with db.session() as session:
        message, chat = _own_message(session, owner_id, message_id, expected_revision, deleted=True)
        message.deleted_at = None
        notes.mark_stale(session, chat.id, message.ordinal)
        return _changed(session, chat, message, now)


def delete_below(db: Database, owner_id: str, message_id: str, expected_revision: int, now: float | None = None) -> int:
    """Hide everything after a message; returns the chat's new revision. Raises NotFound, Refused "moved_on", "busy",
    "too_many_below"."""
    now = clock(now)
    with db.session() as session:
        message, chat = _own_message(session, owner_id, message_id, expected_revision)
        below = Message.chat_id == chat.id, Message.ordinal > message.ordinal, Message.deleted_at.is_(None)
        if len(session.scalars(select(Message.id).where(*below).limit(ROWS + 1)).all()) > ROWS:
            raise Refused("too_many_below", most=ROWS)
        session.execute(update(Message).where(*below).values(deleted_at=now))
        notes.delete_below(session, chat.id, message.ordinal, now)
        chat.window = context_messages.branch_window(chat.window, message.ordinal)
        return raise_revision(chat, now)


def restore_below(
    db: Database, owner_id: str, message_id: str, expected_revision: int, now: float | None = None
) -> int:
    """Undo the newest delete of what came after a message; returns the chat's new revision. Raises NotFound, Refused
    "moved_on", "busy"."""
    with db.session() as session:
        message, chat = _own_message(session, owner_id, message_id, expected_revision)
        below = Message.chat_id == chat.id, Message.ordinal > message.ordinal
        newest = session.scalar(select(func.max(Message.deleted_at)).where(*below))
        session.execute(update(Message).where(*below, Message.deleted_at == newest).values(deleted_at=None))
        notes.restore_below(session, chat.id, message.ordinal, newest)
        return raise_revision(chat, clock(now))


def pin_message(
    db: Database, owner_id: str, message_id: str, pinned: bool, expected_revision: int, now: float | None = None
) -> CommittedView:
    """Pin a message in the model's memory, or unpin it. Raises NotFound, Refused "moved_on", "busy"."""
    with db.session() as session:
        message, chat = _own_message(session, owner_id, message_id, expected_revision)
        message.pinned = pinned
        return _changed(session, chat, message, now)


def branch(db: Database, owner_id: str, message_id: str, now: float | None = None, quota: Quota = GENEROUS) -> ChatView:
    """A new chat with a copy of the messages up to this one, visible once all are there. Raises NotFound, Refused
    "quota"."""

    def make(session: Session) -> tuple[Chat, Fill]:
        message = session.get(Message, message_id)
        if message is None or message.deleted_at is not None:
            raise NotFound("message")
        old = own_chat(session, owner_id, message.chat_id)
        quotas.refuse_if_over(session, owner_id, quota, stories=1)
        chat = _like(old, clock(now))
        chat.window = context_messages.branch_window(old.window, message.ordinal)
        chat.introduced = introductions.for_branch(old.introduced, message.ordinal)
        session.add(chat)
        session.flush()
        return chat, Copying(old.id, message.ordinal, quota).fill

    return build_chat(db, make, now)


def start_over(
    db: Database, owner_id: str, chat_id: str, now: float | None = None, quota: Quota = GENEROUS
) -> ChatView:
    """A new chat with the same character, settings and notes, from the greeting on. Raises NotFound, Refused
    "quota"."""
    with db.reading() as session:
        old = own_chat(session, owner_id, chat_id, lock=False)
        owner, character = session.get_one(User, owner_id), session.get_one(Character, old.character_id)
        chat = new_chat(owner, character, old.user_name, clock(now))
        chat.user_persona, chat.settings = old.user_persona, dict(old.settings)
        chat.author_note, chat.title, chat.lore = old.author_note, old.title, dict(old.lore)
        chat.memory = dict(old.memory)
        chat.title_from = "hand" if old.title_from == "hand" else ""
        greeted = greetings.resolved(ChatMacros(session, chat, character, chat.created_at).resolve, character.card)
    with db.session() as session:
        own_chat(session, owner_id, chat_id)
        quotas.refuse_if_over(session, owner_id, quota, stories=1, messages=1)
        greetings.write_chat(session, chat, character.name, greeted)
        return chat_view(chat, character)


def _resolved_text(db: Database, owner_id: str, message_id: str, text: str, now: float) -> str:
    """The new text of a message with its macros resolved. Raises NotFound, Refused "empty", "too_long"."""
    if len(text) > texts.MAX_TEXT:
        raise Refused("too_long")
    words = texts.clean(text)
    if macros.may_be_in(words):
        with db.reading() as session:
            message = session.get(Message, message_id)
            if message is None:
                raise NotFound("message")
            chat = own_chat(session, owner_id, message.chat_id, lock=False)
            character = messages.character_of(session, chat)
            words = ChatMacros(session, chat, character, now, message.ordinal).resolve(words)
    words = words.strip()
    if not words:
        raise Refused("empty")
    if len(words) > texts.MAX_TEXT:
        raise Refused("too_long")
    return words


def _own_message(
    session: Session, owner_id: str, message_id: str, expected_revision: int | None, deleted: bool = False
) -> tuple[Message, Chat]:
    message = session.get(Message, message_id)
    if message is None or (message.deleted_at is not None) != deleted:
        raise NotFound("message")
    chat = own_chat(session, owner_id, message.chat_id)
    refuse_if_changed(session, chat, chat.revision if expected_revision is None else expected_revision)
    return message, chat


def _changed(session: Session, chat: Chat, message: Message, now: float | None) -> CommittedView:
    revision = raise_revision(chat, clock(now))
    session.flush()
    return committed_view(messages.read_message(session, message.id), revision)


def _next_title(title: str) -> str:
    """The title with the next number in brackets behind it."""
    numbered = re.search(r" \((\d{1,3})\)$", title)
    name, number = (title[: numbered.start()], int(numbered[1]) + 1) if numbered else (title, 2)
    behind = f" ({number})"
    return name[: _TITLE - len(behind)].rstrip() + behind


def _like(old: Chat, now: float) -> Chat:
    return Chat(
        id=new_id(),
        owner_id=old.owner_id,
        character_id=old.character_id,
        title=_next_title(old.title),
        title_from="hand",
        parent_id=old.id,
        revision=1,
        user_name=old.user_name,
        user_persona=old.user_persona,
        author_note=old.author_note,
        reference=old.reference,
        settings=dict(old.settings),
        window={},
        extras=dict(old.extras),
        lore=dict(old.lore),
        memory=dict(old.memory),
        created_at=now,
        updated_at=now,
    )
