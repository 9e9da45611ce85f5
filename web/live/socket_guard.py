"""The socket guard: the TCP socket under a web socket, made thread-safe for its reader and its writer.

What it does: stands in for the server's socket in the WSGI environment, so that the web socket library uses it.
  - one lock around writing, and complete writes (the library has neither);
  - a peer that does not acknowledge data for ten seconds is dropped by the kernel (TCP_USER_TIMEOUT);
  - a lingering close: our last frame is not lost to a TCP reset because of unread input.
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
        """Close with a linger, so that the peer can read our last frame. The server closes the descriptor itself."""
        lingering_close(self._raw)

    def abort(self) -> None:
        """End the connection now; threads blocked in reading or writing return."""
        with contextlib.suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)


def lingering_close(sock: socket.socket) -> None:
    """Shut down writing, read until the peer closes (LINGER_S at most), then shut down. Closes no descriptor.

    Without the wait, data that the peer was still sending would cause a reset, and our last frame would be lost.
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
    """Let the kernel drop the connection when sent data is not acknowledged for USER_TIMEOUT_MS."""
    with contextlib.suppress(OSError, AttributeError):  # not a TCP socket, or not Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


class SocketGuardMiddleware:
    """WSGI middleware: on `path`, replaces the server's socket by a SocketGuard and turns compression off.

    A small compressed frame can inflate to a huge one, so the browser's offer to compress is removed from the headers.
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
