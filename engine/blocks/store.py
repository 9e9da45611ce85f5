"""Blocks: the KV bytes of single segments, immutable, in RAM and on disk.

A block's key is the hash of everything that its bytes depend on: the model identity, every segment that was visible
when it was decoded, the position, and its tokens (`segment_key`). So a block found under its key is the right one,
whoever made it: a persona read by ten people is one block. Blocks are a cache: any doubt drops one, and its text is
read again.
"""

import hashlib
import logging
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from engine.backend import StateBytes, allocate_memory
from engine.blocks import sealed
from engine.blocks.buffers import BufferPool
from engine.blocks.disk_tier import DiskTier
from engine.blocks.ram_tier import RamChanges, RamTier

log = logging.getLogger(__name__)


def segment_key(model_key: str, visible: Iterable[tuple[bytes, int]], position: int, tokens: Sequence[int]) -> bytes:
    """Key of `tokens` decoded at `position` while the segments `visible` (key, position) were in the cache."""
    digest = hashlib.sha256(model_key.encode())
    for key, at in visible:
        digest.update(key)
        digest.update(struct.pack("<q", at))
    digest.update(b"|" + struct.pack(f"<q{len(tokens)}i", position, *tokens))
    return digest.digest()


@dataclass(frozen=True, slots=True)
class Block:
    """KV bytes of one segment: `n_tokens` cells from `position` on."""

    key: bytes
    position: int
    n_tokens: int
    payload: StateBytes


@dataclass(frozen=True, slots=True)
class FetchedBlocks:
    """What came from disk: whole blocks, and the keys of those that cannot be trusted, with the reason."""

    blocks: tuple[Block, ...]
    bad: tuple[tuple[bytes, Exception], ...]


class BlockStore:
    """RAM over disk; both least recently used first, within their byte budgets. Used by the engine's thread.

    A new block is in both: a kill loses nothing. When the disk is full, what is old in RAM goes from there first and
    is written again when RAM lets it go: so the two budgets add up, and what is young is in both at any time. Blocks
    come from disk by `fetch`, on another thread, and `stage`, which holds them until their session is awake.
    """

    def __init__(
        self, model_key: str, ram_bytes: int, disk: DiskTier | None = None, recycled: BufferPool | None = None
    ) -> None:
        self._model_key, self.disk = model_key, disk
        self._ram: RamTier[Block] = RamTier(ram_bytes)
        self._recycled = recycled or BufferPool()
        self._staged: dict[str, dict[bytes, Block]] = {}
        self.n_refused = self.n_restored = self.n_fetched = self.n_evicted = 0
        self.bytes_saved = 0

    def memory(self, n_bytes: int) -> memoryview:
        """Where a block of so many bytes is to be saved before it is put here: a large one where others have left."""
        if not self._recycled.is_large(n_bytes) or n_bytes > self._ram.budget_bytes:
            return allocate_memory(n_bytes)
        self._let_go(self._ram.make_room(n_bytes))
        return self._recycled.take(n_bytes)

    def put(self, block: Block) -> None:
        """Keep a block; the disk write happens in the background."""
        self.bytes_saved += len(block.payload)
        self._keep_in_ram(block)

    @property
    def ram_used(self) -> int:
        """Bytes of the blocks in RAM, without those that are held for a session."""
        return self._ram.used_bytes

    @property
    def n_staged(self) -> int:
        """Sessions that blocks are held for."""
        return len(self._staged)

    def tier(self, key: bytes) -> str | None:
        """ "ram", "disk" or None."""
        if key in self._ram or any(key in staged for staged in self._staged.values()):
            return "ram"
        return "disk" if self.disk and self.disk.has(self._name(key)) else None

    def get(self, key: bytes) -> Block | None:
        """The block, if it is in RAM: this never reads the disk, others wait for the engine's thread."""
        block = self._ram.peek(key)
        if block is not None:
            self._keep_in_ram(block)
            return block
        return next((staged[key] for staged in self._staged.values() if key in staged), None)

    def fetch(self, keys: Sequence[bytes]) -> FetchedBlocks:
        """Read and check blocks from disk, on any thread: changes nothing but the files' times of use."""
        found = [(key, *self._unsealed(key)) for key in keys]
        blocks = tuple(block for _, block, _ in found if block is not None)
        return FetchedBlocks(blocks, tuple((key, trouble) for key, _, trouble in found if trouble is not None))

    def stage(self, session: str, fetched: FetchedBlocks) -> None:
        """Hold fetched blocks for a session that is about to wake, whatever the budget; put the bad ones aside."""
        self._staged.setdefault(session, {}).update((block.key, block) for block in fetched.blocks)
        self.n_fetched += len(fetched.blocks)
        for key, trouble in fetched.bad:
            log.warning("a KV block was not usable (%s): its text is read again", trouble)
            self.discard(key)

    def hold(self, session: str, keys: Iterable[bytes]) -> None:
        """Hold blocks that are in RAM for a session, while others come from disk for it."""
        found = [block for key in keys if (block := self.get(key)) is not None]
        self._staged.setdefault(session, {}).update((block.key, block) for block in found)

    def unstage(self, session: str) -> None:
        """The session is awake (or will not be): what was held for it is a block in RAM like any other."""
        for block in self._staged.pop(session, {}).values():
            self._keep_in_ram(block)

    def discard(self, key: bytes) -> None:
        """A block turned out to be bad, or is suspected: put its file aside and never use it again."""
        self.n_refused += 1
        for staged in self._staged.values():
            staged.pop(key, None)
        self._ram.remove(key)
        if self.disk and self.disk.evict_in_order(self._name(key)):
            self.disk.quarantine(self._name(key))

    def close(self) -> None:
        """The process ends: what only RAM has goes to the disk, the newest first, as far as its backlog takes it."""
        if self.disk:
            old = self._ram.old()
            only_here = [block for block in old if not self.disk.evict_last(self._name(block.key))]
            for block in only_here:
                self._write(block)

    def _unsealed(self, key: bytes) -> tuple[Block | None, Exception | None]:
        """The block on disk, or what is wrong with it; nothing of both when there is none."""
        data = self.disk.read(self._name(key)) if self.disk else None
        if data is None:
            return None, None
        try:
            header, payload = sealed.unseal(data, {"model": self._model_key, "key": key.hex(), "kind": "block"})
            return Block(key, int(str(header["position"])), int(str(header["n_tokens"])), payload), None
        except (sealed.SealError, KeyError, ValueError) as error:
            return None, error

    def _keep_in_ram(self, block: Block) -> None:
        if self.disk and not self.disk.evict_last(self._name(block.key)):
            self._write(block)
        self._let_go(self._ram.put(block))
        self._recycled.trim(self._ram.budget_bytes - self._ram.used_bytes)

    def _let_go(self, moved: RamChanges[Block]) -> None:
        self.n_evicted += len(moved.left)
        for left in moved.left:
            self._recycled.give_back(left.payload)
        if self.disk:
            for aged in moved.aged:
                self.disk.evict_first(self._name(aged.key))
            for left in moved.left:
                if not self.disk.evict_in_order(self._name(left.key)):
                    self._write(left)

    def _write(self, block: Block) -> None:
        if self.disk:
            header = self._header(block)
            seal = partial(sealed.seal, header, block.payload)
            self.disk.write(self._name(block.key), seal, len(block.payload))

    def _header(self, block: Block) -> dict[str, object]:
        return {
            "kind": "block",
            "model": self._model_key,
            "key": block.key.hex(),
            "position": block.position,
            "n_tokens": block.n_tokens,
        }

    def _name(self, key: bytes) -> str:
        name = key.hex()
        return f"{self._model_key[:16]}/blocks/{name[:2]}/{name}.kv"
