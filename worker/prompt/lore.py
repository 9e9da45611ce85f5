"""Lore: which lorebook entries a part inserts, where they stand, and what is remembered of it. Pure.

An inserted entry is an ephemeral segment. It comes in where the new text begins, before the person's last message, and
stays in that place while it is active, also when the messages around it are evicted; once it is inactive, the engine
drops it from the middle of the session. So a turn reads its new tokens and the newly activated entries, nothing else.
A card's depth prompt is such a segment, too; it moves down when it stands twice as deep as it should.
Remembered, in the chat's window and committed with the turn, is where each entry stands (`runs`), and when entries with
a duration or a cooldown were activated (`woke`). What was remembered at the ordinal of the reply or later belongs to
the attempt or alternative that is being repeated, and does not count.
A part that leaves no trace in the session (suggest, status) reuses what the turn before it inserted and activates
nothing: that would only move what the next turn needs.
What it refuses to know: how keys are matched (store/lore/match.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.segments import Segment
from store.lore.lenient import integer, mapping
from store.lore.match import ActivatedEntry, Activation, MatchContext, activate
from store.turns.kinds import Result
from store.views import MessageView, Story
from worker.prompt.lorebooks import ChatLorebooks, ContentMeter, explanation
from worker.prompt.persona import card_text
from worker.prompt.segments import Limits, PromptFraming
from worker.prompt.turn_kinds import PartSpec
from worker.prompt.window import WindowEntry

PREFIX = "lore:"
DEPTH_PROMPT, DEFAULT_DEPTH = "depth_prompt", 4
MAX_EXPLANATIONS = 60
_MAX_ACTIVATIONS = 3  # remembered of each entry: the last may be repeated


@dataclass(frozen=True, slots=True)
class LorePlacement:
    """An entry stands behind the message with ordinal `behind` since the reply `since`; `text` is a hash of its
    text."""

    behind: int
    since: int
    text: str


@dataclass(frozen=True, slots=True)
class PartLore:
    """The lore of one part: its segments, each with the ordinal behind which it stands; what to remember; and why."""

    segments: tuple[tuple[int, Segment], ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)
    explanations: tuple[dict[str, Any], ...] = ()


class LoreSelector:
    """Selects the lore of one part of a turn; `budget` in tokens."""

    def __init__(
        self,
        lorebooks: ChatLorebooks,
        story: Story,
        spec: PartSpec,
        framing: PromptFraming,
        limits: Limits,
        budget: int,
    ) -> None:
        self._lorebooks, self._spec, self._budget = lorebooks, spec, budget
        self._chat, self._minimal = story.chat.id, limits.minimal
        memory = mapping(story.chat.window.get("lore"))
        self._placements = {key: LorePlacement(*values) for key, values in mapping(memory.get("runs")).items()}
        self._activated_at = {key: list(ordinals) for key, ordinals in mapping(memory.get("woke")).items()}
        self._meter = ContentMeter(lorebooks, lambda text: framing.segment("note", "", text), budget)

    def select(self, ahead: bool = False) -> PartLore:
        """The lore of this part. `ahead`: no reply has been requested yet, so nothing is activated."""
        if self._minimal:
            return self.none()
        if ahead or not self._spec.keep_in_session or self._spec.result is Result.STATUS:
            return self._same_as_before()
        activation = activate(
            self._lorebooks.books,
            self._match_context(),
            lambda entry: self._meter.n_tokens(entry.content),
            self._budget,
        )
        contents = {active.key: active.entry.content for active in activation.inserted}
        placements = {key: self._place(key, text) for key, text in contents.items() if self._meter.tokens(text)}
        if prompt := self._depth_prompt():
            contents[DEPTH_PROMPT] = prompt
            placements[DEPTH_PROMPT] = self._place(DEPTH_PROMPT, prompt, self._is_too_deep())
        return PartLore(
            segments=self._segments(placements, contents),
            memory=_stored(placements, self._activations(activation)),
            explanations=self._explanations(activation, placements),
        )

    def none(self) -> PartLore:
        """No lore at all: there is no room for it."""
        return PartLore(memory=_stored({}, self._activated_at))

    def _same_as_before(self) -> PartLore:
        """The lore of the last turn, as far as its text is still the same."""
        books = self._lorebooks.books
        contents = {f"{book}/{entry.place}": entry.content for book in books for entry in books[book].entries}
        contents[DEPTH_PROMPT] = self._depth_prompt()
        same = {key: at for key, at in self._placements.items() if self._hash(contents.get(key, "")) == at.text}
        return PartLore(self._segments(same, contents), _stored(self._placements, self._activated_at))

    def _match_context(self) -> MatchContext:
        messages = self._spec.messages
        return MatchContext(
            texts=[message.text for message in reversed(messages)],
            ordinal=self._spec.ordinal,
            n_replies=sum(message.role == "character" for message in messages),
            activated_at=self._activated_at,
            roll=self._roll,
            expand_macros=self._lorebooks.expand_macros,
        )

    def _roll(self, key: str) -> int:
        """A random number of 0 to 99 that is the same each time the same reply is written."""
        return _number(f"{self._chat} {key} {self._spec.ordinal}") % 100

    def _place(self, key: str, content: str, moves: bool = False) -> LorePlacement:
        """The place of the last turn, or the one where the new text begins."""
        before, text = self._placements.get(key), self._hash(content)
        if before is not None and before.since < self._spec.ordinal and before.text == text and not moves:
            return before
        return LorePlacement(_ordinal_before_new_text(self._spec.messages), self._spec.ordinal, text)

    def _segments(
        self, placements: Mapping[str, LorePlacement], contents: Mapping[str, str]
    ) -> tuple[tuple[int, Segment], ...]:
        """In the order in which they stand; in the same place in the order of the books."""
        segments = [
            (at.behind, Segment(f"{PREFIX}{key}@{at.behind}", self._meter.tokens(contents[key]), True))
            for key, at in placements.items()
        ]
        return tuple(sorted(segments, key=lambda placed: placed[0]))

    def _hash(self, content: str) -> str:
        return f"{_number(self._lorebooks.text(content)):016x}" if content else ""

    def _depth_prompt(self) -> str:
        return card_text(_depth_extension(self._lorebooks.card), "prompt")

    def _is_too_deep(self) -> bool:
        """Whether the depth prompt stands twice as deep as it should."""
        depth = max(0, integer(_depth_extension(self._lorebooks.card).get("depth"), DEFAULT_DEPTH))
        at = self._placements.get(DEPTH_PROMPT)
        n_behind = sum(message.ordinal > at.behind for message in self._spec.messages) if at else 0
        return n_behind > max(1, 2 * depth)

    def _activations(self, activation: Activation) -> dict[str, list[int]]:
        """The ordinals at which entries with a duration or a cooldown were activated."""
        now = self._spec.ordinal
        activated_at = {key: [at for at in ordinals if at < now] for key, ordinals in self._activated_at.items()}
        for active in activation.inserted:
            if active.newly_activated and (active.entry.sticky or active.entry.cooldown):
                activated_at[active.key] = [*activated_at.get(active.key, ()), now][-_MAX_ACTIVATIONS:]
        return activated_at

    def _explanations(
        self, activation: Activation, placements: Mapping[str, LorePlacement]
    ) -> tuple[dict[str, Any], ...]:
        now = self._spec.ordinal
        lines = [
            self._explain(entry, entry.why) | {"new": placements[entry.key].since == now}
            for entry in activation.inserted
            if entry.key in placements
        ]
        lines += [self._explain(entry, "no_room") for entry in activation.over_budget[:MAX_EXPLANATIONS]]
        lines += [
            {"name": key[:80], "book": "", "why": "slow", "key": key[:80], "tokens": 0}
            for key in activation.slow[:MAX_EXPLANATIONS]
        ]
        return tuple(lines[:MAX_EXPLANATIONS])

    def _explain(self, active: ActivatedEntry, why: str) -> dict[str, Any]:
        n_tokens = self._meter.n_tokens_known(active.entry.content)
        return explanation(active.entry, active.book, why, active.by, n_tokens)


def with_lore(entries: Sequence[WindowEntry], lore: PartLore) -> list[WindowEntry]:
    """The entries of a window with the lore in its places. Lore is not evicted with the messages around it."""
    last = entries[-1].message if entries else None
    if last is None:
        return list(entries)
    result = list(entries)
    for behind, segment in lore.segments:
        at = next((n for n, entry in enumerate(result) if _is_behind(entry, behind)), len(result))
        result.insert(at, WindowEntry(segment, last, pinned=True))
    return result


def _is_behind(entry: WindowEntry, ordinal: int) -> bool:
    """Whether a message, or what belongs to one, stands behind another."""
    is_lore = entry.segment.name.startswith((PREFIX, "cast:"))  # they belong to the last message, wherever they stand
    return not is_lore and entry.message is not None and entry.message.ordinal > ordinal


def _ordinal_before_new_text(messages: Sequence[MessageView]) -> int:
    """The ordinal behind which new text begins: before the person's message if it is the last one, else at the end."""
    earlier = messages[:-1] if messages and messages[-1].role == "user" else messages
    return earlier[-1].ordinal if earlier else -1


def _depth_extension(card: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(mapping(card.get("extensions")).get("depth_prompt"))


def _stored(placements: Mapping[str, LorePlacement], activated_at: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """What the window keeps; nothing when there is nothing to remember."""
    memory = {
        "runs": {key: [at.behind, at.since, at.text] for key, at in placements.items()},
        "woke": {key: list(ordinals) for key, ordinals in activated_at.items() if ordinals},
    }
    return {name: values for name, values in memory.items() if values}


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
