"""How long the server waits for a request: gunicorn's threaded worker, made impatient.

What it does: a connection gets a thread when the headers of its request are here. Only a few (READING) may read the
rest of theirs in a thread, the others are looked at again every second. Whose headers are not whole after HEADERS_S, or
whose body is not answered after BODY_S, is cut off. Otherwise one stranger with half requests would take every thread.
Nobody waits for a peer that was answered and does not hang up: gunicorn's main loop would, two seconds for each.
What it refuses to know: requests themselves, and web sockets, whose headers have arrived (live/ looks after them).
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from web.live.socket_guard import lingering_close

HEADERS_S = 10.0
BODY_S = 120.0  # a picture over a slow line
READING = 8
BODIES = {"CONTENT-LENGTH", "TRANSFER-ENCODING"}
PEEK = 1 << 16
Until = dict[TConn, float]


class SlowClientGuardWorker(ThreadWorker):  # type: ignore[misc]
    """The worker class of gunicorn_conf.py. All but `handle` and `handle_request` runs in the main loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._half: Until = {}  # connections with half their headers, without a thread
        self._reading: Until = {}  # the same, with one
        self._bodies: Until = {}  # threads that may be reading a body

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread, if there is a request on it."""
        seen = None if _buffered(conn) else _peek(conn.sock)
        if seen is None or _is_whole(seen):
            super().enqueue_req(conn)
        elif not seen:
            self._wait_for_more(conn)
        elif len(self._reading) < READING:
            self._reading[conn] = time.monotonic() + HEADERS_S
            super().enqueue_req(conn)
        else:
            self._half[conn] = time.monotonic() + HEADERS_S

    def handle(self, conn: TConn) -> Any:
        """In a thread: serve it, and hang up here if it is over; the main loop would wait until the peer does."""
        stays = super().handle(conn)
        if not stays:
            lingering_close(conn.sock)
        return stays

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """The headers are here."""
        self._reading.pop(conn, None)
        if any(name in BODIES for name, _ in req.headers):
            self._bodies[conn] = time.monotonic() + BODY_S
        return bool(super().handle_request(req, conn))

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """A thread is done with a connection."""
        self._reading.pop(conn, None)
        self._bodies.pop(conn, None)
        super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Every second or so: end what nobody waits for any longer, and look again at what was half there."""
        super().murder_pending()
        for conn in [*_late(self._reading), *_late(self._bodies)]:
            with contextlib.suppress(OSError):  # it has ended this moment; if not, now its thread ends by itself
                conn.sock.shutdown(socket.SHUT_RDWR)
        for conn in _late(self._half):
            self._forget(conn)
        for conn in [conn for conn in self._half if _is_whole(_peek(conn.sock))]:
            del self._half[conn]
            super().enqueue_req(conn)

    def _wait_for_more(self, conn: TConn) -> None:
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _forget(self, conn: TConn) -> None:
        del self._half[conn]
        self.nr_conns -= 1
        conn.close()


def _late(those: Until, clock: Callable[[], float] = time.monotonic) -> Iterator[TConn]:
    now = clock()
    return iter([conn for conn, until in list(those.items()) if until < now])


def _buffered(conn: TConn) -> bool:
    """Whether more than one request came at once, and this one is already taken out of the socket."""
    return bool(conn.initialized and conn.parser.unreader.buf.getvalue())


def _peek(sock: socket.socket) -> bytes | None:
    """What has come over a socket; empty for nothing yet, None for the end: a thread then ends it."""
    try:
        return sock.recv(PEEK, socket.MSG_PEEK | socket.MSG_DONTWAIT) or None
    except BlockingIOError:
        return b""
    except OSError:
        return None


def _is_whole(seen: bytes | None) -> bool:
    return seen is None or b"\r\n\r\n" in seen or len(seen) >= PEEK
