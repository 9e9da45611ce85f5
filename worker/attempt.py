"""One attempt at one turn: story -> plan -> engine -> live events, part by part, then the end in SQL.

What it refuses to know: queues, leases, who else is running. It shows its attempt number with every change; when that
is Stale, somebody else owns the turn and everything here is dropped without a trace.
The end in SQL never waits for Redis: live events are best effort, the transcript is the truth.
How an attempt can end:

    every part Done          commit                        event "done"
    Cancelled by the owner   cancel, keeping the text      event "cancelled"
    Cancelled by a shutdown  give_back, it runs again      event "state" queued
    Failed, or an error      fail, with the reason         event "failed"; in a later part: commit what there is
    the engine is gone       give_back, it runs again      event "state" queued
    Stale                    nothing                       none

Each attempt that dies makes the next one more careful: without KV blocks, then with a minimal context, then no more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from rq.timeouts import JobTimeoutException

from engine.errors import EngineClosed, RequestError
from engine.events import Cancelled, Done, Event, Failed, Reading, Text
from engine.segments import TurnRequest
from store import chats, turns
from store.db import DatabaseTrouble
from store.errors import Failure, Stale, StoreError
from store.status import fields_of
from store.views import EndView
from worker.context import WorkerContext
from worker.prompt.build import TurnPlan, plan_part
from worker.prompt.draft import TurnDraft
from worker.prompt.errors import PartError
from worker.prompt.status import parse
from worker.running_turns import RunningTurn, StopReason
from worker.token_probabilities import TopTokens, word_probabilities

log = logging.getLogger(__name__)

MAX_CRASHES = 3
SQL_PATIENCE_S = 5.0  # with a database that takes nothing (a full disk): less than a lease

Value = TypeVar("Value")
Ending = Done | Cancelled | Failure


class Attempt:
    """The work of a lane on one claimed turn."""

    def __init__(self, context: WorkerContext, claim: turns.Claim) -> None:
        self._context, self._turn, self._number = context, claim.turn, claim.attempt
        self._running = RunningTurn(claim.turn.id, claim.turn.chat_id, claim.attempt)
        self._feed = context.publisher.open(claim.turn.chat_id, claim.turn.id, claim.attempt)
        self._draft: TurnDraft | None = None
        self._plan: TurnPlan | None = None
        self._part = 0
        self._text = ""  # of the first part
        self._tops: list[TopTokens] = []

    def run(self) -> None:
        """Do it, however it ends. Raises nothing but what ends the process."""
        self._context.running.add(self._running)
        if self._context.draining.is_set():  # the drain began between the claim and here
            self._running.stop(StopReason.DRAINING)
        try:
            self._end_well()
        except Stale as stale:
            log.info("turn %s: dropped, %s", self._turn.id, stale)
            self._feed.end()
        except Exception:
            # the lease runs out and the reaper gives the turn to somebody
            log.exception("turn %s: its end could not be saved, attempt %d is abandoned", self._turn.id, self._number)
            self._feed.end()
        finally:
            self._context.running.remove(self._running)

    def _end_well(self) -> None:
        try:
            self._settle(self._write())
        except Stale:
            raise
        except RequestError as error:
            self._fail(_engine_failure(error.code, str(error)))
        except StoreError as error:
            self._fail(Failure(error.reason, error.values))
        except EngineClosed:
            self._give_back()
        except JobTimeoutException:
            self._running.stop(StopReason.ABANDONED)
            self._fail(Failure("too_slow"))
        except Exception:
            log.exception("turn %s: attempt %d failed", self._turn.id, self._number)
            self._running.stop(StopReason.ABANDONED)
            self._fail(Failure("internal"))

    # -- from the story to the last event of the engine ---------------------------------------------------------------

    def _write(self) -> Ending:
        """All parts, one after the other; what they bring is in the draft."""
        if self._turn.crashes >= MAX_CRASHES:
            return Failure("too_many_attempts")
        self._feed.state("waking")
        story = chats.load_story(self._context.db, self._turn.chat_id)
        self._draft = draft = TurnDraft(self._turn, story, self._context.engine.model_key)
        ending: Ending = Failure("internal")
        for part, kind in enumerate(self._turn.parts):
            self._part = part
            try:
                ending = self._write_part(kind, draft)
            except PartError as error:
                ending = error.failure
            except RequestError as error:
                ending = _engine_failure(error.code, str(error))
            if not isinstance(ending, Done):
                return self._or_what_there_is(ending, draft)
        return ending

    def _or_what_there_is(self, ending: Ending, draft: TurnDraft) -> Ending:
        """A later part that fails takes nothing away from the parts before it."""
        if isinstance(ending, Failure) and ending.code != EngineClosed.code and draft.outcome.replies:
            log.warning("turn %s: part %d failed: %s", self._turn.id, self._part, ending)
            return Done("", (), "end")
        return ending

    def _write_part(self, kind: str, draft: TurnDraft) -> Ending:
        plan = self._plan_part(kind, draft)
        spec = plan.spec
        self._feed.part(self._part, len(self._turn.parts), kind, spec.role, spec.name, spec.about)
        ending = self._listen(plan)
        if isinstance(ending, Done | Cancelled):
            draft.spend(ending.stats)
        if kind == "status":
            if isinstance(ending, Done):
                draft.tell(parse(fields_of(draft.story.character.card), ending.text), ending.tokens)
        elif isinstance(ending, Done | Cancelled):
            draft.write(spec, ending, word_probabilities(ending.tokens, self._tops, self._context.piece), plan.lore)
        if isinstance(ending, Done) and not ending.text.strip():
            return Failure("empty_reply")
        return ending

    def _plan_part(self, kind: str, draft: TurnDraft) -> TurnPlan:
        limits = self._context.limits(minimal=self._turn.crashes >= MAX_CRASHES - 1)
        self._plan = plan_part(draft.story, self._turn, kind, self._context.framing, limits)
        draft.plan(self._plan.window)
        return self._plan

    def _listen(self, plan: TurnPlan) -> Ending:
        self._tops.clear()
        hear = partial(self._hear, shown=plan.spec.kind != "status")
        ticket = self._context.engine.submit(
            TurnRequest(
                session=self._turn.chat_id,
                wanted=plan.wanted,
                reply=plan.reply,
                forgotten=plan.forgotten,
                pinned=plan.pinned,
                use_blocks=self._turn.crashes == 0 or self._part > 0,
            ),
            on_event=hear,
        )
        self._running.on_stop(ticket.cancel)
        for event in ticket.events():
            if isinstance(event, Failed):
                return _engine_failure(event.code, event.message)
            if isinstance(event, Done | Cancelled):
                return event
            hear(event)
        raise EngineClosed("the engine ended a turn without saying how")

    def _hear(self, event: Event, shown: bool) -> None:
        """What happens on the way, on the engine's thread: nothing here waits for anything."""
        if isinstance(event, Reading):
            self._running.progress = "reading", self._text
            self._feed.state("reading", done=event.done, total=event.total)
        elif isinstance(event, Text):
            self._tops += event.top
            self._feed.state("writing")
            if shown:
                self._feed.text(event.text)
            if self._part == 0 and shown:
                self._text += event.text
            self._running.progress = "writing", self._text

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
        if isinstance(ending, Done):
            self._end("done", turns.commit)
        elif reason is StopReason.DRAINING or (isinstance(ending, Failure) and ending.code == EngineClosed.code):
            self._give_back()
        elif isinstance(ending, Cancelled):
            self._end("cancelled", turns.cancel)
        else:
            self._fail(ending)

    def _end(self, kind: str, change: Callable[..., EndView]) -> None:
        outcome = self._draft.outcome if self._draft else turns.Outcome()
        window = dict(self._plan.window) if self._plan else None
        saved = self._persist(lambda: change(self._context.db, self._turn.id, self._number, outcome, window))
        self._feed.end({"type": kind, **saved.as_dict()})

    def _fail(self, failure: Failure) -> None:
        self._persist(lambda: turns.fail(self._context.db, self._turn.id, self._number, failure))
        log.warning("turn %s failed: %s", self._turn.id, failure)
        self._feed.end({"type": "failed", "error": failure.as_dict()})

    def _give_back(self) -> None:
        if self._text:
            self._note(lambda: turns.save_partial(self._context.db, self._turn.id, self._number, self._text))
        crashed = self._running.reason is not StopReason.DRAINING
        turn = self._persist(lambda: turns.give_back(self._context.db, self._turn.id, self._number, crashed=crashed))
        log.info("turn %s: given back, it is %s now", self._turn.id, turn.state)
        if turn.unfinished:
            self._feed.end({"type": "state", "state": "queued"})
        else:  # its owner had pressed stop
            self._feed.end({"type": "cancelled", **turns.result_of(self._context.db, self._turn.id).as_dict()})

    def _persist(self, change: Callable[[], Value]) -> Value:
        """A change in SQL that must happen: a database that is busy or full gets more than one chance."""
        deadline = time.monotonic() + SQL_PATIENCE_S
        while True:
            try:
                return change()
            except DatabaseTrouble as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("turn %s: the database did not take its end, again: %s", self._turn.id, error)
                time.sleep(0.2)


def _engine_failure(code: str, message: str) -> Failure:
    """What the engine says itself: it has no sentence of ours."""
    return Failure(code, {"message": message})
