"""The RAM tier: what was used last within a byte budget, its newest part young, the rest old.

Young is what a crash must not cost: BlockStore keeps it on disk as well. Used by the engine's thread. Knows keys and
sizes, not what is in a block.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engine.backend import StateBytes

YOUNG_SHARE = 8  # an eighth of the budget


class HasPayload(Protocol):
    """What has a key and bytes."""

    @property
    def key(self) -> bytes:
        """Its name."""

    @property
    def payload(self) -> StateBytes:
        """Its bytes."""


Item = TypeVar("Item", bound=HasPayload)


@dataclass(frozen=True, slots=True)
class RamChanges(Generic[Item]):
    """What one change did to others: these are old now, and those have left."""

    aged: tuple[Item, ...] = ()
    left: tuple[Item, ...] = ()


class RamTier(Generic[Item]):
    """Items by key, least recently used leaves first; the newest one is young, whatever its size."""

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
        """The item, which does not count as a use."""
        return self._young.get(key) or self._old.get(key)

    def old(self) -> tuple[Item, ...]:
        """What is old, used last first."""
        return tuple(reversed(self._old.values()))

    def put(self, item: Item) -> RamChanges[Item]:
        """It is the newest now, in the place of what was there under its key."""
        self.remove(item.key)
        self._young[item.key] = item
        self._young_bytes += len(item.payload)
        aged = []
        while len(self._young) > 1 and self._young_bytes > self.budget_bytes // YOUNG_SHARE:
            aged.append(self._to_old())
        moved = self.make_room(0)
        return RamChanges((*aged, *moved.aged), moved.left)

    def make_room(self, n_bytes: int) -> RamChanges[Item]:
        """Let so many leave that this much more is within the budget."""
        aged, left = [], []
        while self.used_bytes and self.used_bytes + n_bytes > self.budget_bytes:
            if not self._old:
                aged.append(self._to_old())
            _, oldest = self._old.popitem(last=False)
            self._old_bytes -= len(oldest.payload)
            left.append(oldest)
        return RamChanges(tuple(aged), tuple(left))

    def remove(self, key: bytes) -> None:
        """Forget an item, if it is there."""
        if (young := self._young.pop(key, None)) is not None:
            self._young_bytes -= len(young.payload)
        if (old := self._old.pop(key, None)) is not None:
            self._old_bytes -= len(old.payload)

    def _to_old(self) -> Item:
        key, item = self._young.popitem(last=False)
        self._young_bytes -= len(item.payload)
        self._old[key] = item
        self._old_bytes += len(item.payload)
        return item
