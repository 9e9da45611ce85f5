"""Sync: bring a session from what it holds to what a turn wants, as cheaply as the rules allow.

The planner (pure) says what may stay; here its moves are made, a parked session is woken from blocks, and what is still
missing is returned as text to read. Whatever fails here costs reading, never correctness: a block that is gone or
doubtful only shortens what is kept.
"""

from dataclasses import dataclass

from engine.backend import Backend
from engine.events import TurnStats
from engine.kv.candidates import continues_at_end, make_plan, must_rebase
from engine.kv.cells import Cells
from engine.kv.planner import Plan
from engine.kv.restore_policy import RestorePolicy
from engine.kv.session import Session
from engine.segments import Segment, TurnRequest


@dataclass(slots=True)
class PendingTokens:
    """Tokens of one segment that must be read, in order; `done` of them have been."""

    name: str
    tokens: tuple[int, ...]
    ephemeral: bool = False
    from_start: bool = True
    """False when the segment's beginning is in the cache already: then it cannot be adopted from elsewhere."""
    leave_open: bool = False
    """The segment goes on growing after these tokens."""
    keep_logits: bool = False
    """Keep the row of logits behind the last of these tokens: a reply can branch off here."""
    boundary: bool = False
    """A turn boundary follows: where a model that cannot shift keeps a snapshot of the whole session."""
    done: int = 0


def sync(
    session: Session, request: TurnRequest, cells: Cells, backend: Backend, policy: RestorePolicy, stats: TurnStats
) -> list[PendingTokens]:
    """Make the moves on a session that has a sequence; returns what is left to read."""
    if cells.snapshot_only:
        return _sync_snapshots(session, request, cells, policy, stats)
    if not request.use_blocks:
        cells.cut(session, 0)
    if session.parked:
        _wake(session, request, cells, policy, stats)
    moves = make_plan(session, request, backend.can_shift)
    if not _apply(session, moves, cells):
        cells.cut(session, 0)
        moves = make_plan(session, request, backend.can_shift)
    _rebase_if_needed(session, request, cells, backend)
    moves = make_plan(session, request, backend.can_shift)
    stats.n_kept = sum(move.n_tokens for move in moves.keep) - stats.n_restored - stats.n_shared
    return _pending(session, request, moves)


def _sync_snapshots(
    session: Session, request: TurnRequest, cells: Cells, policy: RestorePolicy, stats: TurnStats
) -> list[PendingTokens]:
    """For models that cannot shift: go on where the session ends, or from the best snapshot; never a cell removed."""
    if not request.use_blocks or not continues_at_end(session, request):
        cells.empty(session)
    while request.use_blocks and not session.held:
        held = policy.snapshot(session, request)
        if not held:
            break
        if cells.load_snapshot(session, held):
            stats.n_restored = session.n_tokens
    moves = make_plan(session, request, can_drop=False)
    stats.n_kept = sum(move.n_tokens for move in moves.keep) - stats.n_restored
    return _pending(session, request, moves)


def _wake(session: Session, request: TurnRequest, cells: Cells, policy: RestorePolicy, stats: TurnStats) -> None:
    """Bring back what will be kept, as far as that is worth it; the rest of a parked session is not held any more."""
    keeps = make_plan(session, request, can_drop=True).keep
    n_worth = len(policy.at_hand(session, request))
    parked = session.held
    session.held = []
    for move in keeps[:n_worth]:
        held = parked[move.held]
        session.held.append(held)
        source = cells.bring_back(session, held)
        if source is None:
            session.held.pop()
            return
        stats.note_source(source, move.n_tokens)


def _apply(session: Session, moves: Plan, cells: Cells) -> bool:
    """Cut the tail first, then drop from the middle, from the back to the front."""
    n_held = moves.keep[-1].held + 1 if moves.keep else 0
    n_tokens = moves.keep[-1].n_tokens if moves.keep else None
    if not cells.cut(session, n_held, n_tokens):
        return False
    return all(cells.drop(session, move.held) for move in reversed(moves.drop) if move.held < n_held)


def _rebase_if_needed(session: Session, request: TurnRequest, cells: Cells, backend: Backend) -> None:
    if backend.can_shift and must_rebase(session.end, session.n_tokens, request, backend.n_context_train):
        cells.rebase(session, min(request.pinned, len(session.held)))


def _pending(session: Session, request: TurnRequest, moves: Plan) -> list[PendingTokens]:
    wanted = request.everything()
    names = {move.held: wanted[move.wanted] for move in moves.keep}
    for index, held in enumerate(session.held):
        held.segment = Segment(names[index].name, held.segment.tokens, names[index].ephemeral)
    boundaries = {request.pinned - 1, len(request.wanted) - 1}
    pending = [_pending_tokens(wanted[move.wanted], move.start, move.wanted in boundaries) for move in moves.decode]
    if request.reply is not None:
        if not pending:
            pending.append(PendingTokens(request.reply.name, (), from_start=False))
        pending[-1].leave_open = pending[-1].keep_logits = True
    return pending


def _pending_tokens(segment: Segment, start: int, boundary: bool) -> PendingTokens:
    tokens = segment.tokens[start:]
    return PendingTokens(segment.name, tokens, segment.ephemeral, from_start=start == 0, boundary=boundary)
