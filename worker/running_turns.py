"""The turns that this worker is running now: a small table that the lanes fill and the helper threads read.

It knows ids, attempts, how far each one is and how to stop it; not SQL, not Redis, not the engine.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum

N_DURATIONS = 40


class StopReason(StrEnum):
    """Why a running turn is told to stop. The first reason given counts."""

    CANCELLED = "cancelled"  # its owner pressed stop
    DRAINING = "draining"  # the worker is being shut down: the turn runs again later
    STALE = "stale"  # another attempt owns it: drop everything
    ABANDONED = "abandoned"  # its lane gave up: a time limit, or an error of ours


class RunningTurn:
    """One attempt at a turn in the hands of a lane."""

    def __init__(self, turn_id: str, chat_id: str, attempt: int) -> None:
        self.turn_id, self.chat_id, self.attempt = turn_id, chat_id, attempt
        self.since = time.monotonic()
        self.progress = ("waking", "")  # state, and what is written so far of the first part
        self.saved_progress = self.progress  # what of it is in SQL; whoever renews the leases keeps this
        self._lock = threading.Lock()
        self._reason: StopReason | None = None
        self._cancel: Callable[[], object] | None = None

    @property
    def reason(self) -> StopReason | None:
        """Why it was told to stop, None while it was not."""
        return self._reason

    def on_stop(self, cancel: Callable[[], object]) -> None:
        """Have `cancel` called when the turn is told to stop: at once when it already was."""
        with self._lock:
            self._cancel = cancel
            already = self._reason is not None
        if already:
            cancel()

    def stop(self, reason: StopReason) -> None:
        """Tell it to stop; only the first call has an effect."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            cancel = self._cancel
        if cancel is not None:
            cancel()


class RunningTurns:
    """All of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[tuple[str, int], RunningTurn] = {}
        self._durations: deque[float] = deque(maxlen=N_DURATIONS)
        self._before: list[Callable[[], object]] = []

    def on_begin(self, callback: Callable[[], object]) -> None:
        """Have `callback` called, in the lane's thread, whenever a turn begins."""
        self._before.append(callback)

    def add(self, turn: RunningTurn) -> None:
        """A lane has claimed it."""
        with self._lock:
            self._turns[turn.turn_id, turn.attempt] = turn
        for callback in self._before:
            callback()

    def remove(self, turn: RunningTurn) -> None:
        """The lane is done with it."""
        with self._lock:
            if self._turns.pop((turn.turn_id, turn.attempt), None) is not None:
                self._durations.append(time.monotonic() - turn.since)

    def ages_s(self) -> tuple[float, ...]:
        """For how long each one has been running."""
        now = time.monotonic()
        return tuple(round(now - turn.since, 2) for turn in self.all())

    def durations_s(self) -> tuple[float, ...]:
        """How long the last ones took, whatever their end."""
        with self._lock:
            return tuple(round(seconds, 2) for seconds in self._durations)

    def all(self) -> tuple[RunningTurn, ...]:
        """Those that run now."""
        with self._lock:
            return tuple(self._turns.values())

    def stop_all(self, reason: StopReason) -> None:
        """Tell every one to stop."""
        for turn in self.all():
            turn.stop(reason)
