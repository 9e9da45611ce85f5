"""The desk: what every turn of this process needs, in one place.

RQ imports the job function by its name and calls it with a turn id, so its collaborators cannot be arguments. The
process puts them on the one desk at its start (`open_desk`), the job function finds them there (`desk`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from redis import Redis

from engine.events import Event
from engine.segments import TurnRequest
from store.db import Database
from worker.prompt.segments import Framing
from worker.publisher import Publisher
from worker.running_turns import RunningTurns

LEASE_S = 6.0


class Ticket(Protocol):
    """A turn in the engine's hands."""

    def events(self, timeout_s: float = 1.0) -> Iterable[Event]:
        """What happens and was not heard, until it has ended; looks up at least every `timeout_s`."""

    def cancel(self) -> None:
        """Stop at the next token."""


class TurnEngine(Protocol):
    """What a lane needs of the engine."""

    model_key: str

    def submit(self, request: TurnRequest, on_event: Callable[[Event], None] | None = None) -> Ticket:
        """Start a turn; `on_event` gets what happens, but the end, on the engine's thread."""

    def resident(self) -> frozenset[str]:
        """The sessions that are in cells now."""


@dataclass(frozen=True)
class Desk:
    """The collaborators of every turn. `context` and `max_reply` are in tokens."""

    worker_name: str
    db: Database
    redis: Redis
    engine: TurnEngine
    framing: Framing
    piece: Callable[[int], bytes]
    publisher: Publisher
    context: int
    max_reply: int
    data_dir: Path
    narrations: int = 2
    running: RunningTurns = field(default_factory=RunningTurns)
    draining: threading.Event = field(default_factory=threading.Event)


_desks: list[Desk] = []


def open_desk(desk: Desk) -> None:
    """Make `desk` the one that jobs of this process use."""
    _desks[:] = [desk]


def desk() -> Desk:
    """The open desk."""
    if not _desks:
        raise RuntimeError("run_turn was called in a process that is no worker: start one with `python -m worker`")
    return _desks[0]
