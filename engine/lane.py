"""A lane: one running turn (state machine), from its first token read to its footer.

A sequence in the engine's batch; the worker's `RqLane` is another thing, a thread that waits for a turn.
Touches its session only through `Cells`, the model only through the backend and its sampler. It does not know the other
lanes; engine/scheduler.py joins them into batches.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum

from engine.backend import Choice, Sampler, TokenRun
from engine.errors import RequestError
from engine.events import Cancelled, Done, Failed, Reading, Text, TurnStats
from engine.kv.cache import KvCache
from engine.kv.planner import common_prefix
from engine.kv.restore_policy import AT_HAND
from engine.kv.resume import Point
from engine.kv.session import Session
from engine.kv.sync import PendingTokens, Sync
from engine.kv.turn_plan import TurnPlan
from engine.segments import ReplySpec
from engine.text.detokenizer import Detokenizer
from engine.ticket import Ticket


class Stage(Enum):
    """Where a lane is. CLOSING reads the footer after the owner has got its end event."""

    READING = "reading"
    WRITING = "writing"
    CLOSING = "closing"
    OVER = "over"


class Lane:
    """See the module text. Life: `start`, then `runs` / `decoded` in turn until `stage` is OVER."""

    def __init__(self, ticket: Ticket, session: Session, plan: TurnPlan, kv: KvCache) -> None:
        self.ticket, self.session = ticket, session
        self._plan, self._kv = plan, kv
        self._cells, self._backend = kv.cells, kv.backend
        self._sync = Sync(session, ticket.request, kv.cells, kv.backend, kv.policy, kv.resume)
        self.stage = Stage.READING
        self.stats = TurnStats(wait_s=time.monotonic() - ticket.submitted_at)
        self._pending: deque[PendingTokens] = deque()
        self._n_to_read = 0
        reply = ticket.request.reply
        self._text = Detokenizer(reply.stop, trim=not reply.prefix) if reply else Detokenizer()
        self._written: list[int] = []
        self._top: list[tuple[tuple[int, float], ...]] = []
        self._sampler: Sampler | None = None
        self._since = time.monotonic()

    # -- before the first decode ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Wake and sync the session; what can be had without reading is had now."""
        request = self.ticket.request
        try:
            self._sampler = self._make_sampler()
        except RequestError as error:
            self._end_at_once(Failed(error.code, str(error)))
            return
        if not request.use_blocks:
            self._kv.policy.quarantine(self.session, request)
            self._kv.logits.clear()
        self._kv.cost_model.record_skip(self._plan.skipped)
        if self.session.parked:
            self.ticket.waking()
        self._will_read(self._sync.run(self._plan, self.stats))
        self._reopen_if_begun()
        self._add_time("wake_s")
        if self._n_to_read:
            self.ticket.put(Reading(0, self._n_to_read))
        elif request.reply is None:
            self._end_at_once(Done("", (), "read", self.stats))
        else:
            self._write_from_kept_logits()

    def _will_read(self, pending: list[PendingTokens]) -> None:
        self._pending = deque(pending)
        self._n_to_read = sum(len(pending.tokens) for pending in self._pending)

    def _write_from_kept_logits(self) -> None:
        """With all tokens in cells: write from the cached logits, or read the last token again where there are none."""
        row = self._kv.logits.get(self.session.prefix_key())
        if row is not None:
            self._pending.clear()
            self._kv.resume.note_point(self.session, Point.REPLY)  # the next retry begins here, too
            self.stage = Stage.WRITING
            self._take_token(self._require_sampler().sample_from(row), None)
            return
        opened = self.session.open
        assert opened is not None
        n_tokens = self.session.n_tokens
        if self._cells.cut(self.session, len(self.session.held) + 1, len(opened.tokens) - 1):
            self._kv.resume.settle(self.session)
            self.stats.note_read_again(n_tokens - self.session.n_tokens)
            self._will_read(self._sync.pending())
        else:
            plan = self._kv.policy.plan(self.session, self.ticket.request, AT_HAND)
            self._will_read(self._sync.run(plan, self.stats))
        self._reopen_if_begun()

    def _reopen_if_begun(self) -> None:
        """Let the last segment grow, when what is pending is the rest of it."""
        if self._pending and not self._pending[0].from_start and self.session.open is None:
            self._cells.reopen(self.session, self._pending[0].name, self._pending[0].ephemeral)

    # -- the step ---------------------------------------------------------------------------------------------------

    def runs(self, budget: int) -> Iterator[tuple[TokenRun, PendingTokens]]:
        """The runs to decode next, at most `budget` tokens, each with the pending tokens that it is a part of."""
        position = self.session.end
        assert self.session.sequence is not None
        for pending in self._pending:
            tokens = pending.tokens[pending.done : pending.done + budget]
            if not tokens:
                return
            last = pending.done + len(tokens) == len(pending.tokens)
            yield TokenRun(self.session.sequence, position, tokens, pending.keep_logits and last), pending
            if last and pending.point is not None and self._kv.resume.keeps_points:
                return  # what is kept there must not see a token more
            position, budget = position + len(tokens), budget - len(tokens)

    def decoded(self, run: TokenRun, pending: PendingTokens, row: int | None) -> None:
        """Take in a run that was decoded; `row` is the index of its row of logits, if it wanted one."""
        if self.session.open is None:
            self.session.begin(pending.name, pending.ephemeral)
        self._cells.grow(self.session, run.tokens)
        pending.done += len(run.tokens)
        if self.stage is not Stage.WRITING:
            self.stats.n_evaluated += len(run.tokens)
        if pending.done < len(pending.tokens):
            self._report_reading()
            return
        self._pending.popleft()
        if pending.keep_logits and row is not None and self.stage is not Stage.WRITING:
            self._kv.logits.put(self.session.prefix_key(), self._backend.logits(row))
        if not pending.leave_open:
            at_boundary = pending.point is not None
            self._cells.complete(self.session, save=at_boundary or not self._cells.snapshot_only)
        if pending.point is not None:
            self._kv.resume.note_point(self.session, pending.point)
        self._continue_with(row)

    def _continue_with(self, row: int | None) -> None:
        """Go on after pending tokens were decoded up to their last one, which gave `row` if it wanted one."""
        if self.stage is Stage.READING:
            self._report_reading()
            if not self._pending:
                self._prompt_is_read(row)
        elif self.stage is Stage.WRITING:
            assert row is not None
            self._take_token(self._require_sampler().sample(row), row)
        elif not self._pending:  # CLOSING: the footer is read
            self.stage = Stage.OVER

    def _prompt_is_read(self, row: int | None) -> None:
        self._add_time("read_s")
        if self.ticket.request.reply is None:
            self._end_at_once(Done("", (), "read", self.stats))
            return
        assert row is not None
        self.stage = Stage.WRITING
        self._take_token(self._require_sampler().sample(row), row)

    def _report_reading(self) -> None:
        if self.stage is Stage.READING:
            self.ticket.put(
                Reading(self._n_to_read - sum(len(f.tokens) - f.done for f in self._pending), self._n_to_read)
            )

    # -- writing ----------------------------------------------------------------------------------------------------

    def _make_sampler(self) -> Sampler | None:
        """Comes first, so that settings that the backend refuses (RequestError) cost nothing."""
        request = self.ticket.request
        if request.reply is None:
            return None
        history = [token for segment in request.wanted[-8:] for token in segment.tokens]
        return self._backend.sampler(
            request.reply.sampling, history + list(request.reply.header + request.reply.prefix)
        )

    def _take_token(self, choice: Choice, row: int | None) -> None:
        """Take in a token that was drawn from `row` of the last decode (None: from a cached row).

        The loop of writing: its text leaves now; the token is decoded with the next batch, and the row behind it gives
        the next one (`decoded`, `_continue_with`, here again).
        """
        if self._backend.is_end(choice.token):
            self._finish_reply("end", row)
            return
        self._written.append(choice.token)
        self.stats.n_generated += 1
        self._top.append(choice.top)
        self._send_text(self._text.push(self._backend.piece(choice.token)))
        if self._text.stopped:
            self._finish_reply("stop", row)
        elif len(self._written) >= self._reply().max_tokens:
            self._finish_reply("length", row)
        else:
            self._pending.append(PendingTokens(self._reply().name, (choice.token,), leave_open=True, keep_logits=True))

    def _send_text(self, text: str, at_last: bool = False) -> None:
        """Send a piece of text; `at_last` also the probabilities of tokens that gave no text."""
        if text or (at_last and any(self._top)):
            top, self._top = tuple(self._top), []
            self.ticket.put(Text(text, top if any(top) else ()))

    def cancel(self) -> None:
        """Stop on the owner's wish; the session keeps what was read and written."""
        if self.stage is Stage.WRITING:
            self._finish_reply("cancelled")
        elif self.stage is Stage.READING:
            self._cells.complete(self.session, save=False)
            self._end_at_once(Cancelled("", (), self.stats))

    def fail(self, code: str, message: str) -> None:
        """End with a failure; the session holds nothing then, so the next turn reads everything again."""
        self._cells.forget(self.session)
        self._end_at_once(Failed(code, message))

    def _finish_reply(self, finish: str, row: int | None = None) -> None:
        """End a reply: keep its last `row`, trim the session to its tokens, deliver the end, then read the footer."""
        if row is not None:
            self._kv.logits.put(self.session.prefix_key(), self._backend.logits(row))
        self._send_text(self._text.finish(), at_last=True)
        self._add_time("write_s")
        reply = self._reply()
        kept = self._text.kept_tokens(self._written, lambda text: self._backend.tokenize(text, special=False))
        tokens = reply.prefix + tuple(kept)
        self._trim_to_reply(reply, list(reply.header + tokens))
        stats = replace(self.stats)  # the footer is still to come, and is not the owner's business
        if finish == "cancelled":
            self._deliver_end(Cancelled(self._text.text, tokens, stats))
        else:
            self._deliver_end(Done(self._text.text, tokens, finish, stats))

    def _trim_to_reply(self, reply: ReplySpec, final: list[int]) -> None:
        """Cut the open segment to a prefix of `final`; the missing tokens and the footer are pending then."""
        self._pending.clear()
        if not reply.keep:
            self._cells.cut(self.session, len(self.session.held))  # the next turn settles it, with what is on disk
            return
        opened = self.session.open
        assert opened is not None
        before = len(reply.header) + len(reply.prefix)
        same = self._kv.resume.cut_open(self.session, common_prefix(opened.tokens, final), before)
        if same is None:
            return
        if same < len(final):
            rest = tuple(final[same:])
            self._pending.append(PendingTokens(reply.name, rest, leave_open=True, keep_logits=True))
            self._pending[-1].point = Point.REPLY if reply.footer else Point.TURN
        else:
            self._kv.resume.note_point(self.session, Point.REPLY)
        if reply.footer:
            self._pending.append(PendingTokens(reply.name, reply.footer, point=Point.TURN))

    def _deliver_end(self, event: Done | Cancelled) -> None:
        """Deliver the end before the footer is read: the owner does not wait for it."""
        self._close_sampler()
        self.ticket.put(event)
        if self._pending:
            self.stage = Stage.CLOSING
        else:
            self._cells.complete(self.session)
            if self._reply().keep and self.session.held:
                self._kv.resume.note_point(self.session, Point.TURN)
            self.stage = Stage.OVER

    def _end_at_once(self, event: Done | Cancelled | Failed) -> None:
        self._close_sampler()
        self._pending.clear()
        self.stage = Stage.OVER
        self.ticket.put(event)

    def _reply(self) -> ReplySpec:
        reply = self.ticket.request.reply
        assert reply is not None
        return reply

    def _require_sampler(self) -> Sampler:
        assert self._sampler is not None
        return self._sampler

    def _close_sampler(self) -> None:
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None

    def _add_time(self, field: str) -> None:
        now = time.monotonic()
        setattr(self.stats, field, getattr(self.stats, field) + now - self._since)
        self._since = now
