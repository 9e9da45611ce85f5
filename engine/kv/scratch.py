"""The scratch sequence: how blocks and checkpoints get out of a session's cells and back into them (save, restore).

It is the last sequence of the backend, empty between uses. A block is saved by sharing its cells with the scratch, and
restored by loading it there and sharing it with the session. Models whose state has a rest (engine.backend.Part) keep
two things more:

    window      with each block, what the layers with a sliding window hold of it, under a key of its own (`rest_key`):
                only the newest ones are needed, so the others are the first that the tiers evict
    checkpoint  the state of the recurrent layers at a point of a session (`checkpoint_key`): at the end of the persona,
                before a reply, at the end of a turn

What it refuses to know: which cells belong to whom (cells.py), and from which points reading may go on (resume.py).
"""

import hashlib

from engine.backend import Backend, Cut, Part
from engine.blocks.store import Block, BlockStore
from engine.kv.session import Held, Session


def rest_key(key: bytes) -> bytes:
    """Key of what a window holds of the block `key`."""
    return hashlib.sha256(b"rest" + key).digest()


def checkpoint_key(key: bytes) -> bytes:
    """Key of the checkpoint behind the tokens of `key` (which covers all that was read before them)."""
    return hashlib.sha256(b"checkpoint" + key).digest()


class Scratch:
    """Saves and loads through the scratch sequence of one backend.

    `shifting`: sequences with cells that are marked for a shift, which the next decode carries out; no save before it.
    """

    def __init__(self, backend: Backend, blocks: BlockStore) -> None:
        self._backend, self._blocks = backend, blocks
        self._sequence = backend.n_sequences - 1
        self._has_window, self._is_plain = backend.cut is Cut.WINDOW, backend.cut is Cut.FREELY
        self.shifting: set[int] = set()

    def save(self, session: Session, held: Held) -> None:
        """Keep the cells of a segment of a resident session as a block, with what a window holds of them."""
        assert session.sequence is not None
        if session.sequence in self.shifting:
            return
        n_tokens, allocate = len(held.segment.tokens), self._blocks.allocate
        self._backend.seq_copy(session.sequence, self._sequence, held.position, held.end)
        if self._has_window:
            rest = self._backend.seq_save(self._sequence, 0, allocate, Part.REST)
            self._blocks.put(Block(rest_key(held.key), held.position, n_tokens, rest))
        cells = self._backend.seq_save(self._sequence, n_tokens if self._is_plain else 0, allocate, Part.CELLS)
        self._clear()
        self._blocks.put(Block(held.key, held.position, n_tokens, cells))

    def load(self, sequence: int, held: Held, with_rest: bool) -> bool:
        """Bring a segment back from its block, to where the session has it now; a bad block is put aside."""
        block = self._blocks.get(held.key)
        rest = self._blocks.get(rest_key(held.key)) if with_rest else None
        if block is None:
            return False
        if block.n_tokens != len(held.segment.tokens) or not self._fill(block, rest):
            self._blocks.discard(held.key)
            self._blocks.discard(rest_key(held.key))
            return False
        if held.position != block.position:
            self._backend.seq_shift(self._sequence, 0, -1, held.position - block.position)
            self.shifting.add(sequence)
        self._backend.seq_copy(self._sequence, sequence, 0, -1)
        self._clear()
        return True

    def n_window_cells(self, session: Session, start: int) -> int:
        """How many cells from position `start` on the layers with a window hold; 0 when the last one is missing."""
        assert session.sequence is not None
        self._backend.seq_copy(session.sequence, self._sequence, max(0, start), session.end)
        reaches = self._backend.seq_end(self._sequence) == session.end
        n_cells = self._backend.window_cells(self._sequence) if reaches else 0
        self._clear()
        return n_cells

    def save_checkpoint(self, session: Session, key: bytes, durable: bool) -> None:
        """Keep the state of a session that has just read or written the tokens of `key`, unless it is kept already."""
        assert session.sequence is not None
        if self._blocks.tier(checkpoint_key(key)) is None:
            state = self._backend.seq_save(session.sequence, 0, self._blocks.allocate, Part.REST)
            block = Block(checkpoint_key(key), session.end, session.n_tokens, state, durable)
            self._blocks.put(block)

    def load_checkpoint(self, session: Session, key: bytes) -> bool:
        """Give a session, whose cells end behind the tokens of `key`, the state that belongs there."""
        block = self._blocks.get(checkpoint_key(key))
        if block is None or session.sequence is None:
            return False
        if not self._backend.seq_load(self._sequence, block.payload, Part.REST):
            self._blocks.discard(block.key)
            return False
        if block.position != session.end:
            self._backend.seq_shift(self._sequence, 0, -1, session.end - block.position)
        self._backend.seq_copy(self._sequence, session.sequence, 0, 0)
        self._clear()
        if self._backend.seq_end(session.sequence) == session.end:
            return True
        self._backend.seq_strip(session.sequence)
        self._blocks.discard(block.key)
        return False

    def _fill(self, block: Block, rest: Block | None) -> bool:
        if not self._backend.seq_load(self._sequence, block.payload, Part.CELLS):
            return False
        if rest is not None and not self._backend.seq_load(self._sequence, rest.payload, Part.REST):
            return False
        if not (self._is_plain or rest) or self._backend.seq_end(self._sequence) == block.position + block.n_tokens:
            return True
        self._clear()
        return False

    def _clear(self) -> None:
        self._backend.seq_remove(self._sequence, 0, -1)
