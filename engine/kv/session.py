"""A session: the segments that the KV state of one chat is made of. Bookkeeping only; touches no cell.

`held` are complete segments (oldest first), `open` is the one being read or written. Positions grow without gaps except
where an eviction left a hole. Each held segment knows the runs of cells it lives in while the session is resident.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from engine.blocks.store import segment_key
from engine.segments import Segment


@dataclass(slots=True)
class CellRun:
    """Cells decoded or restored together (reference count): shared by `n_owners` sequences, freed by the last."""

    n_tokens: int
    n_owners: int = 1


@dataclass(slots=True)
class Held:
    """A complete segment at `position`, with the key of its block; `runs` is empty while the session is parked.

    `origin`: see Session.origin_of.
    """

    segment: Segment
    position: int
    key: bytes
    runs: list[CellRun] = field(default_factory=list)
    origin: bytes = b""

    @property
    def end(self) -> int:
        """The position behind its last token."""
        return self.position + len(self.segment.tokens)


@dataclass(frozen=True, slots=True)
class HeldView:
    """A read-only copy of a complete segment: its tokens, its `position`, the key of its block."""

    segment: Segment
    position: int
    key: bytes

    @property
    def end(self) -> int:
        """The position behind its last token."""
        return self.position + len(self.segment.tokens)


@dataclass(slots=True)
class Open:
    """The segment at the end of a session that tokens are still added to."""

    name: str
    position: int
    tokens: list[int] = field(default_factory=list)
    runs: list[CellRun] = field(default_factory=list)
    ephemeral: bool = False
    origin: bytes = b""

    @property
    def end(self) -> int:
        """The position behind its last token."""
        return self.position + len(self.tokens)


@dataclass(slots=True)
class Session:
    """The KV state of one chat. `sequence` is None while it is parked. `busy` while a lane works on it.

    `unread` while its manifest, which says what it holds, has not been read. `sound` while reading may go on at its end
    (resume.py). `checkpoints`: keys of those at the ends of its last turns, `short_checkpoints` of those in its last
    reply; oldest first. `n_forgettings`: turns that have evicted something. `n_pinned`: its first segments, which
    others may share.
    """

    name: str
    model_key: str
    held: list[Held] = field(default_factory=list)
    open: Open | None = None
    sequence: int | None = None
    busy: bool = False
    unread: bool = False
    sound: bool = True
    checkpoints: list[bytes] = field(default_factory=list)
    short_checkpoints: list[bytes] = field(default_factory=list)
    n_forgettings: int = 0
    n_pinned: int = 1
    last_used: float = 0.0

    @property
    def end(self) -> int:
        """The next position."""
        if self.open is not None:
            return self.open.end
        return self.held[-1].end if self.held else 0

    @property
    def parked(self) -> bool:
        """Whether it holds segments whose cells have been given back."""
        return bool(self.held) and not self.held[0].runs

    @property
    def n_tokens(self) -> int:
        """Tokens held, the open segment included."""
        return sum(len(held.segment.tokens) for held in self.held) + (len(self.open.tokens) if self.open else 0)

    def forgets(self, forgotten: AbstractSet[str]) -> bool:
        """Whether it holds a segment that is to be evicted."""
        return any(held.segment.name in forgotten for held in self.held)

    def view(self) -> tuple[HeldView, ...]:
        """The complete segments with their positions and keys."""
        return tuple(HeldView(held.segment, held.position, held.key) for held in list(self.held))

    def segments(self) -> tuple[Segment, ...]:
        """The complete segments."""
        return tuple(held.segment for held in self.held)

    def key_of(self, position: int, tokens: list[int] | tuple[int, ...], origin: bytes = b"") -> bytes:
        """Key of `tokens` at `position`, read behind everything held now, and after an `origin`."""
        return self._key_behind(len(self.held), position, tokens, origin)

    def _key_behind(self, n_held: int, position: int, tokens: list[int] | tuple[int, ...], origin: bytes) -> bytes:
        visible = [(origin, -1)] if origin else []
        visible += [(held.key, held.position) for held in self.held[:n_held]]
        return segment_key(self.model_key, visible, position, tokens)

    def origin_of(self, held: Held, index: int) -> bytes:
        """What the key of a part of `held`, which stands at `index`, must cover besides what is visible now.

        Its own key, when it has seen something that is not held any more (or that was elsewhere).
        """
        same = self._key_behind(index, held.position, held.segment.tokens, held.origin) == held.key
        return held.origin if same else held.key

    def key_behind(self, index: int, n_tokens: int) -> bytes:
        """Key of the first `n_tokens` of held segment `index`, read where it was."""
        held = self.held[index]
        if n_tokens == len(held.segment.tokens):
            return held.key
        return self._key_behind(index, held.position, held.segment.tokens[:n_tokens], self.origin_of(held, index))

    def prefix_key(self) -> bytes:
        """Key of this very point of the session, the open segment included: the key of its logits in the cache."""
        if self.open is None:
            return self.key_of(self.end, ())
        return self.key_of(self.open.position, self.open.tokens, self.open.origin)

    def begin(self, name: str, ephemeral: bool = False) -> Open:
        """Open an empty segment at the end."""
        assert self.open is None
        self.open = Open(name, self.end, ephemeral=ephemeral)
        return self.open

    def reopen(self, name: str, ephemeral: bool = False) -> Open:
        """Open the last held segment again, under another name, to let it grow."""
        assert self.open is None
        last = self.held.pop()
        origin = self.origin_of(last, len(self.held))
        self.open = Open(name, last.position, list(last.segment.tokens), last.runs, ephemeral, origin)
        return self.open

    def complete(self) -> Held | None:
        """Close the open segment and hold it; None, and nothing held, when it is empty."""
        opened, self.open = self.open, None
        if opened is None or not opened.tokens:
            return None
        key = self.key_of(opened.position, opened.tokens, opened.origin)
        segment = Segment(opened.name, tuple(opened.tokens), opened.ephemeral)
        held = Held(segment, opened.position, key, opened.runs, opened.origin)
        self.held.append(held)
        return held
