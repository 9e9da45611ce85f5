"""Sync: carries out a turn's plan on its session (evict, restore, shift); what is left is text to read (prefill).

Whatever fails here costs reading, never correctness: a block that is gone or doubtful only shortens what is kept. After
a failed move the turn is planned again from what is in cells then, at most twice.

What it refuses to know: the disk. Only what is at hand is restored; `Prefetch` has brought the rest.
To add a move: a field of TurnPlan (turn_plan.py), the decision in restore_policy.py, the verb in `_make_moves`.
"""

from dataclasses import dataclass

from engine.backend import Backend
from engine.events import TurnStats
from engine.kv.candidates import Candidate, must_rebase
from engine.kv.cells import Cells
from engine.kv.planner import decode_behind
from engine.kv.restore_policy import AT_HAND, RestorePolicy
from engine.kv.resume import Point, Resume
from engine.kv.session import Session
from engine.kv.turn_plan import TurnPlan
from engine.segments import Segment, TurnRequest


@dataclass(slots=True)
class PendingTokens:
    """Tokens of one segment that must be read, in order; `done` of them have been."""

    name: str
    tokens: tuple[int, ...]
    ephemeral: bool = False
    from_start: bool = True
    """False when the segment's beginning is in the cache already."""
    leave_open: bool = False
    """The segment goes on growing after these tokens."""
    keep_logits: bool = False
    """Keep the row of logits behind the last of these tokens: a reply can branch off here."""
    point: Point | None = None
    """What follows, if a model whose state cannot be taken back keeps a checkpoint, or a snapshot, there."""
    done: int = 0


class Sync:
    """Brings a session from what it holds to what its turn wants; counts in `stats` where that came from."""

    def __init__(
        self,
        session: Session,
        request: TurnRequest,
        cells: Cells,
        backend: Backend,
        policy: RestorePolicy,
        resume: Resume,
    ) -> None:
        self._session, self._request = session, request
        self._cells, self._backend, self._policy, self._resume = cells, backend, policy, resume

    def run(self, plan: TurnPlan, stats: TurnStats) -> list[PendingTokens]:
        """Make the moves on a session that has a sequence; returns what is left to read."""
        self._session.n_pinned = self._request.pinned
        self._session.n_forgettings += self._session.forgets(self._request.forgotten)
        for tiers in (AT_HAND, ()):
            if self._make_moves(plan, stats):
                break
            plan = self._policy.plan(self._session, self._request, tiers)
        else:
            if not self._make_moves(plan, stats):
                self._start_over(stats)
        n_tokens = self._session.n_tokens
        self._resume.settle(self._session)
        stats.note_lost(n_tokens - self._session.n_tokens)
        stats.n_kept = self._session.n_tokens - stats.n_restored - stats.n_shared
        return self.pending()

    def _make_moves(self, plan: TurnPlan, stats: TurnStats) -> bool:
        """False when one failed; what the session says that it holds is true then, but not what was planned."""
        if self._cells.snapshot_only:
            return bool(plan.keep) or self._load_snapshot(plan, stats)
        own = [candidate for candidate in plan.restore if candidate.held is not None]
        adopted = [candidate for candidate in plan.restore if candidate.held is None]
        until = plan.window_end(self._session)
        return (
            (not plan.parked or self._wake(plan, own, until, stats))
            and self._cut_and_drop(plan, own, stats)
            and self._rebase_if_needed()
            and all(self._adopt(candidate, until, stats) for candidate in adopted)
        )

    def _load_snapshot(self, plan: TurnPlan, stats: TurnStats) -> bool:
        self._cells.empty(self._session)
        if plan.snapshot:
            if not self._cells.load_snapshot(self._session, list(plan.snapshot)):
                return False
            stats.n_restored = self._session.n_tokens
        return True

    def _wake(self, plan: TurnPlan, own: list[Candidate], until: int, stats: TurnStats) -> bool:
        """Bring back the beginning of a parked session; the rest of it is not held any more."""
        self._session.held = []
        for candidate in own:
            assert candidate.held is not None
            held = plan.held[candidate.held]
            self._session.held.append(held)
            source = self._cells.bring_back(self._session, held, until)
            if source is None:
                self._session.held.pop()
                return False
            stats.note_source(source, candidate.n_saved)
        return True

    def _cut_and_drop(self, plan: TurnPlan, own: list[Candidate], stats: TurnStats) -> bool:
        """Cut the tail first, then drop from the middle, from the back to the front."""
        if plan.parked:
            n_held, n_tokens = len(own), own[-1].n_saved if own else None
        else:
            n_held = plan.keep[-1].held + 1 if plan.keep else 0
            n_tokens = plan.keep[-1].n_tokens if plan.keep else None
        dropped = [move.held for move in reversed(plan.drop) if move.held < n_held]
        if self._cells.cut(self._session, n_held, n_tokens) and all(
            self._cells.drop(self._session, index) for index in dropped
        ):
            return True
        self._start_over(stats)
        return False

    def _start_over(self, stats: TurnStats) -> None:
        self._cells.cut(self._session, 0)
        stats.n_restored = stats.n_shared = 0

    def _rebase_if_needed(self) -> bool:
        session, request = self._session, self._request
        if not must_rebase(session.end, session.n_tokens, request, self._backend.n_context_train):
            return True
        return self._cells.rebase(session, min(request.pinned, len(session.held)))

    def _adopt(self, candidate: Candidate, until: int, stats: TurnStats) -> bool:
        """Take a whole segment from another session's cells, or from a block."""
        source = self._cells.adopt(self._session, self._request.wanted[candidate.wanted], until)
        if source is not None:
            stats.note_source(source, candidate.n_tokens)
        return source is not None

    def pending(self) -> list[PendingTokens]:
        """What is left to read, behind what the session holds: a beginning of what the turn wants."""
        wanted, reply = self._request.everything(), self._request.reply
        for held, segment in zip(self._session.held, wanted, strict=False):
            held.segment = Segment(segment.name, held.segment.tokens, segment.ephemeral)
        lasts = reply is not None and reply.keep and not self._cells.snapshot_only  # then its own end comes soon
        points = {} if lasts else {len(self._request.wanted) - 1: Point.TURN}
        points[self._request.pinned - 1] = Point.PERSONA
        read = decode_behind(self._session.segments(), wanted)
        if not read or not read[0].start:
            self._cells.save_last(self._session)
        pending = [_pending_tokens(wanted[move.wanted], move.start, points.get(move.wanted)) for move in read]
        if reply is not None:
            if not pending:
                pending.append(PendingTokens(reply.name, (), from_start=False))
            pending[-1].leave_open = pending[-1].keep_logits = True
            pending[-1].point = Point.REPLY
        return pending


def _pending_tokens(segment: Segment, start: int, point: Point | None) -> PendingTokens:
    tokens = segment.tokens[start:]
    return PendingTokens(segment.name, tokens, segment.ephemeral, from_start=start == 0, point=point)
