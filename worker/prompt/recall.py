"""Recall in a prompt: what the last messages ask, and the one ephemeral segment that tells what was found. Pure.

The segment stands before the person's last message, and what was recalled is remembered for that message with the
chat's window: a retry, a continue, a suggestion find the same segment and read nothing again. Its name is a hash of its
content, so another one is another segment; it leaves the middle of the session token-exactly, as every note does.
What it refuses to know: how passages are found (store/memory/recall.py), and SQL (worker/recall.py asks).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.segments import Segment
from store.views import KeptPassage, Passage, Story
from worker.prompt.segments import PromptFraming

PREFIX = "recall:"
MAX_EXCERPT = 200  # letters of a passage in the receipt
_HEADING = {"en": "Earlier in the story, the newest first:", "zh": "故事里早先说过(由新到旧):"}


@dataclass(frozen=True, slots=True)
class Recalled:
    """What was recalled for the person's last message; `memory`: what the chat's window keeps of it."""

    passages: tuple[Passage, ...] = ()
    memory: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RecallQuestion:
    """The texts that ask: the person's last message, then the one before it. `key`: a hash of the message's place and
    both."""

    texts: tuple[str, ...]
    key: str


def question_of(story: Story) -> RecallQuestion | None:
    """What a story asks its past; None while its person has said nothing."""
    places = [n for n, message in enumerate(story.messages) if message.role == "user"]
    if not places:
        return None
    last = story.messages[places[-1]]
    before = story.messages[places[-1] - 1 : places[-1]]
    texts = (last.text, *(message.text for message in before))
    return RecallQuestion(texts, _hash("\0".join((str(last.ordinal), *texts))))


def remembered(story: Story, question: RecallQuestion) -> tuple[KeptPassage, ...] | None:
    """What the window remembers for this question; None when it was not asked yet."""
    memory = story.chat.window.get("recall")
    if not isinstance(memory, Mapping) or memory.get("asked") != question.key:
        return None
    return tuple(KeptPassage(*values) for values in memory.get("kept", ()))


def memory_of(question: RecallQuestion, passages: Sequence[Passage]) -> dict[str, Any]:
    """What the window keeps: places and hashes, no texts; the best first, since scores are not kept."""
    best = sorted(passages, key=lambda one: -one.score)
    kept = [[one.source, one.start, one.end, one.digest, one.is_note] for one in best]
    return {"asked": question.key, "kept": kept}


@dataclass(frozen=True, slots=True)
class ToldRecall:
    """The segment of a recall, None without any, and the passages in it."""

    segment: Segment | None = None
    passages: tuple[Passage, ...] = ()

    def receipts(self, wanted: frozenset[str]) -> tuple[dict[str, Any], ...]:
        """What was recalled and from where, for the reply's stats; nothing when the segment found no room."""
        if self.segment is None or self.segment.name not in wanted:
            return ()
        return tuple(map(_receipt, self.passages))


def told_recall(recalled: Recalled | None, story: Story, framing: PromptFraming, budget: int) -> ToldRecall:
    """As many of the passages as `budget` tokens have room for, the best first."""
    told = ToldRecall()
    passages: list[Passage] = []
    for passage in sorted(recalled.passages if recalled else (), key=lambda one: -one.score):
        more = sorted((*passages, passage), key=lambda one: -one.ordinal)
        tokens = framing.segment("note", "", _text(more, story))
        if len(tokens) <= budget:
            passages = more
            told = ToldRecall(Segment(f"{PREFIX}{_hash(_text(more, story))}", tokens, True), tuple(more))
    return told


def _text(passages: Sequence[Passage], story: Story) -> str:
    heading = _HEADING["zh" if story.character.locale.startswith("zh") else "en"]
    return "\n".join((heading, *map(_line, passages)))


def _line(passage: Passage) -> str:
    """A narration and a note have no speaker."""
    speaks = passage.name and passage.role != "narrator"
    return f"- {passage.name}: {passage.text}" if speaks else f"- {passage.text}"


def _receipt(passage: Passage) -> dict[str, Any]:
    text = passage.text
    excerpt = text if len(text) <= MAX_EXCERPT else f"{text[:MAX_EXCERPT]}…"
    source = {"message": None, "note": passage.source} if passage.is_note else {"message": passage.source}
    return {**source, "ordinal": passage.ordinal, "name": passage.name, "excerpt": excerpt}


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()
