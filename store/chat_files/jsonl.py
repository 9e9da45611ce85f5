"""Lines of JSON: the chat files that most programs write. The first line is about the chat, each other one a message.

What it does: `read` takes every line that can be understood, reports the others with their numbers and keeps them where
they stood; `write` gives all of it back. What it refuses to know: what stands in a message (jsonl_line.py).
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from store import bounded_json, texts
from store.bounded_json import JsonError
from store.chat_files import dates, jsonl_line, limits
from store.chat_files.document import ChatDocument, DocMessage, ImportedFile
from store.errors import Refused
from store.import_findings import Finding

MAX_MESSAGES, MAX_ALTERNATIVES, MAX_UNREAD_BYTES = 50_000, 200_000, 4 << 20
MAX_NOTE = 4_000
_HEADER = ("chat_metadata", "user_name", "character_name", "create_date")
_NOBODY = ("", "unused")


def read(data: bytes, now: float) -> ImportedFile:
    """The chat in a file. Raises Refused "not_a_chat", "chat_too_large", "chat_empty", "chat_broken"."""
    limits.refuse_if_large(data, limits.JSONL_FILE)
    reading = _FileReader(now)
    for number, line in enumerate(io.BytesIO(data.removeprefix(bounded_json.BOM)), 1):
        if line.strip():
            reading.take(number, line.strip(b"\r\n"))
    return reading.done()


def write(document: ChatDocument) -> bytes:
    """The file of a chat: the way that counts, with the alternatives of each message."""
    kept = document.extras or {}
    has_header = "header" not in kept or kept["header"] is not None
    rows = [bounded_json.dump(_header(document, kept.get("header")))] if has_header else []
    rows += _as_they_were(kept.get("first"))
    for message in document.messages:
        rows.append(bounded_json.dump(jsonl_line.write(message)))
        rows += _as_they_were((message.extras or {}).get("after"))
    return b"".join(row + b"\n" for row in rows)


class _FileReader:
    """A file on its way: what was understood so far, and what to tell about the rest."""

    def __init__(self, now: float) -> None:
        self._date = now
        self._header: dict[str, Any] | None = None
        self._first: list[str] = []
        self._messages: list[DocMessage] = []
        self._after: dict[int, list[str]] = {}
        self._n_kept_bytes = 0
        self._unread: list[int] = []
        self._n_remarks = self._n_hidden = self._n_dateless = self._n_alternatives = 0
        self._unknown: dict[str, None] = {}

    def take(self, number: int, line: bytes) -> None:
        """The next line that is not empty."""
        value = _object(line)
        if value is not None and self._is_header(value):
            self._header = value
        elif value is not None and jsonl_line.is_message(value) and not jsonl_line.is_remark(value):
            self._say(value)
        else:
            is_remark = value is not None and isinstance(value.get("mes"), str)
            self._n_remarks += is_remark
            self._unread += [] if is_remark else [number]
            self._keep(line)

    def done(self) -> ImportedFile:
        """The chat, when every line was taken."""
        if not self._messages:
            raise Refused("chat_empty" if self._header is not None else "not_a_chat")
        header = self._header or {}
        created = dates.read(header.get("create_date"))
        names = {"user": self._user(), "character": self._character()}
        messages = tuple(self._whole(n, message, names) for n, message in enumerate(self._messages))
        extras = {"header": self._header} | ({"first": self._first} if self._first else {})
        document = ChatDocument(
            character_name=names["character"],
            user_name=names["user"],
            messages=messages,
            created_at=messages[0].created_at if created is None else created,
            author_note=_note(header),
            extras=extras,
        )
        return ImportedFile(document, tuple(self._findings(document)))

    def _is_header(self, value: Mapping[str, Any]) -> bool:
        fresh = self._header is None and not self._messages and not self._first
        return fresh and "mes" not in value and any(key in value for key in _HEADER)

    def _say(self, line: dict[str, Any]) -> None:
        date = dates.read(line.get("send_date"))
        self._date = self._date if date is None else date
        message = jsonl_line.read(line, self._date, answer=bool(self._messages))
        self._n_alternatives += len(message.alternatives)
        if len(self._messages) >= MAX_MESSAGES or self._n_alternatives > MAX_ALTERNATIVES:
            raise Refused("chat_too_large")
        self._n_dateless += date is None
        self._n_hidden += bool(line.get("is_system")) and message.role != "system"
        self._unknown |= dict.fromkeys(
            key[:80] for key in line if key not in jsonl_line.KNOWN and len(self._unknown) < 20
        )
        self._messages.append(message)

    def _keep(self, line: bytes) -> None:
        self._n_kept_bytes += len(line)
        if self._n_kept_bytes > MAX_UNREAD_BYTES or len(self._unread) > MAX_MESSAGES:
            raise Refused("chat_broken" if self._messages else "not_a_chat")
        text = line.decode("utf-8", "surrogateescape")
        if self._messages:
            self._after.setdefault(len(self._messages) - 1, []).append(text)
        else:
            self._first.append(text)

    def _whole(self, n: int, message: DocMessage, names: Mapping[str, str]) -> DocMessage:
        """A message with the lines behind it, and with a name."""
        after = {"after": self._after[n]} if n in self._after else {}
        name = message.name or names.get(message.role, "")
        return replace(message, name=name, extras={**(message.extras or {}), **after})

    def _user(self) -> str:
        said = (self._header or {}).get("user_name")
        if isinstance(said, str) and said.strip() not in _NOBODY:
            return " ".join(texts.clean(said).split())
        return next((message.name for message in self._messages if message.role == "user" and message.name), "")

    def _character(self) -> str:
        said = (self._header or {}).get("character_name")
        if isinstance(said, str) and said.strip() not in _NOBODY:
            return " ".join(texts.clean(said).split())
        return next((message.name for message in self._messages if message.role == "character" and message.name), "")

    def _findings(self, document: ChatDocument) -> list[Finding]:
        n_more = sum(len(message.alternatives) - 1 for message in document.messages)
        names = list(dict.fromkeys(one.name for one in document.messages if one.role == "character" and one.name))
        numbers = ", ".join(map(str, self._unread[:12])) + (" …" if len(self._unread) > 12 else "")
        metadata = (self._header or {}).get("chat_metadata")
        told = [
            (True, Finding("applied", "", "chat_messages", {"n": len(document.messages)})),
            (n_more, Finding("applied", "swipes", "chat_swipes", {"n": n_more})),
            (document.author_note, Finding("approximated", "chat_metadata.note_prompt", "chat_note")),
            (len(names) > 1, Finding("approximated", "name", "chat_group", {"names": ", ".join(names[:8])})),
            (self._n_hidden, Finding("approximated", "is_system", "chat_hidden", {"n": self._n_hidden})),
            (self._n_dateless, Finding("approximated", "send_date", "chat_dates", {"n": self._n_dateless})),
            (self._n_remarks, Finding("kept", "is_system", "chat_remarks", {"n": self._n_remarks})),
            (self._unread, Finding("kept", "", "chat_unread", {"n": len(self._unread), "lines": numbers})),
            (metadata, Finding("kept", "chat_metadata", "unused")),
            *((True, Finding("kept", key, "unknown")) for key in self._unknown),
        ]
        return [finding for true, finding in told if true]


def _object(line: bytes) -> dict[str, Any] | None:
    """What stands in a line; None when it is too long, torn, or anything but an object: it is then kept as it is."""
    try:
        value = bounded_json.parse(line, limits.LINE)
    except JsonError:
        return None
    return value if isinstance(value, dict) else None


def _note(header: Mapping[str, Any]) -> str:
    metadata = header.get("chat_metadata")
    note = metadata.get("note_prompt") if isinstance(metadata, dict) else None
    text = texts.clean(note).strip() if isinstance(note, str) else ""
    return text if len(text) <= MAX_NOTE else ""


def _header(document: ChatDocument, kept: Any) -> dict[str, Any]:
    header = {
        "user_name": document.user_name,
        "character_name": document.character_name,
        "create_date": dates.write(document.created_at),
        "chat_metadata": {},
    }
    header = dict(kept) if isinstance(kept, dict) else header
    if _note(header) != document.author_note:
        metadata = header.get("chat_metadata")
        header["chat_metadata"] = (metadata if isinstance(metadata, dict) else {}) | {
            "note_prompt": document.author_note
        }
    return header


def _as_they_were(kept: Sequence[str] | None) -> list[bytes]:
    """Lines that could not be read; whoever made up a file of ours may have put several lines into one."""
    return [one.replace("\n", " ").encode("utf-8", "surrogateescape") for one in kept or () if _is_line(one)]


def _is_line(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
