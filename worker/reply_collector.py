"""The collector of a reply: turns the engine's events of one attempt into text, token probabilities, progress and
live events.

What it refuses to know: SQL, prompts, and what follows from the end of a part (attempt.py).
To add a kind of engine event (engine/events.py): a branch of `on_event`.
"""

from __future__ import annotations

from engine.errors import EngineClosed
from engine.events import Cancelled, Done, Event, Failed, Reading, Text
from worker.context import TurnTicket
from worker.publisher import TurnEvents
from worker.running_turns import RunningTurn
from worker.token_probabilities import TopTokens

EngineEnd = Done | Cancelled | Failed


class ReplyCollector:
    """What the parts of one attempt have brought so far. `text`: all that was shown of the first part."""

    def __init__(self, events: TurnEvents, running: RunningTurn) -> None:
        self.text = ""
        self.top_tokens: list[TopTokens] = []  # of the current part, one entry per token
        self._events, self._running = events, running
        self._part, self._shown = 0, True

    def begin_part(self, part: int, shown: bool) -> None:
        """Collect for part number `part` from now on; `shown`: its text is for people, not a status."""
        self._part, self._shown = part, shown
        self.top_tokens.clear()

    def collect(self, ticket: TurnTicket) -> EngineEnd:
        """Wait for the end of the part. Raises EngineClosed when the engine has died."""
        for event in ticket.events():
            if isinstance(event, Failed) and event.code == EngineClosed.code:
                raise EngineClosed(event.message)
            if isinstance(event, Done | Cancelled | Failed):
                return event
            self.on_event(event)
        raise EngineClosed("the engine ended a turn without an end event")

    def on_event(self, event: Event) -> None:
        """Take what happens before the end, on the engine's thread: nothing here may wait.

        `Waking` changes nothing: the turn has been in the state "waking" since its claim.
        """
        if isinstance(event, Reading):
            self._running.progress = "reading", self.text
            self._events.state("reading", done=event.done, total=event.total)
        elif isinstance(event, Text):
            self.top_tokens += event.top
            self._events.state("writing")
            if self._shown:
                self._events.text(event.text)
            if self._part == 0 and self._shown:
                self.text += event.text
            self._running.progress = "writing", self.text
