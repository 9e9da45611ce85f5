"""Slow-client guard (slowloris): gunicorn's threaded worker, with deadlines for the headers and the body of a request.

What it does: a connection gets a thread when the headers of its request have arrived. At most READING connections may
read the rest of their headers in a thread; the others are checked again every second. A connection is cut off when its
headers are incomplete after HEADERS_S, or its request with a body is unanswered after BODY_S; otherwise one client with
partial requests would take every thread. After an answer the thread closes the connection itself: gunicorn would block
its main loop, up to two seconds for each peer that does not close.
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
Deadlines = dict[TConn, float]


class SlowClientGuardWorker(ThreadWorker):  # type: ignore[misc]
    """The worker class of gunicorn_conf.py. All but `handle` and `handle_request` runs in the main loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._partial: Deadlines = {}  # connections with partial headers, without a thread
        self._reading: Deadlines = {}  # connections with partial headers, with a thread
        self._bodies: Deadlines = {}  # connections whose thread may be reading a body

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread, if the headers of a request have arrived."""
        received = None if _buffered(conn) else _peek(conn.sock)
        if received is None or _has_headers(received):
            super().enqueue_req(conn)
        elif not received:
            self._wait_for_data(conn)
        elif len(self._reading) < READING:
            self._reading[conn] = time.monotonic() + HEADERS_S
            super().enqueue_req(conn)
        else:
            self._partial[conn] = time.monotonic() + HEADERS_S

    def handle(self, conn: TConn) -> Any:
        """In a thread: serve the request; close here unless kept alive (the main loop would block)."""
        keep_alive = super().handle(conn)
        if not keep_alive:
            lingering_close(conn.sock)
        return keep_alive

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """In a thread, with all headers: a request with a body gets a deadline."""
        self._reading.pop(conn, None)
        if any(name in BODIES for name, _ in req.headers):
            self._bodies[conn] = time.monotonic() + BODY_S
        return bool(super().handle_request(req, conn))

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """In the main loop, after a thread has served a connection: drop its deadlines."""
        self._reading.pop(conn, None)
        self._bodies.pop(conn, None)
        super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """About every second: cut off connections past their deadline, and check those with partial headers again."""
        super().murder_pending()
        for conn in [*_overdue(self._reading), *_overdue(self._bodies)]:
            with contextlib.suppress(OSError):  # closed already; if not, its thread now gets an error and ends
                conn.sock.shutdown(socket.SHUT_RDWR)
        for conn in _overdue(self._partial):
            self._forget(conn)
        for conn in [conn for conn in self._partial if _has_headers(_peek(conn.sock))]:
            del self._partial[conn]
            super().enqueue_req(conn)

    def _wait_for_data(self, conn: TConn) -> None:
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _forget(self, conn: TConn) -> None:
        del self._partial[conn]
        self.nr_conns -= 1
        conn.close()


def _overdue(deadlines: Deadlines, clock: Callable[[], float] = time.monotonic) -> Iterator[TConn]:
    now = clock()
    return iter([conn for conn, deadline in list(deadlines.items()) if deadline < now])


def _buffered(conn: TConn) -> bool:
    """Whether requests were pipelined, and this one is already in the parser's buffer."""
    return bool(conn.initialized and conn.parser.unreader.buf.getvalue())


def _peek(sock: socket.socket) -> bytes | None:
    """The data received so far, without taking it; empty for none yet, None at the end of the connection."""
    try:
        return sock.recv(PEEK, socket.MSG_PEEK | socket.MSG_DONTWAIT) or None
    except BlockingIOError:
        return b""
    except OSError:
        return None


def _has_headers(received: bytes | None) -> bool:
    return received is None or b"\r\n\r\n" in received or len(received) >= PEEK
