"""Paced reader: the body of an upload, read by a thread from its connection, with a count of what is missing.

What it does: stands in for gunicorn's reader of a body of known length; every read returns what one look at the
connection gives, and a body that ends early is an error, never a shorter body. The main loop asks whether it is late.
What it refuses to know: who uploads (web/uploads.py), and deadlines' consequences (gunicorn_worker.py).
"""

import time
from typing import Any

from gunicorn.http.body import LengthReader

from web.server.request_intake import is_slow


class PacedReader(LengthReader):  # type: ignore[misc]
    """The rest of a body of `length` bytes."""

    def __init__(self, unreader: Any, length: int) -> None:
        super().__init__(unreader, length)
        self._all = length
        self._started = time.monotonic()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end. Raises ConnectionError when the body ends before its length."""
        wanted = min(size, self.length)
        if wanted <= 0:
            return b""
        data: bytes = self.unreader.read(None, read_ahead=wanted)
        if not data:
            raise ConnectionError("The body ended before its length.")
        if len(data) > wanted:
            self.unreader.unread(data[wanted:])
        self.length -= min(len(data), wanted)
        return data[:wanted]

    def is_late(self, now: float) -> bool:
        """Whether the body is not whole, and slower than it may be."""
        return self.length > 0 and is_slow(now - self._started, self._all - self.length)
