"""The engine: one thread owns the backend; everyone else holds tickets.

A step has three beats: schedule (which tokens), decode (one batch), after-work (sample, deliver, save). Turns wait in
submission order; a turn is admitted when a lane is free, its session is idle, and its cells fit - idle sessions are
parked to make room. When the loop dies, every waiting ticket is told.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable

from engine.backend import Backend, DecodeResult, TokenRun
from engine.blocks.disk_tier import DiskTier
from engine.blocks.store import BlockStore
from engine.errors import EngineClosed, RequestError
from engine.events import Cancelled, Event, Failed
from engine.kv.cells import Cells
from engine.kv.cost_model import CostModel
from engine.kv.logits_cache import LogitsCache
from engine.kv.manifests import Manifests
from engine.kv.prefetch import Prefetch
from engine.kv.residents import Residents
from engine.kv.restore_policy import RestorePolicy
from engine.kv.session import Session
from engine.kv.sync import PendingTokens
from engine.lane import Lane, Stage
from engine.options import EngineOptions
from engine.scheduler import schedule
from engine.segments import TurnRequest
from engine.stats import EngineStats, Tally, gather
from engine.ticket import Outbox, Ticket

log = logging.getLogger(__name__)
_ABORTABLE_TOKENS = 64
Batch = list[tuple[Lane, TokenRun, PendingTokens]]


class Engine:
    """See the module text. `start`, then `submit`; `close` at the end."""

    def __init__(self, backend: Backend, options: EngineOptions | None = None) -> None:
        self.options = options or EngineOptions()
        if backend.n_cells < self.options.lanes * self.options.context:
            raise RequestError(
                f"{self.options.lanes} lanes of {self.options.context} tokens need "
                f"{self.options.lanes * self.options.context} cells, the backend has {backend.n_cells}"
            )
        if backend.n_sequences < self.options.lanes + 1:
            raise RequestError(f"{self.options.lanes} lanes need one sequence each, and one more as the scratch")
        self.backend = backend
        self.model_key = backend.model_key
        disk = DiskTier(self.options.folder, self.options.disk_bytes) if self.options.folder else None
        self.blocks = BlockStore(backend.model_key, self.options.ram_bytes, disk)
        self._disk, self._manifests = disk, Manifests(backend.model_key, disk)
        self.cost_model = CostModel(self.options.step_s, tolerance_s=self.options.tolerance_s)
        self._cells = Cells(backend, self.blocks, self.cost_model)
        self._logits_cache = LogitsCache(self.options.logits_bytes)
        self._residents = Residents(self._cells, self._manifests, backend, self.options.max_sessions)
        self._lanes: list[Lane] = []
        self._waiting: list[Ticket] = []
        self._inbox: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._outbox = Outbox()
        self._policy = RestorePolicy(backend, self._cells, self.blocks, self.cost_model)
        self._prefetch = Prefetch(
            self.blocks, self._manifests, self._policy, lambda: self._inbox.put(None), self.options.lanes
        )
        self._tally = Tally()
        self._abort_armed = False
        self._at_work_since: float | None = None
        self._closing = threading.Event()
        self._dead: BaseException | None = None
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)

    # -- for everyone -----------------------------------------------------------------------------------------------

    def start(self) -> "Engine":
        """Start the loop; returns self."""
        self._thread.start()
        return self

    def submit(self, request: TurnRequest, on_event: Callable[[Event], None] | None = None) -> Ticket:
        """Queue a turn (for `on_event` see Ticket).

        RequestError when it could never fit, EngineClosed when nobody would answer.
        """
        request.check(self.options.context, self.backend.n_vocab)
        ticket = Ticket(request, self.alive, self._outbox, on_event)
        with self._gate:
            if not self.alive():
                raise EngineClosed("the engine has stopped: restart the worker")
            self._inbox.put(ticket)
        return ticket

    def alive(self) -> bool:
        """Whether the loop still answers."""
        return self._dead is None and not self._closing.is_set()

    def stalled_s(self) -> float:
        """Seconds since the loop last got on with a turn (any thread); 0 while it waits for work, or is over.

        A step takes about `step_s`; a loop that gets nowhere for minutes hangs in the backend or runs in a circle.
        """
        since = self._at_work_since
        return 0.0 if since is None else max(0.0, time.monotonic() - since)

    def resident(self) -> frozenset[str]:
        """Names of the sessions that are in cells now."""
        return self._residents.in_cells()

    def known(self) -> frozenset[str]:
        """Names of the sessions that this process remembers, parked ones included."""
        return frozenset(self._residents.sessions)

    def stats(self) -> EngineStats:
        """Cells, blocks, evictions, and what all turns took (any thread)."""
        return gather(self.options, self.backend.n_cells, self._cells, self.blocks, self._tally)

    def close(self) -> None:
        """Stop the loop, tell every ticket, write what is still to be written, free the model."""
        with self._gate:
            self._closing.set()
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()
        self._prefetch.close()
        if self._disk:
            self.blocks.close()
            self._disk.close()
        self.backend.close()

    # -- the loop ---------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        try:
            while not self._closing.is_set():
                if self._at_work_since is None:
                    self._note_progress()
                self._step()
        except BaseException as error:
            log.exception("the engine loop died")
            self._dead = error
        finally:
            self._at_work_since = None
            self._fail_everything()

    def _fail_everything(self) -> None:
        with self._gate:
            self._closing.set()
        self._read_inbox(wait=False)
        for lane in self._lanes:
            if lane.stage is not Stage.CLOSING:
                lane.ticket.put(Failed(EngineClosed.code, "the engine has stopped"))
        for ticket in self._waiting:
            ticket.put(Failed(EngineClosed.code, "the engine has stopped"))
        self._outbox.deliver()

    def _step(self) -> None:
        self._read_inbox(wait=False)
        if self._waiting:  # who comes in may take long
            self._outbox.deliver()
        self._admit()
        self._apply_cancels()
        self._remove_finished()
        if not self._lanes:
            if not self._waiting or self._prefetch:
                self._read_inbox(wait=True)
            return
        self._residents.park_idle(time.monotonic() - self.options.park_after_s)
        writing = any(lane.stage is Stage.WRITING for lane in self._lanes)
        batch = schedule(self._lanes, self.backend.n_batch, self.cost_model.chunk(self.backend.n_batch, writing))
        self._decode(batch)
        self._remove_finished()

    def _note_progress(self) -> None:
        self._at_work_since = time.monotonic()

    def _read_inbox(self, wait: bool) -> None:
        if wait:
            self._outbox.deliver()
            self._at_work_since = None
            first = self._inbox.get()
            self._note_progress()
            self._waiting += [first] if first else []
        while not self._inbox.empty():
            ticket = self._inbox.get()
            self._waiting += [ticket] if ticket else []

    # -- admission --------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        """Start waiting turns in order; one whose session is busy lets others pass."""
        for ticket in list(self._waiting):
            if len(self._lanes) >= self.options.lanes:
                return
            if ticket.cancelled:
                self._waiting.remove(ticket)
                self._prefetch.drop(ticket.request.session)
                ticket.put(Cancelled("", ()))
                continue
            session = self._residents.session(ticket.request.session)
            if session.busy:
                continue
            if not self._prefetch.complete(session, ticket):
                continue
            promised = sum(lane.ticket.request.n_tokens_at_most() for lane in self._lanes)
            if not self._residents.make_room(session, ticket.request, promised):
                return
            self._waiting.remove(ticket)
            self._start_lane(ticket, session)

    def _start_lane(self, ticket: Ticket, session: Session) -> None:
        session.busy = True
        lane = Lane(ticket, session, self._cells, self.backend, self._logits_cache, self._policy)
        self._lanes.append(lane)
        self._tally.begin(lane.stats)
        self._note_progress()
        lane.start()
        self._prefetch.drop(session.name)

    # -- decode and after -------------------------------------------------------------------------------------------

    def _decode(self, batch: Batch) -> None:
        if batch:
            self._arm_abort(batch)
        self._outbox.deliver()
        if not batch:
            return
        started = time.monotonic()
        result = self.backend.decode([run for _, run, _ in batch])
        if result is DecodeResult.DONE:
            self._note_progress()
            self._cells.decoded()
            self.cost_model.learn_reading(sum(len(run.tokens) for _, run, _ in batch), time.monotonic() - started)
            self._after(batch)
        elif result is DecodeResult.ABORTED:
            for lane in {id(lane): lane for lane, _, _ in batch}.values():
                self._cells.resync(lane.session)
        else:
            self._decode_failed(batch, result)

    def _arm_abort(self, batch: Batch) -> None:
        """Let a stop end a long read in its middle. Asking costs a little, so short steps are not asked."""
        long = sum(len(run.tokens) for _, run, _ in batch) >= _ABORTABLE_TOKENS and not self._cells.snapshot_only
        if long:
            tickets = {lane.ticket for lane, _, _ in batch if lane.stage is not Stage.CLOSING}  # those are over already
            self.backend.set_abort(lambda: any(ticket.cancelled for ticket in tickets))
        elif self._abort_armed:
            self.backend.set_abort(None)
        self._abort_armed = long

    def _after(self, batch: Batch) -> None:
        row = 0
        for lane, run, pending in batch:
            mine = row if run.wants_logits else None
            row += run.wants_logits
            lane.decoded(run, pending, mine)

    def _decode_failed(self, batch: Batch, result: DecodeResult) -> None:
        """Make room and try again; else lane by lane, so that only the one at fault fails."""
        lanes = list({id(lane): lane for lane, _, _ in batch}.values())
        if result is DecodeResult.NO_ROOM and self._residents.park_one():
            self._decode(batch)
        elif len(lanes) > 1:
            for lane in lanes:
                self._decode([entry for entry in batch if entry[0] is lane])
        else:
            log.error("a batch of session %s was refused: %s", lanes[0].session.name, result.name)
            lanes[0].fail("decode", f"the model refused this turn ({result.name}): try again")

    def _apply_cancels(self) -> None:
        for lane in self._lanes:
            if lane.ticket.cancelled:
                lane.cancel()

    def _remove_finished(self) -> None:
        for lane in [lane for lane in self._lanes if lane.stage is Stage.OVER]:
            self._lanes.remove(lane)
            self._note_progress()
            self._tally.end(lane.stats)
            lane.session.busy = False
            lane.session.last_used = time.monotonic()
            self._manifests.write(lane.session)
