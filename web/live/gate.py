"""The gate: who may open a web socket. Answers with plain HTTP before the handshake.

    400  the handshake headers are broken          401  nobody is signed in
    403  the Origin is not one of ours, or missing  426  not a web socket of version 13
    503  too many sockets are open, in all or for this person
What it refuses to know: what is said over the socket.
"""

import base64
import binascii
import threading
from collections import Counter
from dataclasses import dataclass, field

from werkzeug.datastructures import Headers

from web.errors import Problem
from web.i18n.language import gettext

PER_PERSON = 16


def check_headers(headers: Headers) -> None:
    """Raise Problem 426 or 400 unless this is a well-formed web socket handshake."""
    tokens = {token.strip().lower() for token in headers.get("Connection", "").split(",")}
    if headers.get("Upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
        raise Problem(
            426, "upgrade_required", gettext("This address speaks web socket only."), {"Upgrade": "websocket"}
        )
    if headers.get("Sec-WebSocket-Version") != "13":
        more = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        raise Problem(426, "upgrade_required", gettext("This address speaks web socket version 13."), more)
    if not _is_key(headers.get("Sec-WebSocket-Key", "")):
        raise Problem(400, "bad_handshake", gettext("Sec-WebSocket-Key must be 16 bytes in base64."))


def check_origin(origin: str | None, allowed: tuple[str, ...]) -> None:
    """Raise Problem 403 unless the Origin header is exactly one of the allowed ones."""
    if origin not in allowed:
        sentence = gettext(
            "The origin %(origin)s is not one of INGLENOOK_PUBLIC_ORIGINS (%(allowed)s).",
            origin=origin or "-",
            allowed=", ".join(allowed),
        )
        raise Problem(403, "foreign_origin", sentence)


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


@dataclass
class SocketLimiter:
    """Counts open sockets, in all and per person."""

    limit: int
    _taken: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def acquire(self, user_id: str) -> None:
        """Take a seat; raise Problem 503 when there is none. Whoever takes one calls `release`."""
        with self._lock:
            if self._taken.total() >= self.limit or self._taken[user_id] >= PER_PERSON:
                sentence = gettext("Too many windows are open: close one and try again.")
                raise Problem(503, "too_many_sockets", sentence, {"Retry-After": "10"})
            self._taken[user_id] += 1

    def release(self, user_id: str) -> None:
        """Give the seat back."""
        with self._lock:
            self._taken[user_id] -= 1
            if not self._taken[user_id]:
                del self._taken[user_id]

    @property
    def n_open(self) -> int:
        """Sockets that are open now."""
        return self._taken.total()
