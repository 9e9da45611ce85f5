"""The scheduler: continuous batching. Owns the waiting and the running turns, and says which tokens are decoded next.

Turns wait in submission order; one is admitted when a lane is free, its session is idle, what it needs from disk is at
hand and its cells fit - idle sessions are parked to make room. A turn whose session is busy lets others pass. In a
batch, lanes that write come first, one token each; the rest is filled with prompts being read, shared out evenly.

What it refuses to know: the decode and its thread (engine.py), and what a lane does with a token.
To add a rule of admission: `_admit`; for the order within a batch: `build_batch`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.backend import TokenRun
from engine.events import Cancelled, Failed
from engine.kv.cache import KvCache
from engine.kv.session import Session
from engine.kv.sync import PendingTokens
from engine.kv.turn_plan import TurnPlan
from engine.lane import Lane, Stage
from engine.options import EngineOptions
from engine.stats import Tally
from engine.ticket import Ticket

Batch = list[tuple[Lane, TokenRun, PendingTokens]]


@dataclass(slots=True, eq=False)
class WaitingTurn:
    """A ticket that has not been admitted, with the plan of its turn once that is made."""

    ticket: Ticket
    plan: TurnPlan | None = None


class Scheduler:
    """See the module text. Used by the engine's thread; `on_progress` is called when a turn begins or is over."""

    def __init__(self, kv: KvCache, options: EngineOptions, tally: Tally, on_progress: Callable[[], None]) -> None:
        self._kv, self._options = kv, options
        self._tally, self._on_progress = tally, on_progress
        self.waiting: list[WaitingTurn] = []
        self.running: list[Lane] = []

    def add(self, ticket: Ticket) -> None:
        """Let a turn wait for its admission."""
        self.waiting.append(WaitingTurn(ticket))

    def tickets(self) -> list[Ticket]:
        """Of all turns that have not ended, those at work first."""
        return [lane.ticket for lane in self.running] + [turn.ticket for turn in self.waiting]

    def must_wait(self) -> bool:
        """Whether nothing can be done before something comes in: a ticket, or blocks from disk."""
        return not self.running and (not self.waiting or bool(self._kv.prefetch))

    def schedule(self) -> Batch:
        """Admit what can begin, end what was cancelled, and choose the tokens of the next step."""
        self._admit()
        self._apply_cancels()
        self.remove_finished()
        if not self.running:
            return []
        self._kv.residents.park_idle(time.monotonic() - self._options.park_after_s)
        writing = any(lane.stage is Stage.WRITING for lane in self.running)
        n_batch = self._kv.backend.n_batch
        return build_batch(self.running, n_batch, self._kv.cost_model.chunk(n_batch, writing))

    def closing(self) -> Batch:
        """The next step of the lanes whose reply is delivered, and no other."""
        closing = [lane for lane in self.running if lane.stage is Stage.CLOSING]
        return build_batch(closing, self._kv.backend.n_batch, self._kv.backend.n_batch)

    def remove_finished(self) -> None:
        """Take lanes that are over out of the running ones; their sessions are idle then."""
        for lane in [lane for lane in self.running if lane.stage is Stage.OVER]:
            self.running.remove(lane)
            self._on_progress()
            self._tally.end(lane.stats)
            lane.session.busy = False
            lane.session.last_used = time.monotonic()
            if not self._kv.ahead.finish(lane.session):
                self._kv.manifests.write(lane.session)

    def fail_all(self, event: Failed) -> None:
        """The engine stops: end every turn that has not ended."""
        unfinished = [lane.ticket for lane in self.running if lane.stage is not Stage.CLOSING]
        for ticket in unfinished + [turn.ticket for turn in self.waiting]:
            ticket.put(event)

    # -- admission --------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        for turn in list(self.waiting):
            if len(self.running) >= self._options.lanes:
                return
            if turn.ticket.cancelled:
                self._drop_waiting(turn)
                continue
            session = self._kv.residents.get_or_create(turn.ticket.request.session)
            if session.busy or not self._prepare(turn, session):
                continue
            promised = sum(lane.ticket.request.n_tokens_at_most() for lane in self.running)
            if not self._kv.residents.make_room(session, turn.ticket.request, promised):
                return
            self.waiting.remove(turn)
            self._start(turn, session)

    def _drop_waiting(self, turn: WaitingTurn) -> None:
        self.waiting.remove(turn)
        self._kv.prefetch.drop(turn.ticket.request.session)
        turn.ticket.put(Cancelled("", ()))

    def _prepare(self, turn: WaitingTurn, session: Session) -> bool:
        """Plan the turn, and start to fetch what it needs from disk; true once all of that is at hand."""
        prefetch, request = self._kv.prefetch, turn.ticket.request
        if prefetch.is_fetching(session.name):
            return False
        prefetch.take(session.name)
        if session.unread:
            prefetch.fetch_manifest(session)
            return False
        if turn.plan is None or not self._still_holds(turn.plan, session):
            turn.plan = self._kv.policy.plan(session, request)
        keys = turn.plan.block_keys()
        if not prefetch.on_disk(keys):
            return True
        turn.ticket.waking()
        prefetch.fetch_blocks(session.name, keys)
        return False

    def _still_holds(self, plan: TurnPlan, session: Session) -> bool:
        """Whether the session is as it was when the turn was planned, and every block of the plan still exists."""
        tiers = [self._kv.cells.tier(session, each.key, each.position) for each in plan.restore]
        return plan.fits(session) and None not in tiers

    def _start(self, turn: WaitingTurn, session: Session) -> None:
        assert turn.plan is not None
        session.busy = True
        lane = Lane(turn.ticket, session, turn.plan, self._kv)
        self.running.append(lane)
        self._tally.begin(lane.stats)
        self._on_progress()
        lane.start()
        self._kv.prefetch.drop(session.name)

    def _apply_cancels(self) -> None:
        for lane in self.running:
            if lane.ticket.cancelled:
                lane.cancel()


def build_batch(lanes: Sequence[Lane], n_batch: int, chunk: int) -> Batch:
    """The next batch of at most `n_batch` tokens, of which at most `chunk` are prompt tokens. Pure."""
    batch: Batch = []
    for lane in lanes:
        if lane.stage is Stage.WRITING:
            batch += [(lane, run, pending) for run, pending in lane.runs(1)]
    reading = [lane for lane in lanes if lane.stage in (Stage.READING, Stage.CLOSING)]
    room = min(chunk, n_batch - len(batch))
    for index, lane in enumerate(reading):
        share = room // (len(reading) - index)
        for run, pending in lane.runs(share):
            batch.append((lane, run, pending))
            room -= len(run.tokens)
    return batch
