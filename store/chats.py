"""Chats: creating and reading them, and changing what is not a message (optimistic locking by revision).

What it does: every function is one transaction and returns views. A visible change takes the revision that the caller
last saw, and raises it.
What it refuses to know: how a reply comes about (turns/lifecycle.py) and Redis.
To add a setting of a chat: a column (models.py, a migration), its name in CHANGEABLE, a check in `_checked`, a field of
ChatView; web/live/changes.py and web/serializers.py carry it to the page.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from store import context_messages, greetings, introductions, messages, quotas, sampling, texts
from store.chat_macros import ChatMacros
from store.db import Database
from store.errors import NotFound, Refused
from store.lore import books
from store.macros import may_be_in
from store.memory import notes, switches
from store.messages import clock, new_id, own_chat, raise_revision, refuse_if_changed
from store.models import Alternative, Character, Chat, Message, User
from store.quotas import GENEROUS, Quota
from store.views import (
    ChatView,
    CommittedView,
    MessageView,
    Story,
    character_view,
    chat_view,
    committed_view,
)
from store.visibility import allowed_ratings, visible

CHANGEABLE = frozenset({"title", "author_note", "reference", "user_name", "user_persona", "settings", "memory"})
NOTES = frozenset({"author_note", "reference", "user_persona"})
MAX_TITLE, MAX_NOTE = 80, 4_000
_IDS_PER_QUERY = 250


def create_chat(
    db: Database,
    owner_id: str,
    character_id: str,
    user_name: str,
    now: float | None = None,
    user_persona: str = "",
    quota: Quota = GENEROUS,
    opening: int = 0,
) -> ChatView:
    """A new chat. The greetings of the card become the alternatives of its first message, which begins as `opening`.

    Raises NotFound (no such person, or no character that this person may see), Refused "bad_name", "quota".
    """
    name = texts.clean_name(user_name)
    if not name:
        raise Refused("bad_name")
    about = texts.clean(user_persona).strip()[: texts.MAX_TEXT]
    with db.reading() as session:
        owner, character = _who_meet(session, owner_id, character_id)
        chat = new_chat(owner, character, name, clock(now))
        macros = ChatMacros(session, chat, character, chat.created_at)
        chat.user_persona = macros.resolve(about)[: texts.MAX_TEXT]
        greeted = greetings.resolved(macros.resolve, character.card)
    with db.session() as session:
        _, character = _who_meet(session, owner_id, character_id)
        quotas.refuse_if_over(session, owner_id, quota, stories=1, messages=1)
        greetings.write_chat(session, chat, character.name, greeted, opening)
        return chat_view(chat, character)


def _who_meet(session: Session, owner_id: str, character_id: str) -> tuple[User, Character]:
    """The person and the character of a new chat. Raises NotFound."""
    owner, character = session.get(User, owner_id), session.get(Character, character_id)
    if owner is None or character is None or not visible(session, character, owner):
        raise NotFound("character")
    return owner, character


def list_chats(db: Database, owner_id: str) -> tuple[ChatView, ...]:
    """A person's chats, the one used last first, without those of characters that they may not see now."""
    with db.reading() as session:
        role = session.scalar(select(User.role).where(User.id == owner_id))
        rows = session.execute(
            select(Chat, Character)
            .join(Character, Character.id == Chat.character_id)
            .where(Chat.owner_id == owner_id, Chat.deleted_at.is_(None))
            .where(Character.rating.in_(allowed_ratings(role) if role else ()))
            .options(defer(Character.card, raiseload=True))  # a megabyte, of which a list shows nothing
            .order_by(Chat.updated_at.desc(), Chat.id)
        )
        return tuple(chat_view(chat, character) for chat, character in rows)


def get_chat(db: Database, owner_id: str, chat_id: str) -> ChatView:
    """One chat of this person. Raises NotFound, also if it is another person's."""
    with db.reading() as session:
        chat = own_chat(session, owner_id, chat_id, lock=False)
        return chat_view(chat, messages.character_of(session, chat))


def transcript(db: Database, chat_id: str) -> tuple[MessageView, ...]:
    """Every message of a chat, in order. The caller checks the owner (see `get_chat`)."""
    with db.reading() as session:
        return messages.read_messages(session, chat_id)


def get_message(db: Database, message_id: str) -> MessageView:
    """One message. Raises NotFound. The caller checks the owner."""
    with db.reading() as session:
        return messages.read_message(session, message_id)


def missing(db: Database, chat_ids: Collection[str]) -> frozenset[str]:
    """Those of these chats that are deleted, or were never there."""
    ids, present = sorted(chat_ids), set[str]()
    with db.reading() as session:
        for start in range(0, len(ids), _IDS_PER_QUERY):
            some = Chat.id.in_(ids[start : start + _IDS_PER_QUERY]), Chat.deleted_at.is_(None)
            present.update(session.scalars(select(Chat.id).where(*some)))
    return frozenset(ids) - present


def get_revision(db: Database, chat_id: str) -> int:
    """The present revision of a chat. Raises NotFound."""
    with db.reading() as session:
        revision = session.scalar(select(Chat.revision).where(Chat.id == chat_id))
        if revision is None:
            raise NotFound("chat")
        return revision


def load_story(db: Database, chat_id: str) -> Story:
    """All that a worker needs to continue a chat, as of one moment. Raises NotFound.

    Of a long chat these are the messages inside its window and the pinned ones: a turn costs the same after a year.
    """
    with db.reading() as session:
        chat = session.get(Chat, chat_id)
        if chat is None or chat.deleted_at is not None:
            raise NotFound("chat")
        character = messages.character_of(session, chat)
        window = context_messages.window_of(session, chat)
        in_window = context_messages.in_window(session, chat, window)
        return Story(
            replace(chat_view(chat, character), window=window),
            character_view(character),
            in_window,
            books.books_of(session, chat),
            context_messages.older(session, chat, window, len(in_window)),
            notes.for_prompt(session, chat_id),
        )


def change_chat(db: Database, owner_id: str, chat_id: str, **changes: Any) -> ChatView:
    """Set the title, the notes, the person's name and description, the sampler's settings or the memory of a chat.

    `changes`: title, author_note, reference, user_name, user_persona (texts), settings (see sampling.py), memory (see
    memory/switches.py). They count from the next turn on; the revision stays. Raises NotFound, Refused "bad_title",
    "bad_name", "too_long", "bad_setting".
    """
    unknown = set(changes) - CHANGEABLE
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]!r} cannot be changed: expected some of {', '.join(sorted(CHANGEABLE))}.")
    values = {name: _checked(name, value) for name, value in changes.items()}
    written = {name: text for name, text in values.items() if name in NOTES}
    values |= _notes(db, owner_id, chat_id, written, values.get("user_name"))
    with db.session() as session:
        chat = own_chat(session, owner_id, chat_id)
        who = [values.pop(name, getattr(chat, name)) for name in ("user_name", "user_persona")]
        introductions.introduce(session, chat, *who)
        for name, value in values.items():
            setattr(chat, name, value)
        chat.title_from = "hand" if "title" in values else chat.title_from
        session.flush()
        return chat_view(chat, messages.character_of(session, chat))


def _checked(name: str, value: Any) -> Any:
    if name == "settings":
        return sampling.checked(value)
    if name == "memory":
        return switches.checked(value)
    if name == "title":
        title = " ".join(texts.clean(value).split())
        if not 0 < len(title) <= MAX_TITLE:
            raise Refused("bad_title")
        return title
    if name == "user_name":
        shown = texts.clean_name(value)
        if not shown:
            raise Refused("bad_name")
        return shown
    text = texts.clean(value).strip()
    if len(text) > MAX_NOTE:
        raise Refused("too_long")
    return text


def _notes(
    db: Database, owner_id: str, chat_id: str, texts_by_name: dict[str, str], user_name: str | None
) -> dict[str, str]:
    """Notes with their macros resolved: those of the time or the last message get their present values."""
    if not any(map(may_be_in, texts_by_name.values())):
        return texts_by_name
    with db.reading() as session:
        chat = own_chat(session, owner_id, chat_id, lock=False)
        character = messages.character_of(session, chat)
        session.expunge(chat)  # the name is for the macros only
        chat.user_name = user_name or chat.user_name
        macros = ChatMacros(session, chat, character, clock(None))
        resolved = {name: macros.resolve(text).strip() for name, text in texts_by_name.items()}
    if any(len(note) > MAX_NOTE for note in resolved.values()):
        raise Refused("too_long")
    return resolved


def delete_chat(db: Database, owner_id: str, chat_id: str, now: float | None = None) -> None:
    """Hide a chat from its owner. Raises NotFound, Refused "busy" while a turn is under way."""
    with db.session() as session:
        chat = own_chat(session, owner_id, chat_id)
        refuse_if_changed(session, chat, chat.revision)
        chat.deleted_at = clock(now)
        raise_revision(chat, clock(now))


def delete_chats(db: Database, owner_id: str, chat_ids: Collection[str], now: float | None = None) -> int:
    """Hide several chats, each in a transaction of its own; how many stay because a turn is under way in them.

    Raises NotFound before anything is hidden when one of them is another person's or gone.
    """
    for chat_id in chat_ids:
        get_chat(db, owner_id, chat_id)
    n_busy = 0
    for chat_id in chat_ids:
        try:
            delete_chat(db, owner_id, chat_id, now)
        except Refused:
            n_busy += 1
    return n_busy


def choose_alternative(
    db: Database, owner_id: str, message_id: str, position: int, expected_revision: int, now: float | None = None
) -> CommittedView:
    """Make another alternative of a message the active one.

    Raises NotFound, Refused "moved_on", "busy" or "no_such_alternative".
    """
    with db.session() as session:
        message = session.get(Message, message_id)
        if message is None or message.deleted_at is not None:
            raise NotFound("message")
        chat = own_chat(session, owner_id, message.chat_id)
        refuse_if_changed(session, chat, expected_revision)
        count = session.scalar(select(func.count()).where(Alternative.message_id == message_id)) or 0
        if not 0 <= position < count:
            raise Refused("no_such_alternative")
        message.active, message.indexed = position, False
        notes.mark_stale(session, chat.id, message.ordinal)
        revision = raise_revision(chat, clock(now))
        session.flush()
        return committed_view(messages.read_message(session, message_id), revision)


def new_chat(owner: User, character: Character, user_name: str, now: float) -> Chat:
    """The row of a new chat, not yet added to a session."""
    return Chat(
        id=new_id(),
        owner_id=owner.id,
        character_id=character.id,
        title=character.name,
        revision=1,
        user_name=user_name,
        user_persona="",
        settings={},
        window={},
        created_at=now,
        updated_at=now,
    )
