"""ChatDocument: a whole chat as a value, the common model of all chat file formats.

What it refuses to know: files, tables, tokens. Times are seconds. `extras` has the parts of JSONL lines that are not
understood here, for an export to give back: of a chat `header` (None: the file had none) and `first` (unreadable lines
before the first message), of a message `line` (its fields beside the texts) and `after` (unreadable lines behind it).
To add a field: here with a default; native.py (its model, `_document` or `_doc_message`); jsonl.py or jsonl_line.py if
that format has a place for it; both directions in chat_transfer.py; export.py; a value in
tests/store/chat_file_cases.py.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from store.import_findings import Finding


@dataclasses.dataclass(frozen=True)
class DocAlternative:
    """One alternative. `hint`: what the narrator was asked for; `status`: fields of the panel (name, value, unit)."""

    text: str
    created_at: float
    finish: str | None = None
    hint: str = ""
    status: tuple[Mapping[str, Any], ...] | None = None


@dataclasses.dataclass(frozen=True)
class DocMessage:
    """One message. `answer`: the model wrote it (a reply or a narration), so it can be retried."""

    role: str
    name: str
    alternatives: tuple[DocAlternative, ...]
    created_at: float
    active: int = 0
    pinned: bool = False
    answer: bool = False
    extras: Mapping[str, Any] | None = None

    @property
    def texts(self) -> list[str]:
        """The texts of all alternatives."""
        return [alternative.text for alternative in self.alternatives]

    @property
    def text(self) -> str:
        """The text of the active alternative."""
        return self.alternatives[self.active].text


@dataclasses.dataclass(frozen=True)
class DocNote:
    """A story note on the messages at the places `first` to `last`. `covered_by`: the place of the note that replaces
    it."""

    first: int
    last: int
    text: str
    created_at: float
    pinned: bool = False
    by_hand: bool = False
    stale: bool = False
    covered_by: int | None = None


@dataclasses.dataclass(frozen=True)
class ChatDocument:
    """A chat. A name that the file does not say is empty."""

    character_name: str
    user_name: str
    messages: tuple[DocMessage, ...]
    created_at: float
    title: str = ""
    user_persona: str = ""
    author_note: str = ""
    reference: str = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    lore: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    extras: Mapping[str, Any] | None = None
    notes: tuple[DocNote, ...] = ()
    memory: Mapping[str, bool] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ImportedFile:
    """The chat in a file, and the findings of its import report."""

    document: ChatDocument
    findings: tuple[Finding, ...] = ()
