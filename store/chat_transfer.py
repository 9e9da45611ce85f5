"""Import and export of whole chats: a ChatDocument becomes rows of SQL, and the reverse.

What it does: `import_chat` stores a chat with all of its messages or nothing, in batches that give way to other
writers; `export_chat` reads a chat as of one moment. Nothing is sent to a worker: the model reads an imported chat when
its owner opens it.
What it refuses to know: file formats (chat_files), and who is told of an import.
To add a column of chats or messages to the files: see chat_files/document.py.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Insert, insert, select
from sqlalchemy.orm import Session

from store import messages, quotas, sampling, texts
from store.batches import is_whole, row_id, take
from store.chat_building import Fill, build_chat
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage, DocNote
from store.chats import MAX_TITLE, new_chat
from store.db import Database
from store.errors import NotFound, Refused
from store.import_findings import Finding
from store.memory import notes, switches
from store.memory.tables import StoryNoteRow
from store.messages import clock, new_id
from store.models import Character, Chat, Message, User
from store.quotas import GENEROUS, Quota, reply_bytes
from store.turns.kinds import MODEL_ROLES
from store.views import AlternativeView, ChatView, MessageView, StoryNote
from store.visibility import visible

REPORT = "report"
"""Key of the import report in the extras of a chat."""
_LORE, _LINES = "lore", "lines"
_MESSAGES = insert(Message.metadata.tables["messages"])
_ALTERNATIVES = insert(Message.metadata.tables["alternatives"])
_NOTES = insert(StoryNoteRow)
_SAME_NAMES = ("user_persona", "author_note", "reference", "created_at")


@dataclass(frozen=True)
class _NewRow:
    """A row to insert, with the bytes of what is in it."""

    statement: Insert
    n_bytes: int
    values: dict[str, Any]


def import_chat(
    db: Database,
    owner_id: str,
    character_id: str,
    document: ChatDocument,
    findings: Sequence[Finding] = (),
    now: float | None = None,
    quota: Quota = GENEROUS,
) -> ChatView:
    """A new chat with these messages; it is the newest of its owner's. `findings` are kept for `report_of`.

    Raises NotFound (no such person, or no character that this person may see), Refused "quota".
    """

    def make(session: Session) -> tuple[Chat, Fill]:
        owner, character = session.get(User, owner_id), session.get(Character, character_id)
        if owner is None or character is None or not visible(session, character, owner):
            raise NotFound("character")
        quotas.refuse_if_over(session, owner_id, quota, stories=1, messages=len(document.messages))
        user_name = texts.clean_name(document.user_name) or owner.name
        chat = new_chat(owner, character, user_name, clock(now))
        report = [*findings, *_fill(chat, character, document)]
        chat.extras = {**chat.extras, REPORT: [asdict(finding) for finding in report]}
        session.add(chat)
        session.flush()
        rows = _rows(chat.id, document.messages)
        if document.notes:
            session.execute(_NOTES, _note_rows(chat.id, document.notes))
        return chat, lambda session, chat: _write_some(session, chat, rows, quota)

    return build_chat(db, make, now)


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
            notes=tuple(_doc_notes(notes.of_chat(session, chat_id), [message.ordinal for message in views])),
            memory=chat.memory,
            **{name: getattr(chat, name) for name in _SAME_NAMES},
        )


def _fill(chat: Chat, character: Character, document: ChatDocument) -> Iterator[Finding]:
    """Set the fields of a new chat from the document; yields a finding for each that was changed or is unused."""
    title = " ".join(texts.clean(document.title).split())
    chat.title, chat.title_from = title[:MAX_TITLE] or chat.title, "hand" if title else ""
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
    try:
        chat.memory = switches.checked(document.memory)
    except Refused:
        yield Finding("approximated", "memory", "chat_settings")
    if document.lore:
        yield Finding("kept", "lore", "chat_lore")
    if chat.user_name != document.user_name:
        yield Finding("approximated", "user_name", "chat_user", {"name": chat.user_name})
    if document.character_name and texts.name_key(document.character_name) != texts.name_key(character.name):
        yield Finding("approximated", "character_name", "chat_character", {"name": document.character_name})


def _rows(chat_id: str, messages: Sequence[DocMessage]) -> Iterator[_NewRow]:
    """The rows of all messages, each before those of its alternatives."""
    for n, message in enumerate(messages):
        extras = {_LINES: message.extras} if message.extras else None
        n_bytes = len(json.dumps(extras)) if extras else 0
        yield _NewRow(_MESSAGES, n_bytes, _message_row(chat_id, n, message, extras))
        for position, one in enumerate(message.alternatives):
            yield _NewRow(_ALTERNATIVES, reply_bytes(one.text, None), _alternative_row(chat_id, n, position, one))


def _write_some(session: Session, chat: Chat, rows: Iterator[_NewRow], quota: Quota) -> bool:
    """Insert the next rows, the messages first; whether more may be left. Raises Refused "quota"."""
    batch = list(take(rows, _n_bytes))
    for statement in (_MESSAGES, _ALTERNATIVES):
        values = [row.values for row in batch if row.statement is statement]
        if values:
            session.execute(statement, values)
    n_messages = sum(row.statement is _MESSAGES for row in batch)
    quotas.add(session, chat.owner_id, messages=n_messages, n_bytes=sum(map(_n_bytes, batch)), quota=quota)
    return not is_whole(batch, _n_bytes)


def _n_bytes(row: _NewRow) -> int:
    return row.n_bytes


def _message_row(chat_id: str, ordinal: int, message: DocMessage, extras: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": row_id(chat_id, ordinal),
        "chat_id": chat_id,
        "ordinal": ordinal,
        "role": message.role,
        "name": message.name,
        "active": message.active,
        "pinned": message.pinned,
        "extras": extras,
        "turn_id": new_id() if message.answer else None,  # a retry needs the turn of the message
        "created_at": message.created_at,
    }


def _alternative_row(chat_id: str, ordinal: int, position: int, alternative: DocAlternative) -> dict[str, Any]:
    return {
        "id": row_id(chat_id, ordinal, position),
        "message_id": row_id(chat_id, ordinal),
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


def _doc_notes(own: Sequence[StoryNote], ordinals: Sequence[int]) -> Iterator[DocNote]:
    """The notes by the places of their messages in the file; without those of whose messages none is left."""
    spans = [(bisect_left(ordinals, note.first_ordinal), bisect_right(ordinals, note.last_ordinal) - 1) for note in own]
    kept = [(note, span) for note, span in zip(own, spans, strict=True) if span[0] <= span[1]]
    places = {note.id: place for place, (note, _) in enumerate(kept)}
    for note, (first, last) in kept:
        covered_by = places.get(note.covered_by or "")
        yield DocNote(first, last, note.text, note.created_at, note.pinned, note.is_by_hand, note.is_stale, covered_by)


def _note_rows(chat_id: str, own: Sequence[DocNote]) -> list[dict[str, Any]]:
    """The rows of notes, without tokens: the model reads the words anew."""
    ids = [new_id() for _ in own]
    covering = {note.covered_by for note in own}
    return [
        {
            "id": ids[place],
            "chat_id": chat_id,
            "first_ordinal": note.first,
            "last_ordinal": note.last,
            "written_after": note.last,
            "level": 2 if place in covering else 1,
            "covered_by": None if note.covered_by in (None, place) else ids[note.covered_by or 0],
            "text": note.text,
            "version": 1,
            "state": "stale" if note.stale else "fresh",
            "pinned": note.pinned,
            "created_at": note.created_at,
            "edited_at": note.created_at if note.by_hand else None,
        }
        for place, note in enumerate(own)
    ]


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
