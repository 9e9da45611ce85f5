"""The RAM tier: an LRU cache of blocks within a byte budget, split into a young and an old part.

The young part is the most recently used eighth of the budget. A crash must not lose it, so BlockStore keeps its blocks
on disk as well. Used by the engine's thread. What it refuses to know: the disk, and what is in a block.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engine.backend import StateBytes

YOUNG_SHARE = 8  # the young part is 1/8 of the budget


class HasPayload(Protocol):
    """An item of the cache."""

    @property
    def key(self) -> bytes:
        """Its key."""

    @property
    def payload(self) -> StateBytes:
        """Its bytes, which count against the budget."""


Item = TypeVar("Item", bound=HasPayload)


@dataclass(frozen=True, slots=True)
class RamChanges(Generic[Item]):
    """What one call did to other items: `demoted` from young to old, `evicted` from RAM."""

    demoted: tuple[Item, ...] = ()
    evicted: tuple[Item, ...] = ()


class RamTier(Generic[Item]):
    """Items by key; evicts the least recently used first. The newest item is always young, whatever its size."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._young: OrderedDict[bytes, Item] = OrderedDict()
        self._old: OrderedDict[bytes, Item] = OrderedDict()
        self._young_bytes = self._old_bytes = 0

    def __contains__(self, key: bytes) -> bool:
        return key in self._young or key in self._old

    @property
    def used_bytes(self) -> int:
        """Bytes of all items."""
        return self._young_bytes + self._old_bytes

    def peek(self, key: bytes) -> Item | None:
        """The item, without marking it as used."""
        return self._young.get(key) or self._old.get(key)

    def old_items(self) -> tuple[Item, ...]:
        """The old part, most recently used first."""
        return tuple(reversed(self._old.values()))

    def put(self, item: Item) -> RamChanges[Item]:
        """Insert or replace an item as the most recently used one."""
        self.remove(item.key)
        self._young[item.key] = item
        self._young_bytes += len(item.payload)
        demoted = []
        while len(self._young) > 1 and self._young_bytes > self.budget_bytes // YOUNG_SHARE:
            demoted.append(self._demote())
        changes = self.make_room(0)
        return RamChanges((*demoted, *changes.demoted), changes.evicted)

    def make_room(self, n_bytes: int) -> RamChanges[Item]:
        """Evict LRU items until `n_bytes` more fit into the budget."""
        demoted, evicted = [], []
        while self.used_bytes and self.used_bytes + n_bytes > self.budget_bytes:
            if not self._old:
                demoted.append(self._demote())
            _, oldest = self._old.popitem(last=False)
            self._old_bytes -= len(oldest.payload)
            evicted.append(oldest)
        return RamChanges(tuple(demoted), tuple(evicted))

    def keys(self) -> frozenset[bytes]:
        """The keys of all items."""
        return frozenset((*self._young, *self._old))

    def remove(self, key: bytes) -> None:
        """Remove an item, if it is there."""
        if (young := self._young.pop(key, None)) is not None:
            self._young_bytes -= len(young.payload)
        if (old := self._old.pop(key, None)) is not None:
            self._old_bytes -= len(old.payload)

    def _demote(self) -> Item:
        key, item = self._young.popitem(last=False)
        self._young_bytes -= len(item.payload)
        self._old[key] = item
        self._old_bytes += len(item.payload)
        return item
