"""Cell ownership (reference counts): sequences, sharing, parking and waking on top of a backend's verbs.

A run of cells that sequences share counts once; one that is cut in one of them counts whole until that one is parked.
A session whose cells were cut or brought back is not `sound` until resume.py has seen to it.

What it refuses to know: what a turn wants, whether restoring is worth it, and what a state is made of (scratch.py).
To add a verb: whatever adds cells sets `Held.runs` and adds to `used`, whatever frees them goes through `_disown`.
"""

import logging
import time
from collections.abc import Iterable

from engine.backend import Backend, Cut
from engine.blocks.store import BlockStore
from engine.kv.cost_model import CostModel
from engine.kv.scratch import Scratch
from engine.kv.session import CellRun, Held, Open, Session
from engine.kv.snapshots import Snapshots
from engine.segments import Segment

log = logging.getLogger(__name__)


class Cells:
    """The KV cells of one backend, and which session has which of them."""

    def __init__(self, backend: Backend, blocks: BlockStore, cost_model: CostModel) -> None:
        self._backend, self._blocks, self._cost_model = backend, blocks, cost_model
        self.snapshot_only = not backend.can_drop
        self._snapshots = Snapshots(backend, blocks)
        self.scratch = Scratch(backend, blocks)
        self._free_sequences = list(range(backend.n_sequences - 1))
        self._resident: dict[bytes, dict[int, Held]] = {}
        self.used = 0

    # -- sequences --------------------------------------------------------------------------------------------------

    def take_sequence(self, session: Session) -> bool:
        """Give a parked session an empty sequence; false when all are taken."""
        if session.sequence is None and self._free_sequences:
            session.sequence = self._free_sequences.pop()
        return session.sequence is not None

    def release(self, session: Session) -> None:
        """Park: free the cells of a session. What it holds stays known, to be woken from blocks."""
        if session.sequence is None:
            return
        sequence = session.sequence
        self._disown_all(session)
        self._remove(sequence, 0, -1)
        self.scratch.shifting.discard(sequence)
        self._free_sequences.append(sequence)
        session.sequence = None
        if self.snapshot_only:
            session.held = []  # its snapshots are found by what is wanted, not by what was held

    def empty(self, session: Session) -> None:
        """Free all cells of a session and hold nothing; it keeps its sequence."""
        self._disown_all(session)
        session.held, session.open, session.sound = [], None, True
        if session.sequence is not None:
            self._remove(session.sequence, 0, -1)

    def forget(self, session: Session) -> None:
        """Free all cells of a session, hold nothing, and give its sequence back."""
        self.empty(session)
        self.release(session)

    def decoded(self) -> None:
        """Note that a decode went through: marked shifts have been carried out."""
        self.scratch.shifting.clear()

    def resync(self, session: Session) -> None:
        """A decode was aborted: remove the cells that it left behind the session's end."""
        if session.sequence is not None:
            self._remove(session.sequence, session.end, -1)

    # -- growing and shrinking --------------------------------------------------------------------------------------

    def grow(self, session: Session, tokens: Iterable[int]) -> None:
        """Add tokens that were decoded at the end of the open segment."""
        opened = session.open
        assert opened is not None
        tokens = list(tokens)
        if not opened.runs or opened.runs[-1].n_owners > 1:
            opened.runs.append(CellRun(0))
        opened.runs[-1].n_tokens += len(tokens)
        opened.tokens += tokens
        self.used += len(tokens)

    def complete(self, session: Session, save: bool = True) -> None:
        """Close the open segment; its cells are saved as a block right away, before anything can move them."""
        held = session.complete()
        if held is None:
            return
        if session.sequence is not None and not self.snapshot_only:
            self._resident.setdefault(held.key, {})[session.sequence] = held
        if save and self.snapshot_only:
            self._snapshots.save(session, held)
        elif save and self._blocks.tier(held.key) is None:
            self.scratch.save(session, held)

    def reopen(self, session: Session, name: str, ephemeral: bool) -> Open:
        """Let the last segment grow again: what it was until now is nobody's to share."""
        self._forget_resident(session.held[-1])
        return session.reopen(name, ephemeral)

    def save_last(self, session: Session) -> None:
        """Keep the last segment as a block, if a cut has made it and it stays as it is."""
        unsaved = session.held and self._blocks.tier(session.held[-1].key) is None and not self.snapshot_only
        if unsaved and session.sequence is not None:
            self.scratch.save(session, session.held[-1])

    def cut(self, session: Session, n_held: int, n_tokens: int | None = None) -> bool:
        """Take back everything behind the first `n_held` segments, and keep only `n_tokens` of the last of those.

        False when the model cannot take back a part: the session then holds nothing.
        """
        session.complete()
        shorter = n_tokens is not None and session.held and n_tokens < len(session.held[-1].segment.tokens)
        if self.snapshot_only and (len(session.held) > n_held or shorter):
            self.empty(session)
            return False
        if len(session.held) > n_held or shorter:
            self._make_unsound(session)
        for held in session.held[n_held:]:
            self._disown(session, held)
        del session.held[n_held:]
        if n_tokens is not None and session.held and n_tokens < len(session.held[-1].segment.tokens):
            self._shorten(session, n_tokens)
        if session.sequence is None or self._remove(session.sequence, session.end, -1):
            return True
        self.empty(session)
        return False

    def _make_unsound(self, session: Session) -> None:
        session.sound = False
        if self._backend.cut is Cut.CHECKPOINT and session.sequence is not None:
            self._backend.seq_strip(session.sequence)

    def drop(self, session: Session, index: int) -> bool:
        """Remove held segment `index` from the middle; positions behind it stay, a hole remains."""
        held = session.held[index]
        if session.sequence is not None and not self._remove(session.sequence, held.position, held.end):
            return False
        self._disown(session, held)
        del session.held[index]
        return True

    def _shorten(self, session: Session, n_tokens: int) -> None:
        last = session.held.pop()
        self._forget_resident(last)
        surplus = len(last.segment.tokens) - n_tokens
        opened = session.begin(last.segment.name, last.segment.ephemeral)
        opened.position, opened.tokens, opened.runs = last.position, list(last.segment.tokens[:n_tokens]), last.runs
        opened.origin = session.origin_of(last, len(session.held))
        while surplus and opened.runs and opened.runs[-1].n_owners == 1:
            run = opened.runs[-1]
            taken = min(surplus, run.n_tokens)
            run.n_tokens, surplus, self.used = run.n_tokens - taken, surplus - taken, self.used - taken
            if not run.n_tokens:
                opened.runs.pop()
        session.complete()

    # -- sharing, waking, moving ------------------------------------------------------------------------------------

    def tier(self, session: Session, key: bytes, position: int) -> str | None:
        """Where the cells of `key` at `position` can be had: another session's "cells", "ram", "disk", or None."""
        owner = self._owner(key, position, session.sequence)
        return "cells" if owner is not None else self._blocks.tier(key)

    def adopt(self, session: Session, segment: Segment, until: int | None = None) -> str | None:
        """Add a whole segment at the session's end without reading it; the rest as in `bring_back`."""
        opened = session.begin(segment.name, segment.ephemeral)
        opened.tokens = list(segment.tokens)
        held = session.complete()
        assert held is not None
        source = self.bring_back(session, held, until)
        if source is None:
            session.held.pop()
        return source

    def bring_back(self, session: Session, held: Held, until: int | None = None) -> str | None:
        """Fill the cells of a held segment: from another session's "cells", from a block in "ram", or None.

        `until`: where the session will end when everything is back; a window that ends there needs what it sees.
        """
        owner = self._owner(held.key, held.position, session.sequence)
        if owner is not None:
            self._share(session, held, owner)
            self._make_unsound(session)  # sharing cells has brought the other's state along
            return "cells"
        self._make_unsound(session)
        return "ram" if self.restore(session, held, until) else None

    def _owner(self, key: bytes, position: int, but: int | None) -> tuple[int, Held] | None:
        """Another sequence with these cells. Never where there is a window: what it held of them may be gone."""
        if self._backend.cut is Cut.WINDOW:
            return None
        for sequence, held in self._resident.get(key, {}).items():
            if sequence != but and held.position == position:
                return sequence, held
        return None

    def restore(self, session: Session, held: Held, until: int | None = None) -> bool:
        """Bring the cells of a held segment back from its block in RAM, to where the session has it now."""
        started, n_tokens = time.monotonic(), len(held.segment.tokens)
        if session.sequence is None or self.used + n_tokens > self._backend.n_cells:
            return False
        is_seen = until is None or held.end > until - self._backend.n_window
        if not self.scratch.load(session.sequence, held, self._backend.cut is Cut.WINDOW and is_seen):
            return False
        held.runs = [CellRun(n_tokens)]
        self.used += n_tokens
        self._blocks.n_restored += 1
        self._resident.setdefault(held.key, {})[session.sequence] = held
        self._cost_model.learn_restoring("ram", n_tokens, time.monotonic() - started)
        return True

    def rebase(self, session: Session, pinned: int) -> bool:
        """Close all holes behind the pinned segments, so that positions start low again.

        Cells that another session shares must not move; then the session is woken anew at its new positions. False
        when a block for that was missing, or the model's cells cannot move: the session then holds less than before.
        """
        if not self._backend.can_move:
            self.empty(session)
            return False
        shared = any(run.n_owners > 1 for held in session.held[pinned:] for run in held.runs)
        target = session.held[pinned - 1].end if pinned else 0
        moves = []
        for held in session.held[pinned:]:
            moves.append((held, target))
            target += len(held.segment.tokens)
        if shared:
            return self._rebase_by_blocks(session, pinned, moves)
        for held, position in moves:
            if position != held.position and session.sequence is not None:
                self._backend.seq_shift(session.sequence, held.position, held.end, position - held.position)
                self.scratch.shifting.add(session.sequence)
                session.sound = session.sound and self._backend.cut is not Cut.WINDOW
            held.position = position
        return True

    def _rebase_by_blocks(self, session: Session, pinned: int, moves: list[tuple[Held, int]]) -> bool:
        self.cut(session, pinned)
        for held, position in moves:
            held.position, held.runs = position, []
            session.held.append(held)
            if not self.restore(session, held):
                session.held.pop()
                return False
        return True

    def load_snapshot(self, session: Session, held: list[Held]) -> bool:
        """Models whose state is a whole: fill an empty session with what it held when a snapshot was made."""
        if self.used + held[-1].end > self._backend.n_cells:
            return False
        started = time.monotonic()
        loaded = self._snapshots.load(session, held)
        if loaded:
            self.used += held[-1].end
            self._blocks.n_restored += 1
            self._cost_model.learn_restoring("ram", held[-1].end, time.monotonic() - started)
        return loaded

    def _share(self, session: Session, held: Held, owner: tuple[int, Held]) -> None:
        sequence, shared = owner
        assert session.sequence is not None
        self._backend.seq_copy(sequence, session.sequence, shared.position, shared.end)
        held.runs = list(shared.runs)
        for run in held.runs:
            run.n_owners += 1
        self._resident.setdefault(held.key, {})[session.sequence] = held

    # -- counting ---------------------------------------------------------------------------------------------------

    def _disown(self, session: Session, held: Held) -> None:
        self._forget_resident(held)
        for run in held.runs:
            run.n_owners -= 1
            if not run.n_owners:
                self.used -= run.n_tokens
        held.runs = []

    def _disown_all(self, session: Session) -> None:
        session.complete()
        for held in session.held:
            self._disown(session, held)

    def _forget_resident(self, held: Held) -> None:
        owners = self._resident.get(held.key, {})
        for sequence in [sequence for sequence, owned in owners.items() if owned is held]:
            del owners[sequence]
        if not owners:
            self._resident.pop(held.key, None)

    def _remove(self, sequence: int, start: int, end: int) -> bool:
        return self._backend.seq_remove(sequence, start, end)
