"""Lore that wakes: which entries a turn tells, where they stand, and what is remembered of it. Pure.

An entry that is awake is a segment of its own. It comes in where the new text begins, before the person's last word,
and stays in that place for as long as it is awake, also when the messages around it are forgotten; when it sleeps
again, the engine drops it from the middle. So a turn reads its new tokens and the entries that just woke, nothing else.
A card's depth prompt is such a segment, too; it moves down when it has come to stand twice as deep as it should.
What is remembered is part of the chat's window and committed with the turn: which entries it told and behind which
message each stands (`runs`), and when those woke that last or rest for a while (`woke`). What was remembered at the
ordinal of the reply or later belongs to a try that is being repeated, and does not count.
What a turn takes back at its end (suggest, status) finds what the turn before it told, and wakes nothing: it would only
move what the next turn needs. What it refuses to know: how keys are found (store/lore/match.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.segments import Segment
from store.lore.lenient import integer, mapping
from store.lore.match import ActivatedEntry, Activation, MatchContext, activate
from store.views import MessageView, Story
from worker.prompt.lorebooks import ChatLorebooks, explanation
from worker.prompt.persona import card_text
from worker.prompt.segments import Limits, PromptFraming
from worker.prompt.turn_kinds import PartSpec
from worker.prompt.window import WindowEntry

DEPTH_PROMPT, DEFAULT_DEPTH = "depth_prompt", 4
MAX_EXPLANATIONS = 60  # of explanation
_MAX_WAKINGS = 3  # wakings of an entry: the last may be repeated


@dataclass(frozen=True, slots=True)
class LorePlacement:
    """Where an entry stands: behind the message `behind`, since the reply `since`; `text` is a hash of what it says."""

    behind: int
    since: int
    text: str


@dataclass(frozen=True, slots=True)
class PartLore:
    """What a turn tells: its segments, each with the ordinal behind which it stands; what to remember; and why."""

    told: tuple[tuple[int, Segment], ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)
    why: tuple[dict[str, Any], ...] = ()


class LoreSelector:
    """Makes the lore of one part of a turn; `budget` in tokens."""

    def __init__(
        self,
        lorebooks: ChatLorebooks,
        story: Story,
        spec: PartSpec,
        framing: PromptFraming,
        limits: Limits,
        budget: int,
    ) -> None:
        self._lorebooks, self._spec, self._framing, self._budget = lorebooks, spec, framing, budget
        self._chat, self._minimal = story.chat.id, limits.minimal
        kept = mapping(story.chat.window.get("lore"))
        self._runs = {key: LorePlacement(*run) for key, run in mapping(kept.get("runs")).items()}
        self._woke = {key: list(ordinals) for key, ordinals in mapping(kept.get("woke")).items()}
        self._now = _ordinal_of_reply(spec)
        self._tokens: dict[str, tuple[int, ...]] = {}

    def tell(self, ahead: bool = False) -> PartLore:
        """What is told now. `ahead`: nobody has asked for a reply yet, so nothing wakes."""
        if self._minimal:
            return self.silence()
        if ahead or not self._spec.keep_in_session or self._spec.kind == "status":
            return self._as_it_was()
        found = activate(
            self._lorebooks.books, self._match_context(), lambda entry: len(self._read(entry.content)), self._budget
        )
        runs = {
            one.key: self._run(one.key, one.entry.content) for one in found.inserted if self._read(one.entry.content)
        }
        contents = {one.key: one.entry.content for one in found.inserted}
        if prompt := self._depth_prompt():
            contents[DEPTH_PROMPT] = prompt
            runs[DEPTH_PROMPT] = self._run(DEPTH_PROMPT, prompt, self._too_deep())
        return PartLore(self._segments(runs, contents), _stored(runs, self._wakings(found)), self._lines(found, runs))

    def silence(self) -> PartLore:
        """Nothing is told: there is no room for it."""
        return PartLore(memory=_stored({}, self._woke))

    def _as_it_was(self) -> PartLore:
        """What the last turn told, where it still says the same."""
        books = self._lorebooks.books
        contents = {f"{book}/{entry.place}": entry.content for book in books for entry in books[book].entries}
        contents[DEPTH_PROMPT] = self._depth_prompt()
        same = {key: run for key, run in self._runs.items() if self._says(contents.get(key, "")) == run.text}
        return PartLore(self._segments(same, contents), _stored(self._runs, self._woke))

    def _match_context(self) -> MatchContext:
        messages = self._spec.messages
        return MatchContext(
            texts=[message.text for message in reversed(messages)],
            ordinal=self._now,
            n_replies=sum(message.role == "character" for message in messages),
            activated_at=self._woke,
            roll=self._roll,
            expand_macros=self._lorebooks.expand_macros,
        )

    def _roll(self, key: str) -> int:
        """A die that falls the same way each time the same reply is written."""
        return _number(f"{self._chat} {key} {self._now}") % 100

    def _run(self, key: str, content: str, moves: bool = False) -> LorePlacement:
        """Where it stood in the last turn, or the place where the new text begins."""
        before, says = self._runs.get(key), self._says(content)
        if before is not None and before.since < self._now and before.text == says and not moves:
            return before
        return LorePlacement(_where_new_text_begins(self._spec.messages), self._now, says)

    def _segments(
        self, runs: Mapping[str, LorePlacement], contents: Mapping[str, str]
    ) -> tuple[tuple[int, Segment], ...]:
        """In the order in which they stand; one behind the other in the order of the books."""
        told = [
            (run.behind, Segment(f"lore:{key}@{run.behind}", self._read(contents[key]), True))
            for key, run in runs.items()
        ]
        return tuple(sorted(told, key=lambda one: one[0]))

    def _read(self, content: str) -> tuple[int, ...]:
        """The tokens of a content; none when nothing is left of it."""
        if content not in self._tokens:
            text = self._lorebooks.text(content)
            self._tokens[content] = self._framing.segment("note", "", text) if text else ()
        return self._tokens[content]

    def _says(self, content: str) -> str:
        return f"{_number(self._lorebooks.text(content)):016x}" if content else ""

    def _depth_prompt(self) -> str:
        return card_text(_depth_of(self._lorebooks.card), "prompt")

    def _too_deep(self) -> bool:
        """Whether the depth prompt has come to stand twice as deep as it should."""
        depth = max(0, integer(_depth_of(self._lorebooks.card).get("depth"), DEFAULT_DEPTH))
        run = self._runs.get(DEPTH_PROMPT)
        n_behind = sum(message.ordinal > run.behind for message in self._spec.messages) if run else 0
        return n_behind > max(1, 2 * depth)

    def _wakings(self, found: Activation) -> dict[str, list[int]]:
        """When those woke that last or rest for a while."""
        woke = {key: [at for at in ordinals if at < self._now] for key, ordinals in self._woke.items()}
        for one in found.inserted:
            if one.newly_activated and (one.entry.sticky or one.entry.cooldown):
                woke[one.key] = [*woke.get(one.key, ()), self._now][-_MAX_WAKINGS:]
        return woke

    def _lines(self, found: Activation, runs: Mapping[str, LorePlacement]) -> tuple[dict[str, Any], ...]:
        lines = [self._line(one, one.why) | {"new": runs[one.key].since == self._now} for one in found.inserted]
        lines += [self._line(one, "no_room") for one in found.over_budget]
        lines += [{"name": key[:80], "book": "", "why": "slow", "key": key[:80], "tokens": 0} for key in found.slow]
        return tuple(lines[:MAX_EXPLANATIONS])

    def _line(self, one: ActivatedEntry, why: str) -> dict[str, Any]:
        return explanation(one.entry, one.book, why, one.by, len(self._read(one.entry.content)))


def with_lore(entries: Sequence[WindowEntry], lore: PartLore) -> list[WindowEntry]:
    """The entries of a window with the lore in its places. It is never forgotten with the messages around it."""
    last = entries[-1].message if entries else None
    if last is None:
        return list(entries)
    result = list(entries)
    for behind, segment in lore.told:
        at = next((n for n, entry in enumerate(result) if _is_behind(entry, behind)), len(result))
        result.insert(at, WindowEntry(segment, last, pinned=True))
    return result


def _is_behind(entry: WindowEntry, ordinal: int) -> bool:
    """Whether a message, or what belongs to one, stands behind another."""
    is_lore = entry.segment.name.startswith("lore:")
    return not is_lore and entry.message is not None and entry.message.ordinal > ordinal


def _where_new_text_begins(messages: Sequence[MessageView]) -> int:
    """Before the person's last word if that is the last there is, else at the end: the ordinal before that place."""
    spoken = messages[:-1] if messages and messages[-1].role == "user" else messages
    return spoken[-1].ordinal if spoken else -1


def _ordinal_of_reply(spec: PartSpec) -> int:
    older = spec.retry_of or spec.continues
    return older.ordinal if older else 1 + max((message.ordinal for message in spec.messages), default=-1)


def _depth_of(card: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(mapping(card.get("extensions")).get("depth_prompt"))


def _stored(runs: Mapping[str, LorePlacement], woke: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """As the window keeps it; nothing when there is nothing to remember."""
    kept = {
        "runs": {key: [run.behind, run.since, run.text] for key, run in runs.items()},
        "woke": {key: list(ordinals) for key, ordinals in woke.items() if ordinals},
    }
    return {name: values for name, values in kept.items() if values}


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
