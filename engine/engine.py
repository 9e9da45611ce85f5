"""The engine: one thread owns the backend (actor); every other thread holds tickets.

A step has four beats: schedule (engine/scheduler.py: which tokens), deliver the events of the step before, decode (one
batch), after-work (sample, save). When the loop dies, every ticket is ended with a failure.

What it refuses to know: how a session's cells are kept and found (kv/), and what a turn does with a token (lane.py).
To add a question that other threads may ask: a method under "for any thread" that changes nothing.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable

from engine.backend import Backend, Cut, DecodeResult
from engine.errors import EngineClosed, RequestError
from engine.events import Event, Failed
from engine.kv import forgetting
from engine.kv.cache import KvCache
from engine.kv.forgetting import Forgetting
from engine.kv.session import HeldView
from engine.lane import Stage
from engine.options import EngineOptions
from engine.scheduler import Batch, Scheduler
from engine.segments import TurnRequest
from engine.stats import EngineStats, Tally, gather
from engine.ticket import Outbox, Ticket

log = logging.getLogger(__name__)
_ABORTABLE_TOKENS, _ABORTABLE_S = 64, 0.2


class Engine:
    """See the module text. `start`, then `submit`; `close` at the end."""

    def __init__(self, backend: Backend, options: EngineOptions | None = None) -> None:
        self.options = options or EngineOptions()
        _check_room(backend, self.options)
        self.backend, self.model_key = backend, backend.model_key
        self._inbox: queue.SimpleQueue[Ticket | Forgetting | None] = queue.SimpleQueue()
        self._outbox = Outbox()
        self._kv = KvCache(backend, self.options, on_fetched=lambda: self._inbox.put(None))
        self.blocks, self.cost_model = self._kv.blocks, self._kv.cost_model
        self._tally = Tally()
        self._scheduler = Scheduler(self._kv, self.options, self._tally, self._note_progress)
        self._abort_armed = False
        self._at_work_since: float | None = None
        self._closing = threading.Event()
        self._dead: BaseException | None = None
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)

    # -- for any thread ---------------------------------------------------------------------------------------------

    def start(self) -> "Engine":
        """Start the loop; returns self."""
        self._thread.start()
        return self

    def submit(self, request: TurnRequest, on_event: Callable[[Event], None] | None = None) -> Ticket:
        """Queue a turn (for `on_event` see Ticket).

        RequestError when it could never fit, EngineClosed when the loop has stopped.
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

    @property
    def failure(self) -> BaseException | None:
        """What the loop died of."""
        return self._dead

    def stalled_s(self) -> float:
        """Watchdog: seconds since the loop last made progress; 0 while it waits for work, or is over.

        A step takes about `step_s`; a loop without progress for minutes hangs in the backend or runs in a circle.
        """
        since = self._at_work_since
        return 0.0 if since is None else max(0.0, time.monotonic() - since)

    def resident(self) -> frozenset[str]:
        """Names of the sessions that are in cells now."""
        return self._kv.residents.in_cells()

    def known(self) -> frozenset[str]:
        """Names of the sessions that this process remembers, parked ones included."""
        return frozenset(self._kv.residents.sessions)

    def remembered(self) -> frozenset[str]:
        """Names of all sessions of which something is kept, on disk, too."""
        return self.known() | self._kv.manifests.names()

    def forget(self, names: frozenset[str], timeout_s: float = 60.0) -> frozenset[str]:
        """Remove what is kept of these sessions, and every block that no other one names; returns those that are gone.

        One that a turn works on stays. EngineClosed when the loop has stopped or does not answer in time.
        """
        files = self.blocks.files()
        request = forgetting.ask(self._kv, names)
        self._inbox.put(request)
        if not request.done.wait(timeout_s if self.alive() else 0.0):
            raise EngineClosed("the engine does not answer: restart the worker")
        forgetting.forget_on_disk(self._kv, request, files)
        return request.forgotten

    def delete_files_of(self, model_folder: str) -> int:
        """Delete what another model has left in the disk tier, under the first 16 letters of its key; the number of
        files. Any thread."""
        if (disk := self.blocks.disk) is None:
            return 0
        names = disk.names(f"{model_folder}/")
        for name in names:
            disk.delete(name)
        return len(names)

    def limit_blocks(self, ram_bytes: int, disk_bytes: int) -> None:
        """Other budgets for the blocks in RAM and on disk. What is over leaves with the next block that comes. Any
        thread."""
        self.blocks.ram_budget = ram_bytes
        if self.blocks.disk is not None:
            self.blocks.disk.budget_bytes = disk_bytes

    def stats(self) -> EngineStats:
        """Cells, blocks, evictions, and what all turns took."""
        return gather(self.backend.n_cells, self._kv.cells, self.blocks, self._tally)

    def inspect(self, session: str) -> tuple[HeldView, ...]:
        """What a session holds, oldest first; empty when it is not known. Only sure while none of its turns runs."""
        known = self._kv.residents.sessions.get(session)
        return known.view() if known is not None else ()

    def close(self) -> None:
        """Stop the loop, end every ticket, write what is still to be written, free the model.

        Replies that are delivered are closed first: the next start finds them whole.
        """
        with self._gate:
            self._closing.set()
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()
        self._kv.close()
        self.backend.close()

    # -- the loop ---------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        try:
            while not self._closing.is_set():
                if self._at_work_since is None:
                    self._note_progress()
                self._step()
            while batch := self._scheduler.closing():
                self._decode(batch)
                self._scheduler.remove_finished()
        except BaseException as error:
            log.exception("the engine loop died")
            self._dead = error
        finally:
            self._at_work_since = None
            self._fail_everything()

    def _fail_everything(self) -> None:
        with self._gate:
            self._closing.set()
        self._read_inbox()
        self._scheduler.fail_all(Failed(EngineClosed.code, "the engine has stopped"))
        self._outbox.deliver()

    def _step(self) -> None:
        """Schedule, deliver, decode, after-work; with nothing to do, wait for a ticket or for blocks from disk."""
        self._read_inbox()
        if self._scheduler.waiting:
            self._outbox.deliver()  # an admission may take long
        batch = self._scheduler.schedule()
        if batch:
            self._decode(batch)
            self._scheduler.remove_finished()
        elif self._scheduler.must_wait() and not self._read_ahead():
            self._wait_for_inbox()

    def _read_ahead(self) -> bool:
        """With nothing else to do: begin to read for a session that will need it. Whether there is one."""
        request = self._kv.ahead.next_request() if self._kv.ahead.possible and not self._scheduler.waiting else None
        if request is not None:
            self._scheduler.add(Ticket(request, self.alive, self._outbox))
        return request is not None

    def _note_progress(self) -> None:
        self._at_work_since = time.monotonic()

    def _wait_for_inbox(self) -> None:
        self._outbox.deliver()
        self._at_work_since = None
        first = self._inbox.get()
        self._note_progress()
        self._take(first)

    def _read_inbox(self) -> None:
        while not self._inbox.empty():
            self._take(self._inbox.get())

    def _take(self, item: Ticket | Forgetting | None) -> None:
        if isinstance(item, Forgetting):
            forgetting.forget_in_memory(self._kv, item)
        elif item is not None:
            for ticket in self._scheduler.tickets():
                if self._kv.ahead.is_for(ticket.request):
                    ticket.cancel()
                    self._kv.ahead.break_off()
            self._scheduler.add(item)

    # -- decode and after-work --------------------------------------------------------------------------------------

    def _decode(self, batch: Batch) -> None:
        self._arm_abort(batch)
        self._outbox.deliver()
        started = time.monotonic()
        result = self.backend.decode([run for _, run, _ in batch])
        if result is DecodeResult.DONE:
            self._note_progress()
            self.cost_model.learn_reading(_n_tokens(batch), time.monotonic() - started)
            self._after(batch)
        elif result is DecodeResult.ABORTED:
            for lane in {id(lane): lane for lane, _, _ in batch}.values():
                self._kv.cells.resync(lane.session)
        else:
            self._decode_failed(batch, result)

    def _after(self, batch: Batch) -> None:
        """Give each lane what was decoded for it; rows of logits are numbered over the runs that want one."""
        self._kv.cells.decoded()
        n_rows = 0
        for lane, run, pending in batch:
            lane.decoded(run, pending, n_rows if run.wants_logits else None)
            n_rows += run.wants_logits

    def _decode_failed(self, batch: Batch, result: DecodeResult) -> None:
        """Make room and try again; else lane by lane, so that only the one at fault fails."""
        lanes = list({id(lane): lane for lane, _, _ in batch}.values())
        if result is DecodeResult.NO_ROOM and self._kv.residents.park_one():
            self._decode(batch)
        elif len(lanes) > 1:
            for lane in lanes:
                self._decode([entry for entry in batch if entry[0] is lane])
        else:
            log.error("a batch of session %s was refused: %s", lanes[0].session.name, result.name)
            lanes[0].fail("decode", f"the model refused this turn ({result.name}): try again")

    def _arm_abort(self, batch: Batch) -> None:
        """Let a stop end a long read in its middle. Asking costs a little, so short steps are not asked."""
        n_tokens = _n_tokens(batch)
        long = n_tokens >= _ABORTABLE_TOKENS or self.cost_model.reading_s(n_tokens) >= _ABORTABLE_S
        long = long and self.backend.cut is not Cut.CHECKPOINT
        if long:
            tickets = {lane.ticket for lane, _, _ in batch if lane.stage is not Stage.CLOSING}  # those are over already
            self.backend.set_abort(lambda: any(ticket.cancelled for ticket in tickets))
        elif self._abort_armed:
            self.backend.set_abort(None)
        self._abort_armed = long


def _n_tokens(batch: Batch) -> int:
    return sum(len(run.tokens) for _, run, _ in batch)


def _check_room(backend: Backend, options: EngineOptions) -> None:
    n_cells = options.lanes * options.context
    if backend.n_cells < n_cells:
        raise RequestError(
            f"{options.lanes} lanes of {options.context} tokens need {n_cells} cells, the backend has {backend.n_cells}"
        )
    if backend.n_sequences < options.lanes + 1:
        raise RequestError(f"{options.lanes} lanes need one sequence each, and one more as the scratch")
