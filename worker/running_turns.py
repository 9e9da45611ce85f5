"""Thread-safe registry of the turns running in this worker: the lanes fill it, the helper threads read it.

It holds ids, attempts, progress, and how to stop each turn.
What it refuses to know: SQL, Redis, the engine.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum

N_DURATIONS = 40  # of ended turns, for estimates of waiting times


class StopReason(StrEnum):
    """Why a running turn is stopped. The first reason counts."""

    CANCELLED = "cancelled"  # its owner pressed stop
    DRAINING = "draining"  # the worker is being shut down: the turn runs again later
    STALE = "stale"  # another attempt owns it: drop everything
    ABANDONED = "abandoned"  # its lane gave up: a time limit, or an error of ours


class RunningTurn:
    """One attempt at a turn, running in a lane."""

    def __init__(self, turn_id: str, chat_id: str, attempt: int) -> None:
        self.turn_id, self.chat_id, self.attempt = turn_id, chat_id, attempt
        self.since = time.monotonic()
        self.progress = ("waking", "")  # state, and the text so far of the first part
        self.saved_progress = self.progress  # what of it is in SQL; `heartbeat.renew_leases` sets it
        self._lock = threading.Lock()
        self._reason: StopReason | None = None
        self._cancel: Callable[[], object] | None = None

    @property
    def reason(self) -> StopReason | None:
        """Why it was stopped; None while it was not."""
        return self._reason

    def on_stop(self, cancel: Callable[[], object]) -> None:
        """Call `cancel` when the turn is stopped; at once if it already was."""
        with self._lock:
            self._cancel = cancel
            already = self._reason is not None
        if already:
            cancel()

    def stop(self, reason: StopReason) -> None:
        """Stop it; only the first call has an effect."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            cancel = self._cancel
        if cancel is not None:
            cancel()


class RunningTurns:
    """Thread-safe registry of the turns running in this worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[tuple[str, int], RunningTurn] = {}
        self._durations: deque[float] = deque(maxlen=N_DURATIONS)
        self._on_begin: list[Callable[[], object]] = []

    def on_begin(self, callback: Callable[[], object]) -> None:
        """Call `callback` in the lane's thread whenever a turn begins."""
        self._on_begin.append(callback)

    def add(self, turn: RunningTurn) -> None:
        """Register a turn that a lane has claimed."""
        with self._lock:
            self._turns[turn.turn_id, turn.attempt] = turn
        for callback in self._on_begin:
            callback()

    def remove(self, turn: RunningTurn) -> None:
        """Remove a turn that has ended."""
        with self._lock:
            if self._turns.pop((turn.turn_id, turn.attempt), None) is not None:
                self._durations.append(time.monotonic() - turn.since)

    def ages_s(self) -> tuple[float, ...]:
        """The seconds for which each turn has been running."""
        now = time.monotonic()
        return tuple(round(now - turn.since, 2) for turn in self.all())

    def durations_s(self) -> tuple[float, ...]:
        """The seconds that the last turns took, whatever their end."""
        with self._lock:
            return tuple(round(seconds, 2) for seconds in self._durations)

    def all(self) -> tuple[RunningTurn, ...]:
        """The turns that run now."""
        with self._lock:
            return tuple(self._turns.values())

    def stop_all(self, reason: StopReason) -> None:
        """Stop all of them."""
        for turn in self.all():
            turn.stop(reason)
