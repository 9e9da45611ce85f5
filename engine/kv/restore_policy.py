"""Restoring: which blocks a turn brings back instead of reading their text, and which it must never use again.

Joins what could be used (offers), where it is (cells, RAM, disk) and what that costs (speeds); touches no cell itself.
The engine's thread takes only what is `at_hand`; what is on disk is brought into RAM before, by `Prefetch`.
"""

from dataclasses import replace

from engine.backend import Backend
from engine.blocks.store import BlockStore
from engine.kv.candidates import Offer, chain, goes_on, offers
from engine.kv.cells import Cells
from engine.kv.cost_model import Offered, Speeds
from engine.kv.session import Held, Session
from engine.kv.snapshots import snapshot_key
from engine.segments import TurnRequest


class Restoring:
    """One for all sessions; used by the engine's thread."""

    def __init__(self, backend: Backend, cells: Cells, blocks: BlockStore, speeds: Speeds) -> None:
        self._backend, self._cells, self._blocks, self.speeds = backend, cells, blocks, speeds

    def worth(self, session: Session, request: TurnRequest) -> list[bytes]:
        """Keys of the blocks that the turn should use, wherever they are."""
        if self._cells.whole:
            held = [] if goes_on(session, request) else self._best_snapshot(session, request, at_hand=False)
            return [snapshot_key(held[-1].key)] if held else []
        found, tiers = self._offers(session, request)
        return [offer.key for offer in found[: self.speeds.n_worth(tiers)]]

    def at_hand(self, session: Session, request: TurnRequest) -> list[Offer]:
        """For models that can shift: the blocks to use now; one that is on disk ends them."""
        found, tiers = self._offers(session, request)
        return found[: self.speeds.n_worth(_but_disk(tiers))]

    def snapshot(self, session: Session, request: TurnRequest) -> list[Held]:
        """For models that cannot shift: what an empty session holds with the best snapshot at hand; empty for none."""
        return self._best_snapshot(session, request, at_hand=True)

    def note_passed_over(self, session: Session, request: TurnRequest) -> None:
        """A turn begins: tell the speeds which blocks it could have, but does not use."""
        if self._cells.whole:
            tiers = [] if goes_on(session, request) else self._snapshots(session, request)[1]
            known = [block for block in tiers if block.tier]
            passed = [] if any(map(self.speeds.pays, _but_disk(known))) else known
        else:
            _, tiers = self._offers(session, request)
            passed = tiers[self.speeds.n_worth(_but_disk(tiers)) :]
        self.speeds.passed_over(passed)

    def quarantine(self, session: Session, request: TurnRequest) -> None:
        """Put aside every block that this turn would have used: one of them may have killed the last attempt."""
        held = [*session.held, *chain(session, request)]
        keys = {snapshot_key(each.key) if self._cells.whole else each.key for each in held}
        if not self._cells.whole:
            keys |= {offer.key for offer in self._offers(session, request)[0]}
        for key in keys:
            if self._blocks.tier(key) is not None:
                self._blocks.discard(key)

    def _offers(self, session: Session, request: TurnRequest) -> tuple[list[Offer], list[Offered]]:
        """What is there, up to the first gap."""
        found, tiers = [], []
        for offer in offers(session, request, self._backend.n_context_train):
            tier = self._cells.tier(session, offer)
            if tier is None:
                break
            found.append(offer)
            tiers.append(Offered(tier, offer.n_tokens, offer.n_saved))
        return found, tiers

    def _best_snapshot(self, session: Session, request: TurnRequest, at_hand: bool) -> list[Held]:
        held, tiers = self._snapshots(session, request)
        room = self._backend.n_cells - (self._cells.used if at_hand else 0)
        if at_hand:
            tiers = _but_disk(tiers)
        fitting = [block if block.n_tokens <= room else replace(block, tier=None) for block in tiers]
        return held[: self.speeds.best_of(fitting)]

    def _snapshots(self, session: Session, request: TurnRequest) -> tuple[list[Held], list[Offered]]:
        held = chain(session, request)
        return held, [Offered(self._blocks.tier(snapshot_key(each.key)), each.end, each.end) for each in held]


def _but_disk(blocks: list[Offered]) -> list[Offered]:
    return [Offered(None if b.tier == "disk" else b.tier, b.n_tokens, b.n_saved) for b in blocks]
