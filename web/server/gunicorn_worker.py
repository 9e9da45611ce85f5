"""Slow-client guard (slowloris): gunicorn's threaded worker; a connection gets a thread when its request has arrived.

What it does: the main loop collects heads and small bodies (request_intake.py) and answers those that are late or
refused itself; a thread sees only whole requests, and uploads, whose pace the main loop watches (paced_reader.py). At
most `per_address` requests of one address, and WAITING in all, are waited for: one more ends the one that has waited
longest, so that nobody is locked out where all people have one address. Who asks again without having read the last
answers is seen off: a thread would wait for room for the next. What is ready goes through the turnstile
(turnstile.py), so that nobody takes the processor from all others: over the pace it waits there without a thread, and
too much of it is refused. After an answer the main loop waits for the peer to hang up, without a thread and without
blocking (gunicorn would block, up to two seconds for each).
What it refuses to know: the application, and web sockets, whose heads have arrived (live/ looks after them).
"""

import contextlib
import fcntl
import selectors
import socket
import struct
import termios
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

from gunicorn.http.body import LengthReader
from gunicorn.workers.gthread import TConn, ThreadWorker

from store.settings import load_settings
from web.pace import Pace
from web.server.paced_reader import PacedReader
from web.server.request_intake import Intake, Verdict, refusal
from web.server.turnstile import Place, Turnstile
from web.server.who_asks import WhoAsks

LINGER_S = 1.0  # until the peer has read our answer and hangs up
WAITING = 512
PIECE = 1 << 16
SOCKET_PATH = "/ws"  # live/routes.py
HANDSHAKE_S, READING_S = 0.005, 0.0005  # of the processor: for opening a web socket; in the main loop, for a request
UNREAD = 1 << 16  # bytes of earlier answers with which a peer may ask again; browsers read first


@dataclass(frozen=True)
class _Guest:
    """Who asks over a connection. Web sockets and uploads stay long: they have limits of their own, and do not count as
    requests that run; the tab of a web socket also charges its own time."""

    key: str
    stays: bool
    is_socket: bool


class SlowClientGuardWorker(ThreadWorker):  # type: ignore[misc]
    """The worker class of gunicorn_conf.py. All but `handle` and `handle_request` runs in the main loop."""

    _pace: Pace
    _turnstile: Turnstile[TConn]
    _who: WhoAsks

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = load_settings()
        self._per_address, self._n_proxies = settings.connections_per_address, settings.trusted_proxies
        self._waiting: dict[TConn, Intake] = {}  # the one that has waited longest is the first
        self._addresses: dict[TConn, str] = {}  # of those that wait
        self._n_waiting: Counter[str] = Counter()  # by address
        self._uploads: dict[TConn, PacedReader] = {}  # connections whose thread may be reading a body
        self._guests: dict[TConn, _Guest] = {}  # of those that wait at the turnstile, or have a thread
        self._leaving: dict[TConn, float] = {}  # answered connections, and until when they may hang up themselves

    def run(self) -> None:
        """The main loop, as soon as the application is loaded."""
        self._pace = self.wsgi.extensions["inglenook"].pace
        self._turnstile, self._who = Turnstile(self._pace), WhoAsks(self.wsgi)
        super().run()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """One round of the main loop; then those go on whose wait is over (when the server stops: all)."""
        next_s = self._turnstile.next_s()
        super().wait_for_and_dispatch_events(timeout if next_s is None else min(timeout, next_s))
        for conn in self._turnstile.due(all_of_them=not self.alive):
            self._go_on(conn)

    def enqueue_req(self, conn: TConn) -> None:
        """Collect the next request of a connection: a new one, or one that was kept alive."""
        conn.init()
        conn.sock.setblocking(False)
        intake = self._waiting[conn] = Intake(time.monotonic())
        self._count(conn, _peer(conn))
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_data, conn))
        if (verdict := intake.add(conn.parser.unreader.take_buffered())) is Verdict.WAIT:
            self._on_data(conn)
        else:
            self._settle(conn, verdict)
        self._make_room(conn)

    def handle(self, conn: TConn) -> Any:
        """In a thread: serve a request, and charge what it took."""
        guest, began = self._guests[conn], time.thread_time()
        try:
            return super().handle(conn)
        finally:
            spent = HANDSHAKE_S if guest.is_socket else time.thread_time() - began
            self._pace.charge(guest.key, spent + READING_S)

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """In a thread: what of a body has not arrived yet is read at a pace, and nothing is read after it."""
        reader = req.body.reader
        missing = reader.length - len(conn.parser.unreader.buf.getvalue()) if isinstance(reader, LengthReader) else 1
        if missing > 0:
            req.force_close()
            req.body.reader = self._uploads[conn] = PacedReader(conn.parser.unreader, reader.length)
        return bool(super().handle_request(req, conn))

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """After a thread has served a connection: keep it for the next request, or see it off."""
        self._uploads.pop(conn, None)
        guest = self._guests.pop(conn)
        if not guest.stays:
            self._turnstile.leave(guest.key)
        if fs.cancelled() or fs.exception() or not fs.result():
            self._see_off(conn)
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """About every second: end what is late."""
        super().murder_pending()
        now = time.monotonic()
        for conn, intake in list(self._waiting.items()):
            if intake.is_late(now) or not (intake.data or self.alive):
                self._settle(conn, Verdict.TOO_SLOW)
        for conn, reader in list(self._uploads.items()):
            if reader.is_late(now):
                with contextlib.suppress(OSError):  # closed already; if not, its thread reads the end and answers 408
                    conn.sock.shutdown(socket.SHUT_RD)
        for conn in [conn for conn, until in self._leaving.items() if until < now]:
            self._close(conn)

    def _on_data(self, conn: TConn, _sock: Any = None) -> None:
        """Take what has arrived; an end of the connection ends the request."""
        intake = self._waiting.get(conn)
        if intake is None or (data := _receive(conn.sock)) is None:  # ended a moment ago, or a false alarm
            return
        had_head, verdict = intake.has_head, intake.add(data)
        if not data:
            self._forget(conn)
            self._close(conn)
        elif verdict is not Verdict.WAIT:
            self._settle(conn, verdict)
        elif intake.has_head and not had_head:
            self._on_head(conn, intake)

    def _on_head(self, conn: TConn, intake: Intake) -> None:
        """The head of a request whose body has not arrived says for whom a proxy asks, and whether to go on."""
        if intake.wants_continue:
            _send(conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")
        self._count(conn, intake.client(_peer(conn), self._n_proxies))
        self._make_room(conn)

    def _settle(self, conn: TConn, verdict: Verdict) -> None:
        """Give the request to a thread, or refuse it."""
        intake = self._forget(conn)
        if verdict is Verdict.READY and _n_unread(conn.sock) <= UNREAD:
            if self._arrive(conn, intake):
                return
            verdict = Verdict.TOO_MANY
        is_told = intake.has_head if verdict is Verdict.TOO_SLOW else verdict is not Verdict.READY
        if is_told:  # not who has asked for nothing, nor who does not read
            _send(conn.sock, refusal(verdict, intake.language))
        self._see_off(conn)

    def _arrive(self, conn: TConn, intake: Intake) -> bool:
        """Let a request go on now or later; False where too many of this person wait already."""
        path = intake.path
        key = self._who.key(intake.cookies, path, intake.client(_peer(conn), self._n_proxies))
        place = self._turnstile.arrive(key, conn, len(intake.data))
        for displaced in self._turnstile.displaced():
            del self._guests[displaced]
            _send(displaced.sock, refusal(Verdict.TOO_MANY))
            self._see_off(displaced)
        if place is Place.TURNED_AWAY:
            self._pace.charge(key, READING_S)
            return False
        conn.parser.unreader.unread(bytes(intake.data))
        self._guests[conn] = _Guest(key, intake.is_upload or path == SOCKET_PATH, path == SOCKET_PATH)
        if place is Place.GO:
            self._go_on(conn)
        return True

    def _go_on(self, conn: TConn) -> None:
        """Give a request to a thread."""
        guest = self._guests[conn]
        if guest.stays:
            self._turnstile.leave(guest.key)
        conn.data_ready = True
        super().enqueue_req(conn)

    def _make_room(self, conn: TConn) -> None:
        """End the request that has waited longest: of the same address if that has too many, or of all."""
        address = self._addresses.get(conn)
        if address is not None and self._n_waiting[address] > self._per_address:
            self._settle(next(one for one, its in self._addresses.items() if its == address), Verdict.TOO_SLOW)
        elif len(self._waiting) > WAITING:
            self._settle(next(iter(self._waiting)), Verdict.TOO_SLOW)
        while len(self._leaving) > WAITING:
            self._close(next(iter(self._leaving)))

    def _count(self, conn: TConn, address: str) -> None:
        """Count a waiting connection by this address; behind a proxy, not by the proxy's own."""
        self._uncount(conn)
        if not self._n_proxies or address != _peer(conn):
            self._addresses[conn] = address
            self._n_waiting[address] += 1

    def _uncount(self, conn: TConn) -> None:
        if (address := self._addresses.pop(conn, None)) is not None:
            self._n_waiting[address] -= 1
            if not self._n_waiting[address]:
                del self._n_waiting[address]

    def _forget(self, conn: TConn) -> Intake:
        self.poller.unregister(conn.sock)
        self._uncount(conn)
        return self._waiting.pop(conn)

    def _see_off(self, conn: TConn) -> None:
        """Say that nothing more comes, and wait for the peer to hang up; what it still sends is thrown away."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_farewell, conn))
        except (OSError, ValueError, KeyError):  # closed already
            self._end(conn)
        else:
            self._leaving[conn] = time.monotonic() + LINGER_S

    def _on_farewell(self, conn: TConn, _sock: Any) -> None:
        if conn in self._leaving and _receive(conn.sock) == b"":
            self._close(conn)

    def _close(self, conn: TConn) -> None:
        if self._leaving.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)
        self._end(conn)

    def _end(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()


def _peer(conn: TConn) -> str:
    return str(conn.client[0]) if isinstance(conn.client, tuple) else ""


def _receive(sock: socket.socket) -> bytes | None:
    """What has arrived: none at the end of the connection, None when nothing has come yet."""
    try:
        return sock.recv(PIECE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _n_unread(sock: socket.socket) -> int:
    """The bytes of our answers that the peer has not taken yet."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0  # closed already


def _send(sock: socket.socket, data: bytes) -> None:
    """Send a short answer without waiting; who has let no room for it is past caring."""
    with contextlib.suppress(OSError):
        sock.send(data)
