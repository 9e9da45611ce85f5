"""Our own file of a chat: JSON with everything that people wrote, chose or set, one message a line.

What it does: `write` and `read` are each other's reverse. Left out are tokens, their probabilities and the measures of
turns: they belong to one model on one machine.
What it refuses to know: other programs' files. A field that is not in these classes is refused: whoever adds one here
raises VERSION only if old programs would misread the new file.
"""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from store import texts
from store.chat_files import bounded
from store.chat_files.document import Read, Spoken, Tale, Wording
from store.errors import Refused
from store.import_findings import Finding

FORMAT, VERSION = "inglenook chat", 1
MAX_BYTES, MAX_DEPTH = 48 << 20, bounded.MAX_DEPTH + 12  # lines of other programs stand inside ours
_MARK = b'"inglenook chat"'

Time = Annotated[float, Field(ge=0, le=250_000_000_000, allow_inf_nan=False)]
Words = Annotated[str, Field(max_length=1 << 20)]
Note = Annotated[str, Field(max_length=texts.MAX_TEXT)]
Name = Annotated[str, Field(max_length=200)]


def _kept_line(value: Any) -> str:
    """A line that could not be read; unlike other texts it may have bytes in it that are no UTF-8."""
    if not isinstance(value, str):
        raise ValueError("a line is a text")
    return value


Kept = Annotated[Any, AfterValidator(_kept_line)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Fact(_Part):
    name: Annotated[str, Field(max_length=200)]
    value: Annotated[str, Field(max_length=2_000)] | int
    unit: Annotated[str, Field(max_length=40)] = ""


class _Lines(_Part):
    header: dict[str, Any] | None = None
    first: list[Kept] = []
    line: dict[str, Any] | None = None
    after: list[Kept] = []


class _Wording(_Part):
    text: Words
    created_at: Time
    finish: Annotated[str, Field(max_length=40)] | None = None
    hint: Note = ""
    status: Annotated[list[_Fact], Field(max_length=64)] | None = None


class _Message(_Part):
    role: Literal["user", "character", "narrator", "system"]
    name: Name
    active: Annotated[int, Field(ge=0)] = 0
    pinned: bool = False
    answer: bool = False
    created_at: Time
    wordings: Annotated[list[_Wording], Field(min_length=1, max_length=1_000)]
    extras: _Lines | None = None

    @model_validator(mode="after")
    def _one_counts(self) -> "_Message":
        if self.active >= len(self.wordings):
            raise ValueError(f"there is no wording {self.active}")
        return self


class _File(_Part):
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
    extras: _Lines | None = None
    created_at: Time
    messages: Annotated[list[_Message], Field(min_length=1, max_length=50_000)]


def is_whole(data: bytes) -> bool:
    """Whether these bytes mean to be a file of ours: that stands at its beginning."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{" and _MARK in data[:200]


def read(data: bytes, now: float) -> Read:
    """The chat in a file. Raises Refused "chat_too_large", "chat_newer", "chat_damaged"."""
    bounded.refuse_if_large(data, MAX_BYTES)
    try:
        value = bounded.loaded(data.removeprefix(b"\xef\xbb\xbf"), MAX_DEPTH)
        if isinstance(value, dict) and isinstance(value.get("version"), int) and value["version"] > VERSION:
            raise Refused("chat_newer")
        file = _File.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise Refused("chat_damaged", f"This file is damaged at {where}: bring along the whole file again.") from error
    except ValueError as error:
        raise Refused("chat_damaged", "This file is damaged at its text: bring along the whole file again.") from error
    tale = _tale(file)
    n_more = sum(len(message.wordings) - 1 for message in tale.messages)
    findings = [Finding("applied", "messages", "chat_messages", {"n": len(tale.messages)})]
    findings += [Finding("applied", "wordings", "chat_swipes", {"n": n_more})] if n_more else []
    return Read(tale, tuple(findings))


def write(tale: Tale) -> bytes:
    """The file of a chat."""
    head = {"format": FORMAT, "version": VERSION, **{one.name: getattr(tale, one.name) for one in fields(tale)}}
    del head["messages"]
    rows = [bounded.dumped(_row(message)) for message in tale.messages]
    top = bounded.dumped(head, indent=1).removesuffix(b"\n}")
    return top + b',\n "messages": [\n  ' + b",\n  ".join(rows) + b"\n ]\n}\n"


def _row(message: Spoken) -> dict[str, Any]:
    """A message without what is as usual."""
    return _unusual(message) | {"wordings": [_unusual(wording) for wording in message.wordings]}


def _unusual(part: Spoken | Wording) -> dict[str, Any]:
    values = {one.name: (getattr(part, one.name), one.default) for one in fields(part)}
    return {name: value for name, (value, usual) in values.items() if value != usual}


def _tale(file: _File) -> Tale:
    return Tale(
        character_name=_line(file.character_name),
        user_name=_line(file.user_name),
        messages=tuple(_spoken(message) for message in file.messages),
        created_at=file.created_at,
        title=_line(file.title),
        user_persona=texts.clean(file.user_persona),
        author_note=texts.clean(file.author_note),
        reference=texts.clean(file.reference),
        settings=file.settings,
        lore=file.lore,
        extras=_kept(file.extras),
    )


def _spoken(message: _Message) -> Spoken:
    wordings = tuple(
        Wording(
            text=texts.clean(one.text),
            created_at=one.created_at,
            finish=one.finish,
            hint=texts.clean(one.hint),
            status=None if one.status is None else tuple(fact.model_dump() for fact in one.status),
        )
        for one in message.wordings
    )
    given = {name: getattr(message, name) for name in ("role", "created_at", "active", "pinned", "answer")}
    return Spoken(name=_line(message.name), wordings=wordings, extras=_kept(message.extras), **given)


def _kept(extras: _Lines | None) -> dict[str, Any] | None:
    return None if extras is None else extras.model_dump(exclude_unset=True)


def _line(text: str) -> str:
    return " ".join(texts.clean(text).split())
