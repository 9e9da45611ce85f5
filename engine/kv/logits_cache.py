"""Logits cache (LRU): the model's output at branch points, so that a retry or a continue reads nothing first.

What it refuses to know: when a row is worth keeping (lane.py).
"""

from collections import OrderedDict

from engine.backend import Logits


class LogitsCache:
    """Rows by `Session.prefix_key` of the point they belong to; LRU eviction within a byte budget."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget, self._used = budget_bytes, 0
        self._rows: OrderedDict[bytes, Logits] = OrderedDict()

    def put(self, key: bytes, row: Logits) -> None:
        """Keep a row (the cache owns it from now on)."""
        old = self._rows.pop(key, None)
        self._used += row.nbytes - (old.nbytes if old is not None else 0)
        self._rows[key] = row
        while self._used > self._budget:
            _, oldest = self._rows.popitem(last=False)
            self._used -= oldest.nbytes

    def get(self, key: bytes) -> Logits | None:
        """The row, if it is still there."""
        row = self._rows.get(key)
        if row is not None:
            self._rows.move_to_end(key)
        return row

    def clear(self) -> None:
        """Forget all: some may come from cells that are not trusted any more."""
        self._rows.clear()
        self._used = 0
