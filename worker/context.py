"""The context of a worker: the collaborators that every turn of this process needs, in one place.

RQ imports the job function by its name and calls it with a turn id, so collaborators cannot be arguments. The process
sets the one context at its start (`open_context`), the job function asks for it (`current_context`).
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
from worker.prompt.segments import Limits, PromptFraming
from worker.publisher import Publisher
from worker.running_turns import RunningTurns

LEASE_S = 6.0
RECALL_SHARE = 8  # what is recalled takes one part of so many of the context at most


class TurnTicket(Protocol):
    """A turn that the engine has accepted (engine/ticket.py)."""

    def events(self, timeout_s: float = 1.0) -> Iterable[Event]:
        """The events until the end that `on_event` did not get; checks at least every `timeout_s` that the engine
        lives."""

    def cancel(self) -> None:
        """Stop at the next token."""


class TurnEngine(Protocol):
    """What a worker's turns need of the engine (engine/engine.py)."""

    model_key: str

    def submit(self, request: TurnRequest, on_event: Callable[[Event], None] | None = None) -> TurnTicket:
        """Start a turn; `on_event` gets every event but the end, on the engine's thread."""

    def resident(self) -> frozenset[str]:
        """The ids of the sessions that are in cells now."""


@dataclass(frozen=True)
class WorkerContext:
    """The collaborators of every turn. `piece`: the bytes of a token; `narrations`: how many stay in a session."""

    worker_name: str
    db: Database
    redis: Redis
    engine: TurnEngine
    framing: PromptFraming
    piece: Callable[[int], bytes]
    publisher: Publisher
    context_tokens: int
    max_reply_tokens: int
    data_dir: Path
    narrations: int = 2
    longest_reply_tokens: int = 900
    recall_tokens: int = 300
    running: RunningTurns = field(default_factory=RunningTurns)
    draining: threading.Event = field(default_factory=threading.Event)

    def limits(self, minimal: bool = False) -> Limits:
        """The limits of a prompt; `minimal`: as little of the chat as possible."""
        return Limits(
            context=self.context_tokens,
            max_reply=self.max_reply_tokens,
            model_key=self.engine.model_key,
            minimal=minimal,
            narrations=self.narrations,
            longest_reply=self.longest_reply_tokens,
            recall=min(self.recall_tokens, self.context_tokens // RECALL_SHARE),
        )


_contexts: list[WorkerContext] = []


def open_context(context: WorkerContext) -> None:
    """Make `context` the one that jobs of this process use."""
    _contexts[:] = [context]


def current_context() -> WorkerContext:
    """The context of this process."""
    if not _contexts:
        raise RuntimeError("run_turn was called in a process that is no worker: start one with `python -m worker`")
    return _contexts[0]
