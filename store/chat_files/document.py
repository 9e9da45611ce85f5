"""A whole chat as a value: what every kind of file is read into and written from.

What it refuses to know: files, tables, tokens. Times are seconds. `extras` is what lines of JSON had beside what is
understood here, for an export to give back: of a chat `header` (None: the file had none) and `first` (lines before any
message that are none), of a message `line` (its fields beside the texts) and `after` (lines behind it that are none).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from store.import_findings import Finding


@dataclasses.dataclass(frozen=True)
class DocAlternative:
    """One alternative. `hint` is what a narrator was asked, `status` the facts of the panel: name, value, unit each."""

    text: str
    created_at: float
    finish: str | None = None
    hint: str = ""
    status: tuple[Mapping[str, Any], ...] | None = None


@dataclasses.dataclass(frozen=True)
class DocMessage:
    """One message. `answer`: it is a reply or a narration, so that another wording can be asked for."""

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
        """The texts of all wordings."""
        return [wording.text for wording in self.alternatives]

    @property
    def text(self) -> str:
        """The text that counts."""
        return self.alternatives[self.active].text


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


@dataclasses.dataclass(frozen=True)
class ImportedFile:
    """What a file held, and what to tell about it."""

    document: ChatDocument
    findings: tuple[Finding, ...] = ()
