"""Import and export of whole chats: a ChatDocument becomes rows of SQL in one transaction, and the reverse.

What it does: `import_chat` stores a chat with all of its messages or nothing; `export_chat` reads a chat as of one
moment. Nothing is sent to a worker: the model reads an imported chat when its owner opens it.
What it refuses to know: file formats (chat_files), and who is told of an import.
To add a column of chats or messages to the files: see chat_files/document.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from store import messages, sampling, texts
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage
from store.chats import MAX_TITLE, new_chat
from store.db import Database
from store.errors import NotFound, Refused
from store.import_findings import Finding
from store.messages import clock, new_id
from store.models import Base, Character, Chat, Message, User
from store.turns.kinds import MODEL_ROLES
from store.views import AlternativeView, ChatView, MessageView, chat_view
from store.visibility import visible

REPORT = "report"
"""Key of the import report in the extras of a chat."""
_LORE, _LINES = "lore", "lines"
_BATCH = 2_000  # messages of one INSERT
_MESSAGES = insert(Base.metadata.tables["messages"])
_ALTERNATIVES = insert(Base.metadata.tables["alternatives"])
_SAME_NAMES = ("user_persona", "author_note", "reference", "created_at")


def import_chat(
    db: Database,
    owner_id: str,
    character_id: str,
    document: ChatDocument,
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
        user_name = texts.clean_name(document.user_name) or owner.name
        chat = new_chat(owner, character, user_name, clock(now))
        report = [*findings, *_fill(chat, character, document)]
        chat.extras = {**chat.extras, REPORT: [asdict(finding) for finding in report]}
        session.add(chat)
        session.flush()
        _write_messages(session, chat, document.messages)
        return chat_view(chat, character)


def import_report(db: Database, owner_id: str, chat_id: str) -> tuple[Finding, ...]:
    """The findings of the import of a chat; empty where it was not imported. Raises NotFound."""
    with db.reading() as session:
        chat = messages.own_chat(session, owner_id, chat_id, lock=False)
        return tuple(Finding(**finding) for finding in (chat.extras or {}).get(REPORT, ()))


def export_chat(db: Database, owner_id: str, chat_id: str) -> ChatDocument:
    """A chat as a document. Raises NotFound, also for another person's chat."""
    with db.reading() as session:
        chat = messages.own_chat(session, owner_id, chat_id, lock=False)
        rows = select(Message.id, Message.extras).where(Message.chat_id == chat_id, Message.extras.is_not(None))
        extras = {row.id: row.extras for row in session.execute(rows)}
        views = messages.read_messages(session, chat_id)
        return ChatDocument(
            character_name=messages.character_of(session, chat).name,
            user_name=chat.user_name,
            messages=tuple(_doc_message(message, (extras.get(message.id) or {}).get(_LINES)) for message in views),
            title=chat.title,
            settings=chat.settings,
            lore=chat.lore or (chat.extras or {}).get(_LORE) or {},
            extras=(chat.extras or {}).get(_LINES),
            **{name: getattr(chat, name) for name in _SAME_NAMES},
        )


def _fill(chat: Chat, character: Character, document: ChatDocument) -> Iterator[Finding]:
    """Set the fields of a new chat from the document; yields a finding for each that was changed or is unused."""
    title = " ".join(texts.clean(document.title).split())
    chat.title = title[:MAX_TITLE] or chat.title
    for name in _SAME_NAMES:
        setattr(chat, name, getattr(document, name))
    extras = {
        _LINES: document.extras,
        _LORE: dict(document.lore),
    }  # lorebooks of another installation: only kept
    chat.extras = {name: value for name, value in extras.items() if value}
    try:
        chat.settings = dict(sampling.checked(document.settings))
    except Refused:
        yield Finding("approximated", "settings", "chat_settings")
    if document.lore:
        yield Finding("kept", "lore", "chat_lore")
    if chat.user_name != document.user_name:
        yield Finding("approximated", "user_name", "chat_user", {"name": chat.user_name})
    if document.character_name and texts.name_key(document.character_name) != texts.name_key(character.name):
        yield Finding("approximated", "character_name", "chat_character", {"name": document.character_name})


def _write_messages(session: Session, chat: Chat, messages: Sequence[DocMessage]) -> None:
    """Bulk insert with ascending ids, so that the indexes grow at their ends."""
    message_ids = sorted(new_id() for _ in messages)
    alternative_ids = iter(sorted(new_id() for message in messages for _ in message.alternatives))
    for start in range(0, len(messages), _BATCH):
        part = list(enumerate(messages[start : start + _BATCH], start))
        rows = [_message_row(message_ids[n], chat, n, message) for n, message in part]
        session.execute(_MESSAGES, rows)
        session.execute(
            _ALTERNATIVES,
            [
                _alternative_row(next(alternative_ids), message_ids[n], position, one)
                for n, message in part
                for position, one in enumerate(message.alternatives)
            ],
        )


def _message_row(message_id: str, chat: Chat, ordinal: int, message: DocMessage) -> dict[str, Any]:
    return {
        "id": message_id,
        "chat_id": chat.id,
        "ordinal": ordinal,
        "role": message.role,
        "name": message.name,
        "active": message.active,
        "pinned": message.pinned,
        "extras": {_LINES: message.extras} if message.extras else None,
        "turn_id": new_id() if message.answer else None,  # a retry needs the turn of the message
        "created_at": message.created_at,
    }


def _alternative_row(
    alternative_id: str, message_id: str, position: int, alternative: DocAlternative
) -> dict[str, Any]:
    return {
        "id": alternative_id,
        "message_id": message_id,
        "position": position,
        "text": alternative.text,
        "finish": alternative.finish,
        "stats": {"hint": alternative.hint} if alternative.hint else {},
        "status": None if alternative.status is None else _status(alternative),
        "created_at": alternative.created_at,
    }


def _status(alternative: DocAlternative) -> dict[str, Any]:
    """The status of an alternative as a turn stores it, without tokens: the model reads the words anew."""
    return {"fields": list(alternative.status or ()), "turn": new_id(), "tokens": [], "model_key": ""}


def _doc_message(message: MessageView, extras: dict[str, Any] | None) -> DocMessage:
    return DocMessage(
        role=message.role,
        name=message.name,
        alternatives=tuple(map(_doc_alternative, message.alternatives)),
        created_at=message.created_at,
        active=message.active,
        pinned=message.pinned,
        answer=message.turn_id is not None and message.role in MODEL_ROLES,
        extras=extras,
    )


def _doc_alternative(one: AlternativeView) -> DocAlternative:
    status = None if one.status is None else tuple(one.status["fields"])
    return DocAlternative(one.text, one.created_at, one.finish, str(one.stats.get("hint", "")), status)
