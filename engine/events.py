"""Events of a turn, from the engine to the owner of a ticket. The whole vocabulary, in the order in which it can come:

    Waking?  ->  Reading*  ->  Text*  ->  Done | Cancelled | Failed

Exactly one of the last three ends every ticket, also when the engine's loop dies.

To add one: a class here and in `Event` (in `ENDS`, too, if it ends a turn), a name in engine/__init__.py, `Ticket.put`
where it happens, and the owners that must know it: engine/chat.py, engine/__main__.py, `on_event` in
worker/reply_collector.py (worker/attempt.py, if it ends a turn).
"""

from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class Waking:
    """The session's cells are being brought back from RAM or disk.

    It is not the worker's turn state "waking", which a turn has from its claim on; the worker ignores this event.
    """


@dataclass(frozen=True, slots=True)
class Reading:
    """`done` of `total` new tokens of the prompt have been read."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the reply, whole characters. `top` has, for each token in it, the likeliest tokens asked for."""

    text: str
    top: tuple[tuple[tuple[int, float], ...], ...] = ()


@dataclass(slots=True)
class TurnStats:
    """Where the tokens of a turn came from, and the seconds of its stages.

    `n_evaluated` counts prompt tokens that were decoded, `n_kept` those that were still in cells, `n_shared` those
    taken over from another session's cells, `n_restored` those loaded from blocks, `n_generated` the reply's.
    """

    n_kept: int = 0
    n_shared: int = 0
    n_restored: int = 0
    n_evaluated: int = 0
    n_generated: int = 0
    wait_s: float = 0.0
    wake_s: float = 0.0
    read_s: float = 0.0
    write_s: float = 0.0

    def add(self, other: "TurnStats") -> None:
        """Add what another turn took."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def note_read_again(self, n_tokens: int) -> None:
        """Tokens that are in cells must be read again, because the logits behind them are not cached."""
        n_kept = min(n_tokens, self.n_kept)
        self.n_kept -= n_kept
        self.note_lost(n_tokens - n_kept)

    def note_lost(self, n_tokens: int) -> None:
        """`n_tokens` that had been brought back, or kept, were given up again."""
        n_restored = min(n_tokens, self.n_restored)
        self.n_restored -= n_restored
        self.n_shared -= min(n_tokens - n_restored, self.n_shared)

    def note_source(self, source: str, n_tokens: int) -> None:
        """`n_tokens` came from another session's "cells", or else from a block."""
        if source == "cells":
            self.n_shared += n_tokens
        else:
            self.n_restored += n_tokens


@dataclass(frozen=True, slots=True)
class Done:
    """The turn is over. `tokens` are the reply's own (no header, no footer), exactly as the session holds them.

    `finish`: "end" (the model ended it), "stop" (a stop string), "length" (max_tokens), "read" (nothing to write).
    """

    text: str
    tokens: tuple[int, ...]
    finish: str
    stats: TurnStats = field(default_factory=TurnStats)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The owner stopped the turn; what was written until then is kept in the session, as in Done."""

    text: str
    tokens: tuple[int, ...]
    stats: TurnStats = field(default_factory=TurnStats)


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn could not be done. `code` is that of engine.errors; the session stays usable."""

    code: str
    message: str


Event = Waking | Reading | Text | Done | Cancelled | Failed
ENDS = (Done, Cancelled, Failed)
