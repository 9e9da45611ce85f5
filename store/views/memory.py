"""Values about a story's long-term memory."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from store.memory.tables import StoryNoteRow
from store.views.from_row import view_of
from store.views.token_bytes import unpack_tokens


@dataclass(frozen=True)
class StoryNote:
    """A note on messages that have left the context window; the fields are those of `tables.StoryNoteRow`."""

    id: str
    chat_id: str
    first_ordinal: int
    last_ordinal: int
    written_after: int
    level: int
    covered_by: str | None
    text: str
    tokens: tuple[int, ...] | None = field(repr=False)
    model_key: str | None
    version: int
    state: str
    pinned: bool
    created_at: float
    edited_at: float | None

    @property
    def is_stale(self) -> bool:
        """Whether a message that it stands for has changed since it was written."""
        return self.state == "stale"

    @property
    def is_by_hand(self) -> bool:
        """Whether a person wrote its text: the model never replaces that unasked."""
        return self.edited_at is not None

    def as_dict(self) -> dict[str, Any]:
        """The note JSON of events and pages."""
        return {
            "id": self.id,
            "first": self.first_ordinal,
            "last": self.last_ordinal,
            "level": self.level,
            "covered": self.covered_by is not None,
            "text": self.text,
            "stale": self.is_stale,
            "pinned": self.pinned,
            "by_hand": self.is_by_hand,
            "created_at": self.created_at,
        }


@dataclass(frozen=True)
class KeptPassage:
    """What is remembered of a recalled passage: its source, its place there, and a hash of its text."""

    source: str
    start: int
    end: int
    digest: str
    is_note: bool = False


@dataclass(frozen=True)
class Passage(KeptPassage):
    """A passage of a message, or of a note (`is_note`), that has left the context window; `text` is plain.

    `source`: the id of the message or note; `ordinal`: that of the message, or of the last one that the note stands
    for.
    """

    ordinal: int = 0
    name: str = ""
    role: str = ""
    text: str = ""
    score: float = 0.0

    @property
    def kept(self) -> KeptPassage:
        """What is remembered of it."""
        return KeptPassage(self.source, self.start, self.end, self.digest, self.is_note)


def note_view(row: StoryNoteRow | Row[Any]) -> StoryNote:
    """The value of a row."""
    return view_of(StoryNote, row, tokens=unpack_tokens(row.tokens))
