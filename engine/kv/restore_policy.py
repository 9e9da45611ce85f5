"""Restore policy: plans a turn once, with the blocks to bring back instead of reading their text; and the quarantine.

Joins what the planner keeps, which blocks exist (candidates.py) and what they cost (cost_model.py); touches no cell.

What it refuses to know: how a plan is carried out (sync.py), and the disk (prefetch.py).
To add a tier: kv/cost_model.py says how.
"""

from collections.abc import Collection
from itertools import takewhile

from engine.backend import Backend
from engine.blocks.store import BlockStore
from engine.kv import planner
from engine.kv.candidates import Candidate, chain, find_candidates
from engine.kv.cells import Cells
from engine.kv.cost_model import CostModel
from engine.kv.planner import Plan, decode_from
from engine.kv.session import Session
from engine.kv.snapshots import snapshot_key
from engine.kv.turn_plan import TurnPlan, plan_to_read_everything
from engine.segments import TurnRequest

ANYWHERE = ("cells", "ram", "disk")
AT_HAND = ("cells", "ram")


class RestorePolicy:
    """One for all sessions; used by the engine's thread."""

    def __init__(self, backend: Backend, cells: Cells, blocks: BlockStore, cost_model: CostModel) -> None:
        self._backend, self._cells, self._blocks, self.cost_model = backend, cells, blocks, cost_model

    def plan(self, session: Session, request: TurnRequest, tiers: Collection[str] = ANYWHERE) -> TurnPlan:
        """The cheapest way from what the session holds to what the turn wants, with blocks of these tiers only."""
        if not request.use_blocks:
            return plan_to_read_everything(session, request)
        moves = self._moves(session, request)
        if self._cells.snapshot_only:
            return self._plan_snapshot(session, request, moves, tiers)
        found = self._find(session, request, moves)
        usable = list(takewhile(lambda candidate: candidate.tier in tiers, found))
        restore = tuple(usable[: self.cost_model.best_prefix(usable)])
        keep, drop, read = moves.keep, moves.drop, moves.decode
        if session.parked:
            keep, drop, read = (), (), decode_from(request.everything(), 0)
        if restore and (session.parked or restore[-1].held is None):
            read = decode_from(request.everything(), restore[-1].wanted, restore[-1].n_saved)
        skipped = tuple(found[len(restore) :])
        return TurnPlan(tuple(session.held), session.parked, read, keep, drop, restore, skipped=skipped)

    def quarantine(self, session: Session, request: TurnRequest) -> None:
        """Put aside every block that this turn would have used: one of them may have killed the last attempt."""
        held = [*session.held, *chain(session, request)]
        keys = {snapshot_key(each.key) if self._cells.snapshot_only else each.key for each in held}
        if not self._cells.snapshot_only:
            keys |= {each.key for each in self._find(session, request, self._moves(session, request))}
        for key in keys:
            if self._blocks.tier(key) is not None:
                self._blocks.discard(key)

    def _moves(self, session: Session, request: TurnRequest) -> Plan:
        can_drop = self._backend.can_shift
        return planner.plan(session.segments(), request.everything(), request.forgotten, request.pinned, can_drop)

    def _find(self, session: Session, request: TurnRequest, moves: Plan) -> list[Candidate]:
        def tier_of(key: bytes, position: int) -> str | None:
            return self._cells.tier(session, key, position)

        return find_candidates(session, request, moves, self._backend.n_context_train, tier_of)

    def _plan_snapshot(self, session: Session, request: TurnRequest, moves: Plan, tiers: Collection[str]) -> TurnPlan:
        """For models that cannot shift: go on where the session ends, or from the best snapshot."""
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


def _continues_at_end(session: Session, moves: Plan) -> bool:
    """Whether the turn keeps all that the session holds, in cells."""
    everything = len(moves.keep) == len(session.held) and all(
        move.n_tokens == len(session.held[move.held].segment.tokens) for move in moves.keep
    )
    return everything and bool(moves.keep) and not session.parked
