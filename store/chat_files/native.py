"""Native chat file: our own lossless JSON with everything that people wrote, chose or set, one message a line.

What it does: `write` and `read` are inverse. Left out are tokens, their probabilities and the measures of turns, which
belong to one model on one machine. Unknown fields are refused.
What it refuses to know: other programs' files.
To add a field: see document.py. Raise VERSION only if old programs would misread the new file. In the file an
alternative is called "wording".
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from store import bounded_json, texts
from store.bounded_json import JsonError
from store.chat_files import limits
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage, DocNote, ImportedFile
from store.errors import Refused
from store.import_findings import Finding
from store.memory.notes import MAX_LETTERS, MAX_NOTES

FORMAT, VERSION = "inglenook chat", 1
_MARK = b'"inglenook chat"'

Time = Annotated[float, Field(ge=0, le=250_000_000_000, allow_inf_nan=False)]
Words = Annotated[str, Field(max_length=1 << 20)]
Note = Annotated[str, Field(max_length=texts.MAX_TEXT)]
Name = Annotated[str, Field(max_length=200)]


def _unread_line(value: Any) -> str:
    """A line that could not be parsed; unlike other texts it may have lone surrogates for bytes that are no UTF-8."""
    if not isinstance(value, str):
        raise ValueError("a line is a text")
    return value


UnreadLine = Annotated[Any, AfterValidator(_unread_line)]


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _FactModel(_StrictModel):
    name: Annotated[str, Field(max_length=200)]
    value: Annotated[str, Field(max_length=2_000)] | Annotated[int, Field(ge=-(2**53), le=2**53)]
    unit: Annotated[str, Field(max_length=40)] = ""


class _LinesModel(_StrictModel):
    header: dict[str, Any] | None = None
    first: list[UnreadLine] = []
    line: dict[str, Any] | None = None
    after: list[UnreadLine] = []


class _AlternativeModel(_StrictModel):
    text: Words
    created_at: Time
    finish: Annotated[str, Field(max_length=40)] | None = None
    hint: Note = ""
    status: Annotated[list[_FactModel], Field(max_length=64)] | None = None


class _MessageModel(_StrictModel):
    role: Literal["user", "character", "narrator", "system"]
    name: Name
    active: Annotated[int, Field(ge=0)] = 0
    pinned: bool = False
    answer: bool = False
    created_at: Time
    wordings: Annotated[list[_AlternativeModel], Field(min_length=1, max_length=1_000)]
    extras: _LinesModel | None = None

    @model_validator(mode="after")
    def _one_counts(self) -> "_MessageModel":
        if self.active >= len(self.wordings):
            raise ValueError(f"there is no alternative {self.active}")
        return self


class _NoteModel(_StrictModel):
    first: Annotated[int, Field(ge=0)]
    last: Annotated[int, Field(ge=0)]
    text: Annotated[str, Field(min_length=1, max_length=MAX_LETTERS)]
    created_at: Time
    pinned: bool = False
    by_hand: bool = False
    stale: bool = False
    covered_by: Annotated[int, Field(ge=0)] | None = None


class _FileModel(_StrictModel):
    format: Literal["inglenook chat"]
    version: Literal[1]
    title: Name
    character_name: Name
    user_name: Name
    user_persona: Note = ""
    author_note: Note = ""
    reference: Note = ""
    settings: dict[str, Any] = {}
    lore: dict[str, Any] = {}
    extras: _LinesModel | None = None
    created_at: Time
    messages: Annotated[list[_MessageModel], Field(min_length=1, max_length=50_000)]
    notes: Annotated[list[_NoteModel], Field(max_length=MAX_NOTES)] = []
    memory: Annotated[dict[Name, bool], Field(max_length=8)] = {}

    @model_validator(mode="after")
    def _notes_are_about_messages(self) -> "_FileModel":
        for note in self.notes:
            if not note.first <= note.last < len(self.messages):
                raise ValueError(f"a note is about messages {note.first} to {note.last}: there are no such")
            if note.covered_by is not None and not note.covered_by < len(self.notes):
                raise ValueError(f"there is no note {note.covered_by}")
        return self


def is_native(data: bytes) -> bool:
    """Whether the bytes begin like a native file."""
    return data.removeprefix(bounded_json.BOM).lstrip()[:1] == b"{" and _MARK in data[:200]


def read(data: bytes, now: float, between: Callable[[], None] = lambda: None) -> ImportedFile:
    """The chat in a file; `between` is called after every message.

    Raises Refused "chat_too_large", "chat_newer", "chat_damaged".
    """
    limits.refuse_if_large(data, limits.NATIVE_FILE)
    try:
        value = bounded_json.parse(data.removeprefix(bounded_json.BOM), limits.NATIVE_FILE)
        if isinstance(value, dict) and isinstance(value.get("version"), int) and value["version"] > VERSION:
            raise Refused("chat_newer")
        file = _FileModel.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise Refused("chat_damaged", where=where) from error
    except JsonError as error:
        raise Refused("chat_damaged", where="its text") from error
    document = _document(file, between)
    n_more = sum(len(message.alternatives) - 1 for message in document.messages)
    findings = [Finding("applied", "messages", "chat_messages", {"n": len(document.messages)})]
    findings += [Finding("applied", "wordings", "chat_swipes", {"n": n_more})] if n_more else []
    return ImportedFile(document, tuple(findings))


def write(document: ChatDocument) -> bytes:
    """The file of a chat."""
    head = {"format": FORMAT, "version": VERSION, **{one.name: getattr(document, one.name) for one in fields(document)}}
    del head["messages"]
    head["notes"] = [_without_defaults(note) for note in document.notes]
    for name in ("notes", "memory"):  # what older programs do not know is left out where there is none
        if not head[name]:
            del head[name]
    rows = [bounded_json.dump(_row(message)) for message in document.messages]
    top = bounded_json.dump(head, indent=1).removesuffix(b"\n}")
    return top + b',\n "messages": [\n  ' + b",\n  ".join(rows) + b"\n ]\n}\n"


def _row(message: DocMessage) -> dict[str, Any]:
    """A message as an object of the file: fields that have their default value are left out."""
    row = _without_defaults(message)
    return {("wordings" if name == "alternatives" else name): value for name, value in row.items()} | {
        "wordings": [_without_defaults(alternative) for alternative in message.alternatives]
    }


def _without_defaults(part: DocMessage | DocAlternative | DocNote) -> dict[str, Any]:
    values = {field.name: (getattr(part, field.name), field.default) for field in fields(part)}
    return {name: value for name, (value, default) in values.items() if value != default}


def _document(file: _FileModel, between: Callable[[], None]) -> ChatDocument:
    return ChatDocument(
        character_name=_line(file.character_name),
        user_name=_line(file.user_name),
        messages=tuple(_doc_message(message, between) for message in file.messages),
        created_at=file.created_at,
        title=_line(file.title),
        user_persona=texts.clean(file.user_persona),
        author_note=texts.clean(file.author_note),
        reference=texts.clean(file.reference),
        settings=file.settings,
        lore=file.lore,
        extras=_extras(file.extras),
        notes=tuple(DocNote(**{**note.model_dump(), "text": texts.clean(note.text)}) for note in file.notes),
        memory=file.memory,
    )


def _doc_message(message: _MessageModel, between: Callable[[], None]) -> DocMessage:
    between()
    alternatives = tuple(
        DocAlternative(
            text=texts.clean(one.text),
            created_at=one.created_at,
            finish=one.finish,
            hint=texts.clean(one.hint),
            status=None if one.status is None else tuple(fact.model_dump() for fact in one.status),
        )
        for one in message.wordings
    )
    same = {name: getattr(message, name) for name in ("role", "created_at", "active", "pinned", "answer")}
    return DocMessage(name=_line(message.name), alternatives=alternatives, extras=_extras(message.extras), **same)


def _extras(extras: _LinesModel | None) -> dict[str, Any] | None:
    return None if extras is None else extras.model_dump(exclude_unset=True)


def _line(text: str) -> str:
    return " ".join(texts.clean(text).split())
