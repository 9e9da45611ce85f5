"""The gate: access control before the web socket handshake (CSRF by Origin, sign-in, connection limit), as plain HTTP.

    400  the handshake headers are broken           401  no person is signed in
    403  the Origin is missing or not allowed       426  not a web socket of version 13
    503  too many sockets are open, in all or for this person
What it refuses to know: what is sent over the socket.
"""

import base64
import binascii

from werkzeug.datastructures import Headers

from web.errors import Problem
from web.i18n.language import gettext
from web.person_limiter import PersonLimiter

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


def take_place(sockets: PersonLimiter, user_id: str) -> None:
    """Count one more socket; raises Problem 503 at a limit. The caller releases it when it is closed."""
    if not sockets.acquire(user_id):
        sentence = gettext("Too many windows are open: close one and try again.")
        raise Problem(503, "too_many_sockets", sentence, {"Retry-After": "10"})
