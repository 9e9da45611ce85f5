"""Snapshots: whole sessions at turn boundaries, for models whose cells cannot be moved or removed in part.

Sliding-window, recurrent and hybrid models keep a state that cannot be taken apart, so nothing is: a session goes on
where it ends, or starts again from the longest snapshot that is a beginning of what is wanted. Snapshots are blocks
under a key of their own; the key covers everything read so far, so they are found by the wanted text alone, by any
session, also after a restart. Slower than the block log, never wrong.

What it refuses to know: which snapshot is worth loading (restore_policy.py).
"""

import hashlib

from engine.backend import Backend
from engine.blocks.store import Block, BlockStore
from engine.kv.session import CellRun, Held, Session


class Snapshots:
    """Saves and loads the whole state of a session."""

    def __init__(self, backend: Backend, blocks: BlockStore) -> None:
        self._backend, self._blocks = backend, blocks

    def save(self, session: Session, last: Held) -> None:
        """Keep the state of a session that has just completed `last`, unless it is kept already."""
        key = snapshot_key(last.key)
        if session.sequence is not None and self._blocks.tier(key) is None:
            payload = self._backend.seq_save(session.sequence, allocate=self._blocks.allocate)
            self._blocks.put(Block(key, 0, session.n_tokens, payload))

    def load(self, session: Session, held: list[Held]) -> bool:
        """Fill an empty session with the snapshot of what it would hold then; a bad one is put aside."""
        assert not session.held
        key = snapshot_key(held[-1].key)
        block = self._blocks.get(key)
        if block is None or session.sequence is None:
            return False
        loaded = self._backend.seq_load(session.sequence, block.payload)
        if not loaded or self._backend.seq_end(session.sequence) != held[-1].end:
            self._backend.seq_remove(session.sequence, 0, -1)
            self._blocks.discard(key)
            return False
        for each in held:
            each.runs = [CellRun(len(each.segment.tokens))]
        session.held = held
        return True


def snapshot_key(key: bytes) -> bytes:
    """Key of the snapshot of a whole session whose last segment has `key` (which covers all before it)."""
    return hashlib.sha256(b"snapshot" + key).digest()
