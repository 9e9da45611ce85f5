"""Restoring: which blocks a turn brings back instead of reading their text, and which it must never use again.

Joins what could be used (candidates), where it is (cells, RAM, disk) and what that costs (cost_model); touches no cell.
The engine's thread takes only what is `at_hand`; what is on disk is brought into RAM before, by `Prefetch`.
"""

from dataclasses import replace

from engine.backend import Backend
from engine.blocks.store import BlockStore
from engine.kv.candidates import Candidate, candidates, chain, continues_at_end
from engine.kv.cells import Cells
from engine.kv.cost_model import CostModel, Offered
from engine.kv.session import Held, Session
from engine.kv.snapshots import snapshot_key
from engine.segments import TurnRequest


class RestorePolicy:
    """One for all sessions; used by the engine's thread."""

    def __init__(self, backend: Backend, cells: Cells, blocks: BlockStore, cost_model: CostModel) -> None:
        self._backend, self._cells, self._blocks, self.cost_model = backend, cells, blocks, cost_model

    def worth(self, session: Session, request: TurnRequest) -> list[bytes]:
        """Keys of the blocks that the turn should use, wherever they are."""
        if self._cells.snapshot_only:
            held = [] if continues_at_end(session, request) else self._best_snapshot(session, request, at_hand=False)
            return [snapshot_key(held[-1].key)] if held else []
        found, tiers = self._candidates(session, request)
        return [candidate.key for candidate in found[: self.cost_model.best_prefix(tiers)]]

    def at_hand(self, session: Session, request: TurnRequest) -> list[Candidate]:
        """For models that can shift: the blocks to use now; one that is on disk ends them."""
        found, tiers = self._candidates(session, request)
        return found[: self.cost_model.best_prefix(_but_disk(tiers))]

    def snapshot(self, session: Session, request: TurnRequest) -> list[Held]:
        """For models that cannot shift: what an empty session holds with the best snapshot at hand; empty for none."""
        return self._best_snapshot(session, request, at_hand=True)

    def record_skip(self, session: Session, request: TurnRequest) -> None:
        """A turn begins: tell the cost model which blocks it could have, but does not use."""
        if self._cells.snapshot_only:
            tiers = [] if continues_at_end(session, request) else self._snapshots(session, request)[1]
            known = [block for block in tiers if block.tier]
            passed = [] if any(map(self.cost_model.is_worth, _but_disk(known))) else known
        else:
            _, tiers = self._candidates(session, request)
            passed = tiers[self.cost_model.best_prefix(_but_disk(tiers)) :]
        self.cost_model.record_skip(passed)

    def quarantine(self, session: Session, request: TurnRequest) -> None:
        """Put aside every block that this turn would have used: one of them may have killed the last attempt."""
        held = [*session.held, *chain(session, request)]
        keys = {snapshot_key(each.key) if self._cells.snapshot_only else each.key for each in held}
        if not self._cells.snapshot_only:
            keys |= {candidate.key for candidate in self._candidates(session, request)[0]}
        for key in keys:
            if self._blocks.tier(key) is not None:
                self._blocks.discard(key)

    def _candidates(self, session: Session, request: TurnRequest) -> tuple[list[Candidate], list[Offered]]:
        """What is there, up to the first gap."""
        found, tiers = [], []
        for candidate in candidates(session, request, self._backend.n_context_train):
            tier = self._cells.tier(session, candidate)
            if tier is None:
                break
            found.append(candidate)
            tiers.append(Offered(tier, candidate.n_tokens, candidate.n_saved))
        return found, tiers

    def _best_snapshot(self, session: Session, request: TurnRequest, at_hand: bool) -> list[Held]:
        held, tiers = self._snapshots(session, request)
        room = self._backend.n_cells - (self._cells.used if at_hand else 0)
        if at_hand:
            tiers = _but_disk(tiers)
        fitting = [block if block.n_tokens <= room else replace(block, tier=None) for block in tiers]
        return held[: self.cost_model.best_of(fitting)]

    def _snapshots(self, session: Session, request: TurnRequest) -> tuple[list[Held], list[Offered]]:
        held = chain(session, request)
        return held, [Offered(self._blocks.tier(snapshot_key(each.key)), each.end, each.end) for each in held]


def _but_disk(blocks: list[Offered]) -> list[Offered]:
    return [Offered(None if b.tier == "disk" else b.tier, b.n_tokens, b.n_saved) for b in blocks]
