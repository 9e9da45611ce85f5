"""Blocks: the KV bytes of single segments, immutable, in RAM and on disk.

A block's key is the hash of everything that its bytes depend on: the model identity, every segment that was visible
when it was decoded, the position, and its tokens (`segment_key`). So a block found under its key is the right one,
whoever made it: a persona read by ten people is one block. Blocks are a cache: any doubt drops one, and its text is
read again.
"""

import hashlib
import logging
import struct
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine import envelope
from engine.backend import StateBytes
from engine.disk import DiskTier

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
class Fetched:
    """What came from disk: whole blocks, and the keys of those that cannot be trusted, with the reason."""

    blocks: tuple[Block, ...]
    bad: tuple[tuple[bytes, Exception], ...]


class BlockStore:
    """RAM over disk; both least recently used first, within their byte budgets. Used by the engine's thread.

    Blocks come from disk by `fetch`, on another thread, and `stage`, which holds them until their session is awake.
    """

    def __init__(self, model_key: str, ram_bytes: int, disk: DiskTier | None = None) -> None:
        self._model_key, self._ram_budget, self.disk = model_key, ram_bytes, disk
        self._ram: OrderedDict[bytes, Block] = OrderedDict()
        self._staged: dict[str, dict[bytes, Block]] = {}
        self.ram_used = 0
        self.n_refused = self.n_restored = self.n_fetched = self.n_evicted = 0
        self.bytes_saved = 0

    def put(self, block: Block) -> None:
        """Keep a block; the disk write happens in the background."""
        if self.disk and not self.disk.has(self._name(block.key)):
            header = self._header(block)
            self.disk.write(self._name(block.key), lambda: envelope.seal(header, block.payload), len(block.payload))
        self.bytes_saved += len(block.payload)
        self._keep_in_ram(block)

    def tier(self, key: bytes) -> str | None:
        """ "ram", "disk" or None."""
        if key in self._ram or any(key in staged for staged in self._staged.values()):
            return "ram"
        return "disk" if self.disk and self.disk.has(self._name(key)) else None

    def get(self, key: bytes) -> Block | None:
        """The block, if it is in RAM: this never reads the disk, others wait for the engine's thread."""
        if key in self._ram:
            self._ram.move_to_end(key)
            return self._ram[key]
        return next((staged[key] for staged in self._staged.values() if key in staged), None)

    def fetch(self, keys: Sequence[bytes]) -> Fetched:
        """Read and check blocks from disk, on any thread: changes nothing but the files' times of use."""
        found = [(key, *self._unsealed(key)) for key in keys]
        blocks = tuple(block for _, block, _ in found if block is not None)
        return Fetched(blocks, tuple((key, trouble) for key, _, trouble in found if trouble is not None))

    def stage(self, session: str, fetched: Fetched) -> None:
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
        block = self._ram.pop(key, None)
        self.ram_used -= len(block.payload) if block else 0
        if self.disk and self.disk.has(self._name(key)):
            self.disk.quarantine(self._name(key))

    def _unsealed(self, key: bytes) -> tuple[Block | None, Exception | None]:
        """The block on disk, or what is wrong with it; nothing of both when there is none."""
        data = self.disk.read(self._name(key)) if self.disk else None
        if data is None:
            return None, None
        try:
            header, payload = envelope.unseal(data, {"model": self._model_key, "key": key.hex(), "kind": "block"})
            return Block(key, int(str(header["position"])), int(str(header["n_tokens"])), payload), None
        except (envelope.BadEnvelope, KeyError, ValueError) as error:
            return None, error

    def _keep_in_ram(self, block: Block) -> None:
        old = self._ram.pop(block.key, None)
        self.ram_used += len(block.payload) - (len(old.payload) if old else 0)
        self._ram[block.key] = block
        while self.ram_used > self._ram_budget:
            _, oldest = self._ram.popitem(last=False)
            self.ram_used -= len(oldest.payload)
            self.n_evicted += 1

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
