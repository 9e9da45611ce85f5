"""The window: which examples and messages of a story the session holds; the oldest are evicted when it is full. Pure.

How: whole entries are evicted, oldest first, until 3/4 of the context are left (few large evictions, not many small
ones): examples, then messages, never a pinned one and never what belongs to the last message. Where the window begins
is kept with the chat.
What it refuses to know: what entries say, and what stands before and behind them (build.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.segments import Segment
from store.views import MessageView
from worker.prompt.segments import Limits, PromptFraming, message_segment

PINNED_SHARE = 4  # pinned messages may take one part of so many of the context


@dataclass(frozen=True, slots=True)
class WindowEntry:
    """A segment that can be evicted, and the message that it belongs to (None: an example)."""

    segment: Segment
    message: MessageView | None = None
    pinned: bool = False

    @property
    def n_tokens(self) -> int:
        """The length of the segment."""
        return len(self.segment.tokens)


@dataclass(frozen=True, slots=True)
class Window:
    """Where the prompt begins: the number of evicted examples, and the ordinal of the first message."""

    examples: int = 0
    messages: int = 0

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Window:
        """The window that a chat keeps."""
        return cls(int(stored.get("examples", 0)), int(stored.get("messages", 0)))

    def stored(self) -> dict[str, int]:
        """What the chat keeps of it."""
        return {"examples": self.examples, "messages": self.messages}


def visible_entries(
    messages: Sequence[MessageView], window: Window, framing: PromptFraming, limits: Limits
) -> list[WindowEntry]:
    """The messages of the window and the pinned ones before it, oldest first.

    Tokenizes from the newest backwards and stops one message after the context is full: what is older cannot stay.
    """
    visible: list[WindowEntry] = []
    n_tokens, n_pinned, inside = 0, 0, True
    for message in reversed(messages):
        if visible and (message.ordinal < window.messages or n_tokens > limits.context):
            inside = False
        if not inside and not message.pinned:
            continue
        segment = message_segment(message, framing, limits)
        pinned = message.pinned and n_pinned + len(segment.tokens) <= limits.context // PINNED_SHARE
        if inside or pinned:
            visible.append(WindowEntry(segment, message, pinned))
            n_tokens += len(segment.tokens)
            n_pinned += len(segment.tokens) if pinned else 0
    return visible[::-1]


def evict_to_fit(entries: Sequence[WindowEntry], n_fixed: int, limits: Limits) -> list[WindowEntry] | None:
    """Evict entries until the rest fits beside `n_fixed` tokens; None when even the last message alone does not fit."""
    last = entries[-1].message if entries else None
    total = n_fixed + sum(entry.n_tokens for entry in entries)
    if total <= limits.context and not limits.minimal:
        return list(entries)
    goal = limits.context // 2 if limits.minimal else limits.context * 3 // 4
    kept = []
    for entry in entries:
        must_stay = entry.pinned or (last is not None and entry.message is last)
        if total > goal and not must_stay:
            total -= entry.n_tokens
        else:
            kept.append(entry)
    return kept if total <= limits.context else None


def window_after(
    before: Window,
    entries: Sequence[WindowEntry],
    kept: Sequence[WindowEntry],
    messages: Sequence[MessageView],
    n_examples: int,
) -> Window:
    """The window after all `entries` but `kept` were evicted; `messages` and `n_examples`: all there are."""
    examples = n_examples - sum(entry.message is None for entry in kept)
    inside = [entry.message for entry in kept if entry.message is not None and not entry.pinned]
    ids_before, ids_after = ({entry.message.id for entry in some if entry.message} for some in (entries, kept))
    if not inside or (ids_before == ids_after and len(ids_before) == len(messages)):
        return Window(max(before.examples, examples), before.messages)
    return Window(max(before.examples, examples), max(before.messages, inside[0].ordinal))
