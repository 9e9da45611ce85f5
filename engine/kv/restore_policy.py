"""Restore policy: plans a turn once, with the blocks to bring back instead of reading their text; and the quarantine.

Joins what the planner keeps, which blocks exist (candidates.py) and what they cost (cost_model.py); touches no cell.

What it refuses to know: how a plan is carried out (sync.py), and the disk (prefetch.py).
To add a tier: kv/cost_model.py says how.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import takewhile

from engine.backend import Backend, Cut
from engine.blocks.store import BlockStore
from engine.kv import planner
from engine.kv.candidates import Candidate, chain, find_candidates, is_near, must_rebase
from engine.kv.cells import Cells
from engine.kv.cost_model import CostModel
from engine.kv.planner import Keep, Plan, decode_from
from engine.kv.resume import behind_window
from engine.kv.scratch import checkpoint_key, rest_key
from engine.kv.session import Held, Session
from engine.kv.snapshots import snapshot_key
from engine.kv.turn_plan import TurnPlan, plan_to_read_everything
from engine.options import EngineOptions
from engine.segments import TurnRequest

ANYWHERE = ("cells", "ram", "disk")
AT_HAND = ("cells", "ram")


class RestorePolicy:
    """One for all sessions; used by the engine's thread."""

    def __init__(
        self, backend: Backend, cells: Cells, blocks: BlockStore, cost_model: CostModel, options: EngineOptions
    ) -> None:
        self._backend, self._cells, self._blocks, self.cost_model = backend, cells, blocks, cost_model
        self._context = options.context
        self._reread_every = options.reread_every if backend.cut is Cut.CHECKPOINT and backend.can_drop else 0

    def plan(self, session: Session, request: TurnRequest, tiers: Collection[str] = ANYWHERE) -> TurnPlan:
        """The cheapest way from what the session holds to what the turn wants, with blocks of these tiers only."""
        if not request.use_blocks or self._must_reread(session, request):
            return plan_to_read_everything(session, request)
        moves = self._moves(session, request)
        if self._cells.snapshot_only:
            return self._plan_snapshot(session, request, moves, tiers)
        found = self._find(session, request, moves)
        usable = list(takewhile(lambda candidate: candidate.tier in tiers, found))
        if self._backend.cut is Cut.CHECKPOINT:
            return self._plan_checkpoint(session, request, moves, usable, tiers)
        restore = tuple(usable[: self.cost_model.best_prefix(usable)])
        plan = _joined(session, request, moves, restore)
        resume = self._window(session, plan) if self._backend.cut is Cut.WINDOW else ()
        return replace(plan, skipped=tuple(found[len(restore) :]), resume=resume)

    def _window(self, session: Session, plan: TurnPlan) -> tuple[bytes, ...]:
        """Keys of what a window sees from where reading goes on; in cells it may be gone, unless nothing is cut."""
        kept = () if _ends_as_it_is(session, plan) else plan.keep
        points = [(session.held[move.held].key, session.held[move.held].end) for move in kept]
        points += [(each.key, each.position + each.n_tokens) for each in plan.restore]
        ends = [*(end for _, end in points[:-1]), plan.window_end(session)]
        seen = [(key, rest_key(key)) for key, _ in points[behind_window(ends, self._backend.n_window) :]]
        return tuple(key for pair in seen for key in pair if self._blocks.tier(key) is not None)

    def _plan_checkpoint(
        self,
        session: Session,
        request: TurnRequest,
        moves: Plan,
        usable: Sequence[Candidate],
        tiers: Collection[str],
    ) -> TurnPlan:
        """Go on at the latest point that has a checkpoint, or where the session ends as it is."""

        def has(key: bytes) -> bool:
            return self._blocks.tier(checkpoint_key(key)) in tiers

        for n in range(len(usable), 0, -1):
            key = _key_behind(session, usable[n - 1])
            if has(key):
                plan = _joined(session, request, moves, tuple(usable[:n]))
                return replace(plan, resume=(checkpoint_key(key),))
        if session.parked:
            return plan_to_read_everything(session, request)
        if _ends_as_it_is(session, moves):
            return _joined(session, request, moves, ())
        for n in range(len(moves.keep), 0, -1):
            last = moves.keep[n - 1]
            key = session.key_behind(last.held, last.n_tokens)
            if has(key):
                read = decode_from(request.everything(), last.wanted, last.n_tokens)
                plan = TurnPlan(tuple(session.held), False, read, moves.keep[:n], moves.drop)
                return replace(plan, resume=(checkpoint_key(key),))
        return plan_to_read_everything(session, request)

    def quarantine(self, session: Session, request: TurnRequest) -> None:
        """Put aside every block that this turn would have used: one of them may have killed the last attempt."""
        held = [*session.held, *chain(session, request)]
        keys = {snapshot_key(each.key) if self._cells.snapshot_only else each.key for each in held}
        if not self._cells.snapshot_only:
            keys |= {each.key for each in self._find(session, request, self._moves(session, request))}
            keys |= {of(key) for key in keys for of in (rest_key, checkpoint_key)}
            keys |= {*session.checkpoints, *session.short_checkpoints}
        for key in keys:
            if self._blocks.tier(key) is not None:
                self._blocks.discard(key)

    def _must_reread(self, session: Session, request: TurnRequest) -> bool:
        forgets = bool(self._reread_every) and session.forgets(request.forgotten)
        return forgets and (session.n_forgettings + 1) % self._reread_every == 0

    def _moves(self, session: Session, request: TurnRequest) -> Plan:
        """What the planner keeps; nothing of a session that runs out of positions, or has been read ahead for that."""
        wanted, forgotten, can_drop = request.everything(), request.forgotten, self._backend.can_drop
        moves = planner.plan(session.segments(), wanted, forgotten, request.pinned, can_drop)
        if self._backend.can_move or not can_drop or not moves.keep:
            return moves
        end = session.held[moves.keep[-1].held].position + moves.keep[-1].n_tokens
        n_tokens = sum(move.n_tokens for move in moves.keep)
        runs_out = must_rebase(end, n_tokens, request, self._backend.n_context_train)
        if runs_out or self._is_read_ahead(session, request, moves, end):
            return planner.plan((), wanted)
        return moves

    def _is_read_ahead(self, session: Session, request: TurnRequest, moves: Plan, end: int) -> bool:
        """Near the trained context: whether all that is kept can be had at low positions, too (read_ahead.py)."""
        if end == sum(move.n_tokens for move in moves.keep) or not is_near(end, self._context, self._backend):
            return False
        last = min(moves.keep[-1].wanted, len(request.wanted) - 1)
        return self._blocks.tier(chain(session, request)[last].key) is not None

    def _find(self, session: Session, request: TurnRequest, moves: Plan) -> list[Candidate]:
        def tier_of(key: bytes, position: int) -> str | None:
            return self._cells.tier(session, key, position)

        return find_candidates(session, request, moves, self._backend.n_context_train, tier_of)

    def _plan_snapshot(self, session: Session, request: TurnRequest, moves: Plan, tiers: Collection[str]) -> TurnPlan:
        """For models whose state is a whole: go on where the session ends, or from the best snapshot."""
        state = (tuple(session.held), session.parked)
        if _continues_at_end(session, moves):
            return TurnPlan(*state, moves.decode, moves.keep)
        held = chain(session, request)
        found = []
        for index, last in enumerate(held):
            tier = self._blocks.tier(snapshot_key(last.key))
            if tier is not None:
                found.append(Candidate(tier, snapshot_key(last.key), 0, last.end, last.end, index))
        best = self.cost_model.best_single([each for each in found if each.tier in tiers])
        if best is None:
            return TurnPlan(*state, decode_from(request.everything(), 0), skipped=tuple(found))
        read = decode_from(request.everything(), best.wanted + 1)
        return TurnPlan(*state, read, restore=(best,), snapshot=tuple(held[: best.wanted + 1]))


def _joined(session: Session, request: TurnRequest, moves: Plan, restore: tuple[Candidate, ...]) -> TurnPlan:
    """The plan with these blocks: a parked session keeps nothing but them, any other what it has before them."""
    keep, drop, read = moves.keep, moves.drop, moves.decode
    if session.parked:
        keep, drop, read = (), (), decode_from(request.everything(), 0)
    if restore and (session.parked or restore[-1].held is None):
        read = decode_from(request.everything(), restore[-1].wanted, restore[-1].n_saved)
    return TurnPlan(tuple(session.held), session.parked, read, keep, drop, restore)


def _key_behind(session: Session, candidate: Candidate) -> bytes:
    """Key of the tokens that a candidate saves reading."""
    return candidate.key if candidate.held is None else session.key_behind(candidate.held, candidate.n_saved)


def _ends_as_it_is(session: Session, moves: Plan | TurnPlan) -> bool:
    """Whether the turn keeps the end of what the session has in cells."""
    last = moves.keep[-1] if moves.keep else None
    return (
        session.sound
        and last is not None
        and last == Keep(len(session.held) - 1, last.wanted, _n_tokens(session.held[-1]))
    )


def _n_tokens(held: Held) -> int:
    return len(held.segment.tokens)


def _continues_at_end(session: Session, moves: Plan) -> bool:
    """Whether the turn keeps all that the session holds, in cells."""
    everything = len(moves.keep) == len(session.held) and all(
        move.n_tokens == len(session.held[move.held].segment.tokens) for move in moves.keep
    )
    return everything and bool(moves.keep) and not session.parked
