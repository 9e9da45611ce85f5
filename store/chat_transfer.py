"""Whole chats in and out of the database: what chat_files reads becomes a chat, a chat becomes what it writes.

What it does: `import_chat` is one transaction, so a chat is there with all of its messages or not at all; `tale_of`
reads a chat as of one moment. Nothing is sent to a worker: an imported chat is text until its owner opens it.
What it refuses to know: file formats (chat_files), and who is told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from store import messages, sampling, texts
from store.characters import visible
from store.chat_files.document import Spoken, Tale, Wording
from store.chats import MAX_TITLE, new_chat
from store.db import Database
from store.errors import NotFound, Refused
from store.import_findings import Finding
from store.messages import clock, new_id
from store.models import Base, Character, Chat, Message, User
from store.turns.begin import WRITTEN
from store.views import AlternativeView, ChatView, MessageView, chat_view

REPORT = "report"
"""Where the extras of an imported chat keep what was told about its file."""
_LORE, _LINES = "lore", "lines"
_AT_ONCE = 2_000  # messages of one statement
_MESSAGES = insert(Base.metadata.tables["messages"])
_WORDINGS = insert(Base.metadata.tables["alternatives"])
_SAME = ("user_persona", "author_note", "reference", "created_at")


def import_chat(
    db: Database,
    owner_id: str,
    character_id: str,
    tale: Tale,
    findings: Sequence[Finding] = (),
    now: float | None = None,
) -> ChatView:
    """A new chat with these messages; it is the newest of its owner's. `findings` are kept for `report_of`.

    Raises NotFound (no such person, or no character that this person may see).
    """
    with db.session() as session:
        owner, character = session.get(User, owner_id), session.get(Character, character_id)
        if owner is None or character is None or not visible(character, owner):
            raise NotFound("character")
        user_name = texts.clean_name(tale.user_name) or owner.name
        chat = new_chat(owner, character, user_name, clock(now))
        told = [*findings, *_fill(chat, character, tale)]
        chat.extras = {**chat.extras, REPORT: [asdict(finding) for finding in told]}
        session.add(chat)
        session.flush()
        _write_messages(session, chat, tale.messages)
        return chat_view(chat, character)


def report_of(db: Database, owner_id: str, chat_id: str) -> tuple[Finding, ...]:
    """What was told when a chat was imported; nothing for others. Raises NotFound."""
    with db.reading() as session:
        chat = messages.own_chat(session, owner_id, chat_id, lock=False)
        return tuple(Finding(**finding) for finding in (chat.extras or {}).get(REPORT, ()))


def tale_of(db: Database, owner_id: str, chat_id: str) -> Tale:
    """A chat with all that people can take along of it. Raises NotFound, also when it is somebody else's."""
    with db.reading() as session:
        chat = messages.own_chat(session, owner_id, chat_id, lock=False)
        rows = select(Message.id, Message.extras).where(Message.chat_id == chat_id, Message.extras.is_not(None))
        extras = {row.id: row.extras for row in session.execute(rows)}
        told = messages.read_messages(session, chat_id)
        return Tale(
            character_name=messages.character_of(session, chat).name,
            user_name=chat.user_name,
            messages=tuple(_spoken(message, (extras.get(message.id) or {}).get(_LINES)) for message in told),
            title=chat.title,
            settings=chat.settings,
            lore=chat.lore or (chat.extras or {}).get(_LORE) or {},
            extras=(chat.extras or {}).get(_LINES),
            **{name: getattr(chat, name) for name in _SAME},
        )


def _fill(chat: Chat, character: Character, tale: Tale) -> Iterator[Finding]:
    """Give a new chat what stands beside the messages; yields what could not be taken as it was."""
    title = " ".join(texts.clean(tale.title).split())
    chat.title = title[:MAX_TITLE] or chat.title
    for name in _SAME:
        setattr(chat, name, getattr(tale, name))
    kept = {_LINES: tale.extras, _LORE: dict(tale.lore)}  # books of another house are not here: their names wait
    chat.extras = {name: value for name, value in kept.items() if value}
    try:
        chat.settings = dict(sampling.checked(tale.settings))
    except Refused:
        yield Finding("approximated", "settings", "chat_settings")
    if tale.lore:
        yield Finding("kept", "lore", "chat_lore")
    if chat.user_name != tale.user_name:
        yield Finding("approximated", "user_name", "chat_user", {"name": chat.user_name})
    if tale.character_name and texts.name_key(tale.character_name) != texts.name_key(character.name):
        yield Finding("approximated", "character_name", "chat_character", {"name": tale.character_name})


def _write_messages(session: Session, chat: Chat, messages: Sequence[Spoken]) -> None:
    """Some thousand rows at once, under ids in rising order: the indexes then grow at their ends."""
    message_ids = sorted(new_id() for _ in messages)
    wording_ids = iter(sorted(new_id() for message in messages for _ in message.wordings))
    for start in range(0, len(messages), _AT_ONCE):
        part = list(enumerate(messages[start : start + _AT_ONCE], start))
        rows = [_message_row(message_ids[n], chat, n, message) for n, message in part]
        session.execute(_MESSAGES, rows)
        session.execute(
            _WORDINGS,
            [
                _wording_row(next(wording_ids), message_ids[n], position, one)
                for n, message in part
                for position, one in enumerate(message.wordings)
            ],
        )


def _message_row(message_id: str, chat: Chat, ordinal: int, message: Spoken) -> dict[str, Any]:
    return {
        "id": message_id,
        "chat_id": chat.id,
        "ordinal": ordinal,
        "role": message.role,
        "name": message.name,
        "active": message.active,
        "pinned": message.pinned,
        "extras": {_LINES: message.extras} if message.extras else None,
        "turn_id": new_id() if message.answer else None,  # without one, nobody could ask for another wording
        "created_at": message.created_at,
    }


def _wording_row(wording_id: str, message_id: str, position: int, wording: Wording) -> dict[str, Any]:
    return {
        "id": wording_id,
        "message_id": message_id,
        "position": position,
        "text": wording.text,
        "finish": wording.finish,
        "stats": {"hint": wording.hint} if wording.hint else {},
        "status": None if wording.status is None else _status(wording),
        "created_at": wording.created_at,
    }


def _status(wording: Wording) -> dict[str, Any]:
    """The facts of a wording as a turn would have kept them, but of no model: they are read from their words."""
    return {"fields": list(wording.status or ()), "turn": new_id(), "tokens": [], "model_key": ""}


def _spoken(message: MessageView, extras: dict[str, Any] | None) -> Spoken:
    return Spoken(
        role=message.role,
        name=message.name,
        wordings=tuple(map(_wording, message.alternatives)),
        created_at=message.created_at,
        active=message.active,
        pinned=message.pinned,
        answer=message.turn_id is not None and message.role in WRITTEN,
        extras=extras,
    )


def _wording(one: AlternativeView) -> Wording:
    status = None if one.status is None else tuple(one.status["fields"])
    return Wording(one.text, one.created_at, one.finish, str(one.stats.get("hint", "")), status)
