"""One attempt at one turn: story -> plan -> engine -> live events -> the end in SQL.

What it refuses to know: queues, leases, who else is running. It shows its attempt number with every change; when that
is Stale, somebody else owns the turn and everything here is dropped without a trace.
The end in SQL never waits for Redis: live events are best effort, the transcript is the truth.
How an attempt can end:

    Done                      commit                        event "done"
    Cancelled by the owner    cancel, keeping the text      event "cancelled"
    Cancelled by a shutdown   give_back, it runs again      event "state" queued
    Failed, or an error       fail, with a sentence         event "failed"
    the engine is gone        give_back, it runs again      event "state" queued
    Stale                     nothing                       none

When extending: a turn that writes more than one message gets more plans in `prompt.SCRIPTS` and a loop in `_write`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from rq.timeouts import JobTimeoutException

from engine.errors import EngineClosed, RequestError
from engine.events import Cancelled, Done, Failed, Reading, Text, Waking
from engine.segments import TurnRequest
from store import chats, turns
from store.errors import Stale, StoreError
from store.views import CommittedView
from worker.desk import Desk
from worker.prompt import Limits, PromptError, TurnPlan, plan_turn
from worker.running import RunningTurn, StopReason

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
PARTIAL_S = 1.0  # how often the text so far is saved: a crash loses at most this much of what was shown
SQL_TRIES = 3

INTERNAL = "Something went wrong on the server while this reply was written. Press retry to try again."
TOO_LONG = "This reply took longer than a turn may take. Press retry to try again."
TOO_OFTEN = "This turn was tried three times and the worker stopped each time. Press retry to try again."
EMPTY = "The model ended its reply without a word. Press retry to try again."

Value = TypeVar("Value")
Ending = Done | Cancelled | Failed


class Attempt:
    """The work of a lane on one claimed turn."""

    def __init__(self, desk: Desk, claim: turns.Claim) -> None:
        self._desk, self._turn, self._number = desk, claim.turn, claim.attempt
        self._running = RunningTurn(claim.turn.id, claim.turn.chat_id, claim.attempt)
        self._feed = desk.publisher.open(claim.turn.chat_id, claim.turn.id, claim.attempt)
        self._plan: TurnPlan | None = None
        self._text = ""
        self._state = "waking"
        self._saved_at = time.monotonic()

    def run(self) -> None:
        """Do it, however it ends. Raises nothing but what ends the process."""
        self._desk.running.add(self._running)
        if self._desk.draining.is_set():  # the drain began between the claim and here
            self._running.stop(StopReason.DRAINING)
        try:
            self._end_well()
        except Stale as stale:
            log.info("turn %s: dropped, %s", self._turn.id, stale.message)
            self._feed.end()
        except Exception:
            # the lease runs out and the reaper gives the turn to somebody
            log.exception("turn %s: its end could not be saved, attempt %d is abandoned", self._turn.id, self._number)
            self._feed.end()
        finally:
            self._desk.running.remove(self._running)

    def _end_well(self) -> None:
        try:
            self._settle(self._write())
        except Stale:
            raise
        except (PromptError, RequestError, StoreError) as error:
            self._fail(error.code, str(error))
        except EngineClosed:
            self._give_back()
        except JobTimeoutException:
            self._running.stop(StopReason.ABANDONED)
            self._fail("too_slow", TOO_LONG)
        except Exception:
            log.exception("turn %s: attempt %d failed", self._turn.id, self._number)
            self._running.stop(StopReason.ABANDONED)
            self._fail("internal", INTERNAL)

    # -- from the story to the last event of the engine ---------------------------------------------------------------

    def _write(self) -> Ending:
        if self._number > MAX_ATTEMPTS:
            return Failed("too_many_attempts", TOO_OFTEN)
        self._feed.state("waking")
        ticket = self._desk.engine.submit(self._request())
        self._running.on_stop(ticket.cancel)
        for event in ticket.events(timeout_s=1.0):
            if isinstance(event, Done | Cancelled | Failed):
                return event
            self._hear(event)
        raise EngineClosed("the engine ended a turn without saying how")

    def _request(self) -> TurnRequest:
        desk = self._desk
        story = chats.load_story(desk.db, self._turn.chat_id)
        minimal = self._number >= MAX_ATTEMPTS
        limits = Limits(desk.context, desk.max_reply, desk.engine.model_key, minimal)
        self._plan = plan = plan_turn(story, self._turn, desk.framing, limits)
        return TurnRequest(
            session=self._turn.chat_id,
            wanted=plan.wanted,
            reply=plan.reply,
            forgotten=plan.forgotten,
            pinned=plan.pinned,
            use_blocks=self._number == 1,
        )

    def _hear(self, event: Waking | Reading | Text) -> None:
        if isinstance(event, Reading):
            self._enter("reading", done=event.done, total=event.total)
        elif isinstance(event, Text):
            self._enter("writing")
            self._text += event.text
            self._feed.text(event.text)
            self._save_partial_sometimes()

    def _enter(self, state: str, **details: int) -> None:
        self._feed.state(state, **details)
        if state != self._state:
            self._state = state
            self._note(lambda: turns.set_state(self._desk.db, self._turn.id, self._number, state))

    def _save_partial_sometimes(self) -> None:
        if time.monotonic() - self._saved_at >= PARTIAL_S:
            self._saved_at = time.monotonic()
            self._note(lambda: turns.save_partial(self._desk.db, self._turn.id, self._number, self._text))

    def _note(self, change: Callable[[], None]) -> None:
        """A change in SQL that the turn can do without; only losing the turn itself counts."""
        try:
            change()
        except Stale:
            self._running.stop(StopReason.STALE)
            raise
        except JobTimeoutException:
            raise
        except Exception as error:
            log.warning("turn %s: the database did not take a note: %s", self._turn.id, error, exc_info=True)

    # -- the end in SQL -----------------------------------------------------------------------------------------------

    def _settle(self, ending: Ending) -> None:
        reason = self._running.reason
        if reason is StopReason.STALE:
            raise Stale(self._turn.id, self._number)
        if isinstance(ending, Done) and ending.text.strip():
            self._commit(ending)
        elif isinstance(ending, Done):
            self._fail("empty_reply", EMPTY)
        elif reason is StopReason.DRAINING or (isinstance(ending, Failed) and ending.code == EngineClosed.code):
            self._give_back()
        elif isinstance(ending, Cancelled):
            self._cancel(ending)
        else:
            self._fail(ending.code, ending.message)

    def _commit(self, done: Done) -> None:
        reply = self._reply(done, done.finish)
        window = dict(self._plan.window) if self._plan else None
        saved = self._persist(lambda: turns.commit(self._desk.db, self._turn.id, self._number, reply, window))
        self._feed.end(_ended("done", saved))

    def _cancel(self, cancelled: Cancelled) -> None:
        reply = self._reply(cancelled, "cancelled")
        window = dict(self._plan.window) if self._plan else None
        saved = self._persist(lambda: turns.cancel(self._desk.db, self._turn.id, self._number, reply, window))
        self._feed.end(_ended("cancelled", saved) if saved else self._cancelled_without_a_word())

    def _cancelled_without_a_word(self) -> dict[str, Any]:
        revision = chats.get_revision(self._desk.db, self._turn.chat_id)
        return {"type": "cancelled", "revision": revision, "message": None}

    def _fail(self, code: str, sentence: str) -> None:
        self._persist(lambda: turns.fail(self._desk.db, self._turn.id, self._number, code, sentence))
        log.warning("turn %s failed: %s: %s", self._turn.id, code, sentence)
        self._feed.end({"type": "failed", "error": {"code": code, "message": sentence}})

    def _give_back(self) -> None:
        if self._text:
            self._note(lambda: turns.save_partial(self._desk.db, self._turn.id, self._number, self._text))
        turn = self._persist(lambda: turns.give_back(self._desk.db, self._turn.id, self._number))
        log.info("turn %s: given back, it is %s now", self._turn.id, turn.state)
        self._feed.end({"type": "state", "state": "queued"} if turn.unfinished else self._cancelled_late())

    def _cancelled_late(self) -> dict[str, Any]:
        saved = turns.reply_to(self._desk.db, self._turn.id)
        return _ended("cancelled", saved) if saved else self._cancelled_without_a_word()

    def _reply(self, written: Done | Cancelled, finish: str) -> turns.Reply:
        return turns.Reply(
            text=written.text,
            tokens=written.tokens,
            model_key=self._desk.engine.model_key,
            finish=finish,
            stats=asdict(written.stats),
            name=self._plan.reply_name if self._plan else None,
        )

    def _persist(self, change: Callable[[], Value]) -> Value:
        """A change in SQL that must happen: a database that is busy for long gets more than one chance."""
        for n_left in reversed(range(SQL_TRIES)):
            try:
                return change()
            except (StoreError, JobTimeoutException):
                raise
            except Exception as error:
                if not n_left:
                    raise
                log.warning("turn %s: the database did not take its end, again: %s", self._turn.id, error)
                time.sleep(0.2)
        raise AssertionError("unreachable: the last try raises or returns")


def _ended(kind: str, saved: CommittedView) -> dict[str, Any]:
    return {"type": kind, "revision": saved.revision, "message": saved.as_dict()}
