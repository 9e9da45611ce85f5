"""The connection of one tab: a reader thread, a writer thread and a bounded mailbox (backpressure) on one web socket.

What it does: the reader (the library's thread) takes frames, limits their rate (token bucket) and executes commands;
while it does, and while its person is over the pace, it reads nothing, so that a flood stays in the sender's TCP
window. The writer (the server's request
thread) is the only sender; it works through the mailbox, which holds calls to run. Posting never blocks: a full mailbox
means that the peer is too slow, and the connection ends.
What it refuses to know: what commands and events mean (commands.py, viewer.py).
"""

import contextlib
import contextvars
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from redis.exceptions import RedisError
from simple_websocket import ConnectionClosed, Server
from sqlalchemy.exc import SQLAlchemyError
from wsproto.events import Event, Pong
from wsproto.utilities import LocalProtocolError

from store.errors import StoreError
from web import errors
from web.i18n.language import gettext_in, marked
from web.live.liveness import Liveness
from web.live.outgoing import encode_frame
from web.live.protocol.to_tab import Frame, refused
from web.live.socket_guard import SocketGuard
from web.live.token_bucket import TokenBucket
from web.pace import Meter, Pace

MAILBOX_CALLS = 2000
MESSAGES_PER_S, BURST = 20, 40
PIECES_PER_S, PIECES_BURST = 100, 400  # of frames: pings, fragments, 4 KiB of a message
FRAME_S = 0.01  # of the processor: each message counts as much at least
PING = b"\x89\x00"  # a frame
CLOSE_WAIT_S = 1.5  # for the close frame of the peer
TOO_FAST = marked("Too fast: at most {n} messages per second.")
GONE = (OSError, ConnectionClosed, LocalProtocolError)  # the last: the library is closing the connection already
log = logging.getLogger(__name__)
End = Callable[..., OSError]  # Connection._end
Execute = Callable[[str | bytes], None]


class Connection:
    """The threads and the mailbox of one web socket."""

    def __init__(self, ws: Server, language: str, pace: Pace, key: str) -> None:
        """`language`: of the person whose tab it is; `key`: theirs in the pace."""
        self._ws, self._language = ws, language
        self._pace, self._key = pace, key
        self._guard: SocketGuard = ws.sock  # put there by SocketGuardMiddleware
        self._mailbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._close_frame = (1000, "")
        self._close_sent = threading.Event()
        self._liveness = Liveness()

    def post(self, call: Callable[[], None]) -> None:
        """Let the writer thread run `call` after the calls in the mailbox. A full mailbox ends the connection."""
        if self._mailbox.qsize() >= MAILBOX_CALLS:
            log.info("A tab that is too slow was disconnected.")
            self._guard.abort()
        else:
            self._mailbox.put(call)

    def send(self, frame: Frame) -> None:
        """Send from the writer thread. Raises one of GONE when the peer is gone."""
        if not self._ws.connected:
            raise ConnectionClosed(*self._close_frame)
        data = encode_frame(frame, self._language)
        self._guard.send(PING + data if self._liveness.should_ping(time.monotonic()) else data)

    def post_frame(self, frame: Frame) -> None:
        """Let the writer thread send a frame."""
        self.post(lambda: self.send(frame))

    def close(self, code: int, sentence: str, **values: object) -> None:
        """Send a close frame after what is in the mailbox; returns at once. `values` fill in {names} of `sentence`."""
        self._close_frame = (code, gettext_in(sentence, self._language).format(**values))
        self._mailbox.put(None)

    def drop_if_dead(self) -> None:
        """End the connection if the peer answers no pings."""
        if self._liveness.is_dead(time.monotonic()):
            log.info("A tab that answers no pings was disconnected.")
            self._guard.abort()

    def abort(self) -> None:
        """End the connection now."""
        self._guard.abort()

    def serve(self, execute: Execute) -> None:
        """Run until the connection ends: `execute` is called with every message, in the reader's thread.

        The library's reader appends each message to `input_buffer`; the `_Inbox` in its place executes it there.
        """
        paced = _Paced(execute, self._pace, self._key, self._close_sent.wait)
        self._ws.input_buffer = _Inbox(paced, self._end)
        self._ws.ws = _Metered(self._ws.ws, self._liveness, self._end)
        reader: ReaderThread = self._ws.thread
        reader.begin(lambda: self._mailbox.put(None))
        try:
            self._write(reader)
        finally:
            self._close_sent.set()
            self._guard.abort()
            reader.join()

    def _write(self, reader: threading.Thread) -> None:
        meter = Meter(self._pace, self._key)
        with contextlib.suppress(*GONE):
            while (call := self._mailbox.get()) is not None:
                self._run(call)
                meter.charge()
        with contextlib.suppress(*GONE):
            self._ws.close(*self._close_frame)
        self._close_sent.set()
        reader.join(CLOSE_WAIT_S)  # until the peer has answered

    def _run(self, call: Callable[[], None]) -> None:
        """Run a call; if it fails, the tab gets `refused` and the connection stays, unless the peer is gone."""
        try:
            call()
        except GONE:
            raise
        except StoreError as error:
            self.send(refused(errors.reason_json(error)))
        except (RedisError, SQLAlchemyError) as error:
            log.warning("A frame for a tab could not be made: %s", error)
            self.send(refused(errors.error_json(*errors.not_now(error))))

    def _end(self, code: int, sentence: str, **values: object) -> OSError:
        """For the reader: send a close frame and wait until it is sent. Raising the result ends the library's loop."""
        self.close(code, sentence, **values)
        self._close_sent.wait(2 * CLOSE_WAIT_S)
        return OSError(sentence)


class _Inbox(list[str | bytes]):
    """Stands in for the library's list of received messages: each is executed as it arrives."""

    def __init__(self, execute: Execute, end: End) -> None:
        super().__init__()
        self._execute, self._end = execute, end
        self._bucket = TokenBucket(MESSAGES_PER_S, BURST, time.monotonic())
        self._request = contextvars.copy_context()  # Flask's context of the request, for the reader thread

    def append(self, message: str | bytes) -> None:
        """Execute a message that has arrived."""
        if not self._bucket.take(time.monotonic()):
            raise self._end(1008, TOO_FAST, n=MESSAGES_PER_S)
        try:
            self._request.run(self._execute, message)
        except Exception:
            log.exception("A command of a tab failed.")
            raise self._end(1011, errors.UNEXPECTED) from None


class _Paced:
    """Executes messages as the pace of their person allows; made in any thread, called in the reader's."""

    def __init__(self, execute: Execute, pace: Pace, key: str, rest: Callable[[float], object]) -> None:
        self._execute, self._pace, self._key, self._rest = execute, pace, key, rest
        self._meter: Meter | None = None

    def __call__(self, message: str | bytes) -> None:
        """Execute a message, after a rest where the person is over the pace."""
        self._meter = self._meter or Meter(self._pace, self._key)
        if wait_s := self._pace.reserve(self._key, FRAME_S):
            self._rest(wait_s)
        try:
            self._execute(message)
        finally:
            self._meter.charge(FRAME_S)


class _Metered:
    """Stands in for the library's protocol: limits the rate of frame pieces, so that pings cannot flood."""

    def __init__(self, protocol: Any, liveness: Liveness, end: End) -> None:
        self._protocol, self._liveness, self._end = protocol, liveness, end
        self._bucket = TokenBucket(PIECES_PER_S, PIECES_BURST, time.monotonic())
        self.send, self.receive_data = protocol.send, protocol.receive_data

    def events(self) -> Iterator[Event]:
        """The events of the protocol that have arrived."""
        for event in self._protocol.events():
            if not self._bucket.take(time.monotonic()):
                raise self._end(1008, TOO_FAST, n=MESSAGES_PER_S)
            if isinstance(event, Pong):
                self._liveness.pong(time.monotonic())
            yield event


class ReaderThread(threading.Thread):
    """The library's reader thread: a daemon that waits for `begin`; protocol errors of the peer leave no traceback."""

    def __init__(self, target: Callable[[], None]) -> None:
        super().__init__(target=target, name="tab-reader (_thread)", daemon=True)
        self._may_begin = threading.Event()
        self._ended: Callable[[], None] = lambda: None

    def begin(self, ended: Callable[[], None]) -> None:
        """Read from now on; `ended` is called when the connection has ended."""
        self._ended = ended
        self._may_begin.set()

    def run(self) -> None:
        """Run the library's loop; an exception in it ends this connection and nothing else."""
        self._may_begin.wait()
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 (a broken frame of a peer must not be logged as a crash)
            log.debug("A tab broke the protocol: %r", error)
        finally:
            self._ended()
