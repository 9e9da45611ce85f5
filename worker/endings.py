"""The table of endings: each way in which an attempt can end, with its change in SQL, its live event and its log line.

    how the attempt ends             here         in SQL, behind the fence       last live event
    every part is Done               `commit`     turns.commit                   done
    Cancelled by the chat's owner    `cancel`     turns.cancel, keeps the text   cancelled
    Failed, or an error              `fail`       turns.fail, with the reason    failed
    the worker drains                `give_back`  turns.give_back: runs again    state: queued
    the engine has died              `give_back`  the same, counts as a crash    state: queued
    another attempt owns the turn    `drop`       none (Stale)                   none
    the end cannot be saved          `drop`       none: kept in a file           none

A turn that is given back although its owner has pressed stop ends as cancelled.
SQL comes first and never waits for Redis: live events are best effort, the transcript is the truth.
An end that a locked, full or restarting database does not take is tried again until it is in, or another attempt owns
the turn: what was written to its last word never ends as failed because somebody else writes. An end that a database
which does not work (an I/O error, a read-only file) has refused for SQL_PATIENCE_S is kept in a file (kept_ends.py):
the lease runs out, and the next attempt at the turn saves it.
To add an ending: a line above, a method here, its step in store/turns/, the branch in worker/attempt.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from rq.timeouts import JobTimeoutException

from store import turns
from store.db import Database, DatabaseTrouble, is_trouble_of_the_server, will_pass
from store.errors import Failure, Stale
from store.views import EndView
from worker.kept_ends import KeptEnd, KeptEnds
from worker.publisher import TurnEvents

log = logging.getLogger(__name__)

SQL_PATIENCE_S = 5.0  # how long an end is retried that the database refuses for another reason than being busy
PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0

Value = TypeVar("Value")
Window = dict[str, Any] | None


class NotSaved(Exception):
    """The database does not work: the end of a turn lies in a file."""


class Endings:
    """The endings of one attempt. All but `drop` raise Stale when another attempt owns the turn."""

    def __init__(self, db: Database, claim: turns.Claim, events: TurnEvents, kept: KeptEnds) -> None:
        self._db, self._turn_id, self._attempt = db, claim.turn.id, claim.attempt
        self._events, self._kept = events, kept

    def commit(self, outcome: turns.Outcome, window: Window) -> None:
        """Every part is done. Raises NotSaved."""
        self._save("done", turns.commit, outcome, window)

    def cancel(self, outcome: turns.Outcome, window: Window) -> None:
        """The owner of the chat pressed stop: what was written stays. Raises NotSaved."""
        self._save("cancelled", turns.cancel, outcome, window)

    def fail(self, failure: Failure) -> None:
        """It failed; web turns the reason and its values into a sentence for the owner of the chat."""
        self._persist(lambda: turns.fail(self._db, self._turn_id, self._attempt, failure))
        log.warning("turn %s failed: %s", self._turn_id, failure)
        self._events.end({"type": "failed", "error": failure.as_dict()})

    def give_back(self, partial: str, crashed: bool) -> None:
        """The turn shall run again, perhaps in another worker; `partial` stays visible until then."""
        if partial:
            self._save_partial(partial)
        turn = self._persist(lambda: turns.give_back(self._db, self._turn_id, self._attempt, crashed=crashed))
        log.info("turn %s: given back, it is %s now", self._turn_id, turn.state)
        if turn.unfinished:
            self._events.end({"type": "state", "state": "queued"})
        else:
            self._events.end({"type": "cancelled", **turns.result_of(self._db, self._turn_id).as_dict()})

    def save_kept(self) -> bool:
        """Save what an earlier attempt wrote and could not save, if there is anything. Raises NotSaved."""
        end = self._kept.find(self._turn_id)
        if end is not None:
            (self.cancel if end.cancelled else self.commit)(end.outcome, end.window)
        return end is not None

    def drop(self) -> None:
        """End without a trace: nothing more is announced."""
        self._events.end()

    def _save(self, event_type: str, change: Callable[..., EndView], outcome: turns.Outcome, window: Window) -> None:
        while True:
            try:
                saved = self._persist(lambda: change(self._db, self._turn_id, self._attempt, outcome, window))
                break
            except DatabaseTrouble as error:
                if not is_trouble_of_the_server(error):
                    raise
                if self._keep(KeptEnd(self._turn_id, event_type == "cancelled", outcome, window)):
                    raise NotSaved(f"the database does not work ({error}), what was written is in a file") from error
        self._kept.forget(self._turn_id)
        self._events.end({"type": event_type, **saved.as_dict()})

    def _keep(self, end: KeptEnd) -> bool:
        """Whether what was written could be kept in a file; if not, the database is tried again."""
        try:
            self._kept.keep(end)
        except OSError as error:
            log.error("turn %s: neither the database nor a file takes its end: %s", self._turn_id, error)
            return False
        return True

    def _save_partial(self, partial: str) -> None:
        """Save the text so far, if the database takes it."""
        try:
            turns.save_partial(self._db, self._turn_id, self._attempt, partial)
        except (Stale, JobTimeoutException):
            raise
        except Exception as error:
            log.warning("turn %s: its partial text was not saved: %s", self._turn_id, error, exc_info=True)

    def _persist(self, change: Callable[[], Value]) -> Value:
        """Make a change in SQL, again and again while others keep the database busy. Raises Stale, DatabaseTrouble.

        The time limit of the job does not count any more: it is for writing, and the text is written.
        """
        deadline, pause_s = time.monotonic() + SQL_PATIENCE_S, PAUSE_S
        while True:
            try:
                return change()
            except DatabaseTrouble as error:
                if not will_pass(error) and time.monotonic() > deadline:
                    raise
                log.warning("turn %s: the database did not take its end, trying again: %s", self._turn_id, error)
            except JobTimeoutException:
                log.warning("turn %s: its time is over, its end is still being saved", self._turn_id)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
