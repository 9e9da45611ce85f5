"""Sync: bring a session from what it holds to what a turn wants, as cheaply as the rules allow.

The planner (pure) says what may stay; here its moves are made, a parked session is woken from blocks, and what is still
missing is returned as text to read. Whatever fails here costs reading, never correctness: a block that is gone or
doubtful only shortens what is kept.
"""

from dataclasses import dataclass

from engine.backend import Backend
from engine.cells import Cells
from engine.events import TurnStats
from engine.plan import Keep, Plan, plan
from engine.segments import Segment, TurnRequest
from engine.session import Session


@dataclass(slots=True)
class Feed:
    """Tokens of one segment that must be read, in order; `done` of them have been."""

    name: str
    tokens: tuple[int, ...]
    ephemeral: bool = False
    whole: bool = True
    """False when the segment's beginning is in the cache already: then it cannot be adopted from elsewhere."""
    leave_open: bool = False
    """The segment goes on growing after these tokens."""
    keep_row: bool = False
    """Keep the row of logits behind the last of these tokens: a reply can branch off here."""
    boundary: bool = False
    """A turn boundary follows: where a model that cannot shift keeps a snapshot of the whole session."""
    done: int = 0


def wanted_segments(request: TurnRequest) -> tuple[Segment, ...]:
    """The prompt, and the beginning of the reply as a last segment."""
    reply = request.reply
    return request.wanted + ((Segment(reply.name, reply.header + reply.prefix),) if reply else ())


def make_plan(session: Session, request: TurnRequest, can_drop: bool) -> Plan:
    """Ask the planner."""
    return plan(session.segments(), wanted_segments(request), request.forgotten, request.pinned, can_drop)


def sync(session: Session, request: TurnRequest, cells: Cells, backend: Backend, stats: TurnStats) -> list[Feed]:
    """Make the moves on a session that has a sequence; returns what is left to read."""
    if cells.whole:
        return _sync_whole(session, request, cells, stats)
    if not request.use_blocks:
        cells.cut(session, 0)
    if session.held and not session.held[0].runs:
        _wake(session, make_plan(session, request, backend.can_shift).keep, cells, stats)
    moves = make_plan(session, request, backend.can_shift)
    if not _apply(session, moves, cells):
        cells.cut(session, 0)
        moves = make_plan(session, request, backend.can_shift)
    _rebase_if_needed(session, request, cells, backend)
    moves = make_plan(session, request, backend.can_shift)
    stats.n_kept = sum(move.n_tokens for move in moves.keep) - stats.n_restored
    return _feeds(session, request, moves)


def _sync_whole(session: Session, request: TurnRequest, cells: Cells, stats: TurnStats) -> list[Feed]:
    """For models that cannot shift: go on where the session ends, or from the best snapshot; never a cell removed."""
    moves = make_plan(session, request, can_drop=False)
    whole = [move.n_tokens == len(session.held[move.held].segment.tokens) for move in moves.keep]
    parked = bool(session.held) and not session.held[0].runs
    if parked or not request.use_blocks or not all(whole) or len(whole) < len(session.held):
        cells.empty(session)
    if request.use_blocks and not session.held:
        stats.n_restored = cells.load_snapshot(session, request.wanted)
    moves = make_plan(session, request, can_drop=False)
    stats.n_kept = sum(move.n_tokens for move in moves.keep) - stats.n_restored
    return _feeds(session, request, moves)


def _wake(session: Session, keeps: tuple[Keep, ...], cells: Cells, stats: TurnStats) -> None:
    """Restore what will be kept; the rest of a parked session is simply not held any more."""
    parked = session.held
    session.held = []
    for move in keeps:
        held = parked[move.held]
        session.held.append(held)
        if not cells.restore(session, held):
            session.held.pop()
            return
        stats.n_restored += move.n_tokens


def _apply(session: Session, moves: Plan, cells: Cells) -> bool:
    """Cut the tail first, then drop from the middle, from the back to the front."""
    n_held = moves.keep[-1].held + 1 if moves.keep else 0
    n_tokens = moves.keep[-1].n_tokens if moves.keep else None
    if not cells.cut(session, n_held, n_tokens):
        return False
    return all(cells.drop(session, move.held) for move in reversed(moves.drop) if move.held < n_held)


def _rebase_if_needed(session: Session, request: TurnRequest, cells: Cells, backend: Backend) -> None:
    room = request.n_tokens_at_most() - session.n_tokens
    if backend.can_shift and session.end + room > backend.n_context_train:
        cells.rebase(session, min(request.pinned, len(session.held)))


def _feeds(session: Session, request: TurnRequest, moves: Plan) -> list[Feed]:
    wanted = wanted_segments(request)
    names = {move.held: wanted[move.wanted] for move in moves.keep}
    for index, held in enumerate(session.held):
        held.segment = Segment(names[index].name, held.segment.tokens, names[index].ephemeral)
    boundaries = {request.pinned - 1, len(request.wanted) - 1}
    feeds = [_feed(wanted[move.wanted], move.start, move.wanted in boundaries) for move in moves.decode]
    if request.reply is not None:
        if not feeds:
            feeds.append(Feed(request.reply.name, (), whole=False))
        feeds[-1].leave_open = feeds[-1].keep_row = True
    return feeds


def _feed(segment: Segment, start: int, boundary: bool) -> Feed:
    return Feed(segment.name, segment.tokens[start:], segment.ephemeral, whole=start == 0, boundary=boundary)
