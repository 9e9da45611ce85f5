"""The draft of a turn: the results of its parts so far, and the story as the next part has to see it. Pure.

A turn may reply, narrate, suggest and fill in a status; all of it is committed in one transaction at the end
(store/turns/end.py).
What it refuses to know: SQL, events, the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from engine.events import Cancelled, Done, TurnStats
from store.turns import Outcome, Reply
from store.turns.kinds import Result
from store.views import AlternativeView, MessageView, Story, TurnView
from worker.prompt.turn_kinds import PartSpec
from worker.token_probabilities import grown_words, words_spelling


@dataclass(slots=True)
class TurnDraft:
    """The results of one attempt. `story` grows with each reply; `model_key` names the model that wrote the tokens."""

    turn: TurnView
    story: Story
    model_key: str
    outcome: Outcome = field(default_factory=Outcome)

    def set_window(self, window: dict[str, Any]) -> None:
        """Keep the window of a part: the next part starts from it."""
        self.story = replace(self.story, chat=replace(self.story.chat, window=window))

    def add_stats(self, stats: TurnStats) -> None:
        """Add the seconds and tokens that a part took."""
        spent = {name: value + self.outcome.spent.get(name, 0) for name, value in asdict(stats).items()}
        self.outcome = replace(self.outcome, spent=spent)

    def add_reply(
        self,
        spec: PartSpec,
        written: Done | Cancelled,
        words: Sequence[Mapping[str, Any]] = (),
        lore: Sequence[dict[str, Any]] = (),
        prompt: str | None = None,
        recalled: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Add the text of a part that has ended or was stopped.

        `words`: see token_probabilities.py, `lore`: the explanations of lore.py, `prompt`: prompt_record.py, packed;
        `recalled`: the receipt of recall.py; all are kept with the alternative.
        """
        if spec.result is Result.SUGGESTION:
            self.outcome = replace(self.outcome, suggestion=written.text)
            return
        if not written.text.strip():
            return
        if spec.continues:
            words = grown_words(spec.continues.text, _known_words(spec.continues), written.text, words)
        elif spec.begins and spec.retry_of:
            known = words_spelling(spec.begins, _known_words(spec.retry_of))
            words = grown_words(spec.begins, known, written.text, words)
        reply = self._reply(
            spec, written, {"words": list(words), "lore": list(lore), "recalled": list(recalled)}, prompt
        )
        self.outcome = replace(self.outcome, replies=(*self.outcome.replies, reply))
        self.story = replace(self.story, messages=self._messages(spec, reply))

    def add_status(self, fields: Sequence[dict[str, Any]], tokens: tuple[int, ...]) -> None:
        """Add a status: its fields, as parsed, and the tokens that the model wrote."""
        status = {"fields": list(fields), "turn": self.turn.id, "tokens": list(tokens), "model_key": self.model_key}
        self.outcome = replace(self.outcome, status=status)
        if self.story.messages:
            *earlier, last = self.story.messages
            alternatives = tuple(replace(a, status=status) if a is last.chosen else a for a in last.alternatives)
            self.story = replace(self.story, messages=(*earlier, replace(last, alternatives=alternatives)))

    def _reply(
        self, spec: PartSpec, written: Done | Cancelled, explanations: dict[str, Any], prompt: str | None
    ) -> Reply:
        before = spec.continues.text if spec.continues else spec.begins
        kept = {"hint": spec.hint, **explanations}
        stats = asdict(written.stats) | {name: value for name, value in kept.items() if value}
        return Reply(
            text=before + written.text,
            tokens=written.tokens,
            model_key=self.model_key,
            finish=written.finish if isinstance(written, Done) else "cancelled",
            stats=stats,
            name=spec.name,
            role=spec.role,
            grows=spec.continues is not None,
            prompt=prompt,
        )

    def _messages(self, spec: PartSpec, reply: Reply) -> tuple[MessageView, ...]:
        """The messages that the part read, and behind them the new one, or the changed one with its new text."""
        alternative = AlternativeView(
            position=0,
            text=reply.text,
            tokens=reply.tokens,
            model_key=reply.model_key,
            finish=reply.finish,
            turn_id=self.turn.id,
            stats=reply.stats,
            status=None,
            created_at=0.0,
        )
        new = MessageView(
            id=spec.target_id or f"new-{spec.ordinal}",
            chat_id=self.turn.chat_id,
            ordinal=spec.ordinal,
            role=reply.role,
            name=reply.name or "",
            active=0,
            pinned=False,
            alternatives=(alternative,),
            turn_id=self.turn.id,
            created_at=0.0,
        )
        return (*spec.messages, new)


def _known_words(message: MessageView) -> Sequence[Mapping[str, Any]]:
    """The words that were kept with the chosen alternative of a message."""
    words: Sequence[Mapping[str, Any]] = message.chosen.stats.get("words", ())
    return words
