"""JSONL chat files, the format of most programs: a header line about the chat, then one message a line.

What it does: `read` takes every line that can be parsed, reports the other ones with their numbers and keeps them where
they stood; `write` gives all of it back. What it refuses to know: the fields of a message line (jsonl_line.py).
"""

import io
from collections.abc import Callable, Mapping, Sequence
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


def read(data: bytes, now: float, between: Callable[[], None] = lambda: None) -> ImportedFile:
    """The chat in a file; `between` is called after every line.

    Raises Refused "not_a_chat", "chat_too_large", "chat_empty", "chat_broken".
    """
    limits.refuse_if_large(data, limits.JSONL_FILE)
    reader = _FileReader(now)
    for number, line in enumerate(io.BytesIO(data.removeprefix(bounded_json.BOM)), 1):
        if line.strip():
            reader.read_line(number, line.strip(b"\r\n"))
        between()
    return reader.finish()


def write(document: ChatDocument) -> bytes:
    """The file of a chat: its active branch, with the alternatives of each message."""
    kept = document.extras or {}
    has_header = "header" not in kept or kept["header"] is not None
    rows = [bounded_json.dump(_header(document, kept.get("header")))] if has_header else []
    rows += _unread_lines(kept.get("first"))
    for message in document.messages:
        rows.append(bounded_json.dump(jsonl_line.write(message)))
        rows += _unread_lines((message.extras or {}).get("after"))
    return b"".join(row + b"\n" for row in rows)


class _FileReader:
    """Reads a file line by line: the messages so far, and the counters of the import report."""

    def __init__(self, now: float) -> None:
        self._date = now
        self._header: dict[str, Any] | None = None
        self._first: list[str] = []
        self._messages: list[DocMessage] = []
        self._after: dict[int, list[str]] = {}
        self._n_unread_bytes = 0
        self._unread: list[int] = []
        self._n_remarks = self._n_hidden = self._n_dateless = self._n_alternatives = 0
        self._unknown: dict[str, None] = {}

    def read_line(self, number: int, line: bytes) -> None:
        """The next line that is not empty."""
        value = _object(line)
        if value is not None and self._is_header(value):
            self._header = value
        elif value is not None and jsonl_line.is_message(value) and not jsonl_line.is_remark(value):
            self._add_message(value)
        else:
            is_remark = value is not None and isinstance(value.get("mes"), str)
            self._n_remarks += is_remark
            self._unread += [] if is_remark else [number]
            self._keep_unread(line)

    def finish(self) -> ImportedFile:
        """The chat, after the last line. Raises Refused "chat_empty" or "not_a_chat"."""
        if not self._messages:
            raise Refused("chat_empty" if self._header is not None else "not_a_chat")
        header = self._header or {}
        created = dates.read(header.get("create_date"))
        names = {role: self._name_of(role) for role in ("user", "character")}
        messages = tuple(self._finished(n, message, names) for n, message in enumerate(self._messages))
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

    def _add_message(self, line: dict[str, Any]) -> None:
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

    def _keep_unread(self, line: bytes) -> None:
        self._n_unread_bytes += len(line)
        if self._n_unread_bytes > MAX_UNREAD_BYTES or len(self._unread) > MAX_MESSAGES:
            raise Refused("chat_broken" if self._messages else "not_a_chat")
        text = line.decode("utf-8", "surrogateescape")
        if self._messages:
            self._after.setdefault(len(self._messages) - 1, []).append(text)
        else:
            self._first.append(text)

    def _finished(self, n: int, message: DocMessage, names: Mapping[str, str]) -> DocMessage:
        """A message with the lines behind it, and with a name."""
        after = {"after": self._after[n]} if n in self._after else {}
        name = message.name or names.get(message.role, "")
        return replace(message, name=name, extras={**(message.extras or {}), **after})

    def _name_of(self, role: str) -> str:
        """The name in the header, else that of the first message of this role."""
        name = (self._header or {}).get(f"{role}_name")
        if isinstance(name, str) and name.strip() not in _NOBODY:
            return " ".join(texts.clean(name).split())
        return next((message.name for message in self._messages if message.role == role and message.name), "")

    def _findings(self, document: ChatDocument) -> list[Finding]:
        n_more = sum(len(message.alternatives) - 1 for message in document.messages)
        names = list(dict.fromkeys(one.name for one in document.messages if one.role == "character" and one.name))
        numbers = ", ".join(map(str, self._unread[:12])) + (" …" if len(self._unread) > 12 else "")
        metadata = (self._header or {}).get("chat_metadata")
        cases = [
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
        return [finding for applies, finding in cases if applies]


def _object(line: bytes) -> dict[str, Any] | None:
    """The object in a line; None when the line is too long, torn, or no object: it is then kept as it is."""
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


def _unread_lines(kept: Sequence[str] | None) -> list[bytes]:
    """Unread lines as bytes, each made one line: a forged native file may hold line ends in them."""
    return [one.replace("\n", " ").encode("utf-8", "surrogateescape") for one in kept or () if _is_line(one)]


def _is_line(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
