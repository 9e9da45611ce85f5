"""Block store: a content-addressed cache of the KV bytes of single segments, in a RAM tier over a disk tier.

A block's key is the hash of everything that its bytes depend on: the model identity, every segment that was visible
when it was decoded, the position, and its tokens (`segment_key`). So a cache hit is always the right block, whichever
session wrote it: a persona read by ten people is one block. Any doubt about a block drops it, and its text is read
again. What it refuses to know: sessions beyond their names, cells, llama.cpp.

To add a tier of blocks:
1. a class beside ram_tier.py and disk_tier.py, and here `tier`, `get` or `fetch`, `discard`, `close` and `_apply` (the
   tier into which evicted blocks go);
2. its name in `_COPIES` and `_rates` of engine/kv/cost_model.py, in `ANYWHERE` (`AT_HAND`: if the engine thread may
   read it) of engine/kv/restore_policy.py, and where restores are measured (engine/kv/cells.py or prefetch.py);
3. its budget: engine/options.py, engine/kv/cache.py (makes the tiers), store/settings.py and worker/engine_setup.py;
4. its bytes: engine/stats.py, worker/engine_stats.py, store/broker/registry.py;
5. tests/engine/test_block_store.py and test_cost_model.py.
"""

import hashlib
import logging
import struct
from collections.abc import Iterable, Sequence, Set
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
    """KV bytes of one segment: `n_tokens` cells from `position` on. Not `durable`: never written to disk."""

    key: bytes
    position: int
    n_tokens: int
    payload: StateBytes
    durable: bool = True


@dataclass(frozen=True, slots=True)
class FetchedBlocks:
    """The result of one `fetch`: intact blocks, and the keys of the damaged ones, each with its error."""

    blocks: tuple[Block, ...]
    damaged: tuple[tuple[bytes, Exception], ...]


def seal_block(model_key: str, block: Block) -> bytes:
    """The sealed file of a block."""
    header = {
        "kind": "block",
        "model": model_key,
        "key": block.key.hex(),
        "position": block.position,
        "n_tokens": block.n_tokens,
    }
    return sealed.seal(header, block.payload)


class BlockStore:
    """RAM over disk; both evict the least recently used block first. Used by the engine's thread, except `fetch`.

    A new block is written to both tiers, so a kill loses nothing. A full disk first evicts the blocks of RAM's old
    part, and they are written again when RAM evicts them. So the two budgets add up, while the young part is always in
    both. Blocks come from disk by `fetch`, on another thread, then `stage`, which pins them until their session is
    awake (`unstage`).
    """

    def __init__(
        self, model_key: str, ram_bytes: int, disk: DiskTier | None = None, buffers: BufferPool | None = None
    ) -> None:
        self._model_key, self.disk = model_key, disk
        self._ram: RamTier[Block] = RamTier(ram_bytes)
        self._buffers = buffers or BufferPool()
        self._staged: dict[str, dict[bytes, Block]] = {}
        self.n_refused = self.n_restored = self.n_fetched = self.n_evicted = 0
        self.bytes_saved = 0

    def allocate(self, n_bytes: int) -> memoryview:
        """Memory for a block that is about to be saved; a large block gets a buffer of the pool."""
        if not self._buffers.is_large(n_bytes) or n_bytes > self._ram.budget_bytes:
            return allocate_memory(n_bytes)
        self._apply(self._ram.make_room(n_bytes))
        return self._buffers.take(n_bytes)

    def put(self, block: Block) -> None:
        """Add a block; it is written to disk in the background."""
        self.bytes_saved += len(block.payload)
        self._put_in_ram(block)

    @property
    def ram_budget(self) -> int:
        """The budget of the RAM tier; another one holds from the next block on (any thread)."""
        return self._ram.budget_bytes

    @ram_budget.setter
    def ram_budget(self, n_bytes: int) -> None:
        self._ram.budget_bytes = n_bytes

    @property
    def ram_used(self) -> int:
        """Bytes of the blocks in RAM, without staged ones."""
        return self._ram.used_bytes

    @property
    def n_staged(self) -> int:
        """Sessions that blocks are held for."""
        return len(self._staged)

    def tier(self, key: bytes) -> str | None:
        """Where a block is: "ram", "disk", or None."""
        if key in self._ram or any(key in staged for staged in self._staged.values()):
            return "ram"
        return "disk" if self.disk and self.disk.has(self.file_name(key)) else None

    def get(self, key: bytes) -> Block | None:
        """The block, if it is in RAM. Never reads the disk: that would block the engine's thread."""
        block = self.peek(key)
        if block is not None:
            self._put_in_ram(block)
            return block
        return next((staged[key] for staged in self._staged.values() if key in staged), None)

    def peek(self, key: bytes) -> Block | None:
        """The block in the RAM tier, without marking it as used."""
        return self._ram.peek(key)

    def fetch(self, keys: Sequence[bytes]) -> FetchedBlocks:
        """Read and check blocks from disk. Any thread may call it: only the files' times of use change."""
        results = [(key, *self._read(key)) for key in keys]
        blocks = tuple(block for _, block, _ in results if block is not None)
        return FetchedBlocks(blocks, tuple((key, error) for key, _, error in results if error is not None))

    def stage(self, session: str, fetched: FetchedBlocks) -> None:
        """Pin fetched blocks for a session that is about to wake, outside the budget; quarantine the damaged ones."""
        self._staged.setdefault(session, {}).update((block.key, block) for block in fetched.blocks)
        self.n_fetched += len(fetched.blocks)
        for key, error in fetched.damaged:
            log.warning("a KV block was not usable (%s): its text is read again", error)
            self.discard(key)

    def hold(self, session: str, keys: Iterable[bytes]) -> None:
        """Pin blocks that are in RAM for a session, while its other blocks come from disk."""
        blocks = [block for key in keys if (block := self.get(key)) is not None]
        self._staged.setdefault(session, {}).update((block.key, block) for block in blocks)

    def unstage(self, session: str) -> None:
        """Unpin the blocks of a session that is awake or has given up: they count against the RAM budget again."""
        for block in self._staged.pop(session, {}).values():
            self._put_in_ram(block)

    def discard(self, key: bytes) -> None:
        """Drop a damaged or suspected block and quarantine its file."""
        self.n_refused += 1
        for staged in self._staged.values():
            staged.pop(key, None)
        self._ram.remove(key)
        if self.disk and self.disk.evict_in_order(self.file_name(key)):
            self.disk.quarantine(self.file_name(key))

    def outdate(self, key: bytes) -> None:
        """Drop a block that is not wanted any more from RAM; on disk it is the next to be evicted."""
        self._ram.remove(key)
        if self.disk:
            self.disk.evict_first(self.file_name(key))

    def keep_only(self, keys: Set[bytes]) -> None:
        """Drop every block of the RAM tier but these; the engine's thread."""
        for key in self._ram.keys() - keys:
            self._ram.remove(key)

    def files(self) -> tuple[str, ...]:
        """The files of all blocks on disk (any thread)."""
        return self.disk.names(f"{self._model_key[:16]}/blocks/") if self.disk else ()

    def delete_files(self, files: Iterable[str], but: Set[bytes]) -> int:
        """Delete these files, but for those of the blocks `but`; returns how many (any thread)."""
        kept = set(map(self.file_name, but))
        gone = [file for file in files if file not in kept]
        for file in gone:
            if self.disk:
                self.disk.delete(file)
        return len(gone)

    def close(self) -> None:
        """Queue writes of the blocks that only RAM has, newest first, up to the disk tier's backlog."""
        if self.disk:
            old = self._ram.old_items()
            durable = [block for block in old if block.durable]
            only_in_ram = [block for block in durable if not self.disk.evict_last(self.file_name(block.key))]
            for block in only_in_ram:
                self._write(block)

    def _read(self, key: bytes) -> tuple[Block | None, Exception | None]:
        """The block on disk, or the error that reading it raised; (None, None) when there is no such file."""
        data = self.disk.read(self.file_name(key)) if self.disk else None
        if data is None:
            return None, None
        try:
            header, payload = sealed.unseal(data, {"model": self._model_key, "key": key.hex(), "kind": "block"})
            return Block(key, int(str(header["position"])), int(str(header["n_tokens"])), payload), None
        except (sealed.SealError, KeyError, ValueError) as error:
            return None, error

    def _put_in_ram(self, block: Block) -> None:
        if self.disk and block.durable and not self.disk.evict_last(self.file_name(block.key)):
            self._write(block)
        self._apply(self._ram.put(block))
        self._buffers.trim(self._ram.budget_bytes - self._ram.used_bytes)

    def _apply(self, changes: RamChanges[Block]) -> None:
        self.n_evicted += len(changes.evicted)
        for block in changes.evicted:
            self._buffers.give_back(block.payload)
        if self.disk:
            for block in changes.demoted:
                self.disk.evict_first(self.file_name(block.key))
            for block in changes.evicted:
                if block.durable and not self.disk.evict_in_order(self.file_name(block.key)):
                    self._write(block)

    def _write(self, block: Block) -> None:
        if self.disk:
            make_bytes = partial(seal_block, self._model_key, block)
            self.disk.write(self.file_name(block.key), make_bytes, len(block.payload))

    def file_name(self, key: bytes) -> str:
        """The name of a block's file in the disk tier."""
        name = key.hex()
        return f"{self._model_key[:16]}/blocks/{name[:2]}/{name}.kv"
