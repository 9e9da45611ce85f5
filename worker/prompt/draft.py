"""What the parts of a turn have written so far, and the story as the next part has to see it. Pure.

A turn may reply, narrate, suggest and tell a status in one go; all of it reaches the database together at the end
(store/turns/end.py). What it refuses to know: SQL, events, the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from engine.events import Cancelled, Done, TurnStats
from store.turns import Outcome, Reply
from store.views import AlternativeView, MessageView, Story, TurnView
from worker.prompt.turn_kinds import PartSpec


@dataclass(slots=True)
class TurnDraft:
    """One attempt's work. `story` grows with what is written; `model_key` says whose tokens these are."""

    turn: TurnView
    story: Story
    model_key: str
    outcome: Outcome = field(default_factory=Outcome)

    def plan(self, window: dict[str, Any]) -> None:
        """What the session holds from now on; the next part goes on from there."""
        self.story = replace(self.story, chat=replace(self.story.chat, window=window))

    def spend(self, stats: TurnStats) -> None:
        """A part has ended, or was stopped: what it took, in seconds and tokens."""
        spent = {name: value + self.outcome.spent.get(name, 0) for name, value in asdict(stats).items()}
        self.outcome = replace(self.outcome, spent=spent)

    def write(
        self,
        spec: PartSpec,
        written: Done | Cancelled,
        words: Sequence[dict[str, Any]] = (),
        lore: Sequence[dict[str, Any]] = (),
    ) -> None:
        """A part that speaks has ended, or was stopped in its middle. `words`: see token_probabilities.py, `lore`: see
        lore.py."""
        if spec.kind == "suggest":
            self.outcome = replace(self.outcome, suggestion=written.text)
            return
        if not written.text.strip():
            return
        reply = self._reply(spec, written, {"words": list(words), "lore": list(lore)})
        self.outcome = replace(self.outcome, replies=(*self.outcome.replies, reply))
        self.story = replace(self.story, messages=self._messages(spec, reply))

    def tell(self, fields: Sequence[dict[str, Any]], tokens: tuple[int, ...]) -> None:
        """The status panel was filled."""
        status = {"fields": list(fields), "turn": self.turn.id, "tokens": list(tokens), "model_key": self.model_key}
        self.outcome = replace(self.outcome, status=status)
        if self.story.messages:
            *earlier, last = self.story.messages
            wordings = [replace(w, status=status) if w is last.chosen else w for w in last.alternatives]
            told = replace(last, alternatives=tuple(wordings))
            self.story = replace(self.story, messages=(*earlier, told))

    def _reply(self, spec: PartSpec, written: Done | Cancelled, explained: dict[str, Any]) -> Reply:
        before = spec.continues.text if spec.continues else ""
        told = {"hint": spec.hint, **explained}
        stats = asdict(written.stats) | {name: value for name, value in told.items() if value}
        return Reply(
            text=before + written.text,
            tokens=written.tokens,
            model_key=self.model_key,
            finish=written.finish if isinstance(written, Done) else "cancelled",
            stats=stats,
            name=spec.name,
            role=spec.role,
            grows=spec.continues is not None,
        )

    def _messages(self, spec: PartSpec, reply: Reply) -> tuple[MessageView, ...]:
        """The messages that the spec read, and the new one (or the new wording) behind them."""
        older = spec.retry_of or spec.continues
        ordinal = older.ordinal if older else 1 + max((m.ordinal for m in self.story.messages), default=-1)
        wording = AlternativeView(
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
            id=older.id if older else f"new-{ordinal}",
            chat_id=self.turn.chat_id,
            ordinal=ordinal,
            role=reply.role,
            name=reply.name or "",
            active=0,
            pinned=False,
            alternatives=(wording,),
            turn_id=self.turn.id,
            created_at=0.0,
        )
        return (*spec.messages, new)
