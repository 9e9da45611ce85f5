"""The TCP socket under a web socket, made safe to share between its reader and its writer.

What it does: stands in for the server's socket in the WSGI environment, so that the web socket library uses it.
  - one lock around writing, and always the whole of the data (the library has neither);
  - a peer that does not take its data for ten seconds is dropped by the kernel (TCP_USER_TIMEOUT);
  - the end is polite: our last frame is not lost to a reset because of unread input.
What it refuses to know: web sockets and messages.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

USER_TIMEOUT_MS = 10_000
LINGER_S = 1.0
KEYS = ("gunicorn.socket", "werkzeug.socket")


class SocketGuard:
    """A socket with the methods that simple-websocket uses, and `abort` to end it from any thread."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self._writing = threading.Lock()
        set_user_timeout(raw)

    def fileno(self) -> int:
        """For selectors."""
        return self._raw.fileno()

    def recv(self, size: int) -> bytes:
        """The next bytes."""
        return self._raw.recv(size)

    def send(self, data: bytes) -> int:
        """Write all of `data`. Raises OSError when the peer is gone or does not read."""
        with self._writing:
            self._raw.sendall(data)
        return len(data)

    def close(self) -> None:
        """Say goodbye and let the peer read our last frame. The server closes the descriptor itself."""
        hang_up(self._raw)

    def abort(self) -> None:
        """End the connection now; threads blocked in reading or writing return."""
        with contextlib.suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)


def hang_up(sock: socket.socket) -> None:
    """Say that nothing more comes, wait a little until the peer hangs up, too, and end it. Closes no descriptor.

    Without the wait, what the peer was still sending would be answered with a reset, and our last words would be lost.
    """
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        _drain(sock, time.monotonic() + LINGER_S)
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _drain(sock: socket.socket, deadline: float) -> None:
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        if not sock.recv(65536):
            return


def set_user_timeout(sock: socket.socket) -> None:
    """Let the kernel drop the connection when sent data is not taken for USER_TIMEOUT_MS."""
    with contextlib.suppress(OSError, AttributeError):  # not a TCP socket, or not Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


class SocketGuardMiddleware:
    """WSGI middleware: on `path`, a guard stands in the place of the server's socket and nothing is compressed.

    Compressed bombs inflate, so the browser's offer to compress is taken out of the headers.
    """

    def __init__(self, app: "WSGIApplication", path: str) -> None:
        self._app = app
        self._path = path

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request."""
        if environ.get("PATH_INFO") == self._path:
            environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
            for key in KEYS:
                if key in environ:
                    environ[key] = SocketGuard(environ[key])
        return self._app(environ, start_response)
