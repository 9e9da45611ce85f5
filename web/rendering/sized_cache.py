"""A cache of texts, least recently used out first, bounded by bytes: keys come from outside, in any size and number.

What it refuses to know: what the texts are.
"""

import sys
import threading
from collections import OrderedDict


class SizedCache:
    """Texts by text, at most `max_bytes` of both together; what is larger than `max_entry_bytes` is not kept."""

    def __init__(self, max_bytes: int, max_entry_bytes: int) -> None:
        self._max_bytes, self._max_entry_bytes = max_bytes, max_entry_bytes
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()
        self._n_bytes = 0

    @property
    def n_bytes(self) -> int:
        """The bytes of all that is kept."""
        return self._n_bytes

    def get(self, key: str) -> str | None:
        """The text that is kept for `key`."""
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
            return self._texts.get(key)

    def keep(self, key: str, text: str) -> None:
        """Keep a text; the ones that were not asked for longest go, as far as there is no room."""
        n_bytes = sys.getsizeof(key) + sys.getsizeof(text)
        if n_bytes > self._max_entry_bytes:
            return
        with self._lock:
            if key in self._texts:
                return
            self._texts[key] = text
            self._n_bytes += n_bytes
            while self._n_bytes > self._max_bytes:
                old_key, old = self._texts.popitem(last=False)
                self._n_bytes -= sys.getsizeof(old_key) + sys.getsizeof(old)
