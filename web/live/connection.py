"""One open tab: two threads and a bounded mailbox between the world and one web socket.

What it does: the reader (the library's thread) takes frames, limits their rate and runs commands; while it does,
nothing is read, so that a flood stays in the sender's TCP window. The writer (the server's request thread) is the only
one that sends; it works through the mailbox, which holds calls to run. Whoever posts never waits: when the mailbox is
full the peer is too slow and the connection ends.
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
from web.live.outgoing import Payload, frame_of
from web.live.socket_guard import SocketGuard
from web.live.token_bucket import TokenBucket

MAILBOX = 2000
MESSAGES_PER_S, BURST = 20, 40
PIECES_PER_S, PIECES_BURST = 100, 400  # of frames: pings, fragments, 4 KiB of a message
PING = b"\x89\x00"
FAREWELL_S = 1.5
TOO_FAST = marked("Too fast: at most {n} messages per second.")
GONE = (OSError, ConnectionClosed, LocalProtocolError)  # the last: the library is closing the line already
log = logging.getLogger(__name__)
End = Callable[..., OSError]  # Connection._end
Execute = Callable[[str | bytes], None]


class Connection:
    """The threads and the mailbox of one web socket."""

    def __init__(self, ws: Server, language: str) -> None:
        """`language` is what its person reads."""
        self._ws, self._language = ws, language
        self._guard: SocketGuard = ws.sock  # put there by SocketGuardMiddleware
        self._mailbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._farewell = (1000, "")
        self._said_farewell = threading.Event()
        self._liveness = Liveness()

    def post(self, call: Callable[[], None]) -> None:
        """Let the writer run `call` when its turn comes. A full mailbox ends the connection."""
        if self._mailbox.qsize() >= MAILBOX:
            log.info("A tab that does not keep up was disconnected.")
            self._guard.abort()
        else:
            self._mailbox.put(call)

    def send(self, payload: Payload) -> None:
        """Send from the writer thread. Raises one of GONE when the peer is."""
        if not self._ws.connected:
            raise ConnectionClosed(*self._farewell)
        frame = frame_of(payload, self._language)
        self._guard.send(PING + frame if self._liveness.should_ping(time.monotonic()) else frame)

    def post_payload(self, payload: Payload) -> None:
        """Let the writer send this."""
        self.post(lambda: self.send(payload))

    def close(self, code: int, sentence: str, **values: object) -> None:
        """Say goodbye after what is already in the mailbox; returns at once. `values` fill in {names} of `sentence`."""
        self._farewell = (code, gettext_in(sentence, self._language).format(**values))
        self._mailbox.put(None)

    def drop_if_dead(self) -> None:
        """End the connection if the peer takes in nothing of what it is sent."""
        if self._liveness.is_dead(time.monotonic()):
            log.info("A tab that does not listen was disconnected.")
            self._guard.abort()

    def abort(self) -> None:
        """End the connection now."""
        self._guard.abort()

    def serve(self, execute: Execute) -> None:
        """Run until the connection ends: `obey` is called with every frame, in the reader's thread."""
        self._ws.input_buffer = _Inbox(execute, self._end)
        self._ws.ws = _Metered(self._ws.ws, self._liveness, self._end)
        reader: ReaderThread = self._ws.thread
        reader.begin(lambda: self._mailbox.put(None))
        try:
            self._write(reader)
        finally:
            self._said_farewell.set()
            self._guard.abort()
            reader.join()

    def _write(self, reader: threading.Thread) -> None:
        with contextlib.suppress(*GONE):
            while (call := self._mailbox.get()) is not None:
                self._run(call)
        with contextlib.suppress(*GONE):
            self._ws.close(*self._farewell)
        self._said_farewell.set()
        reader.join(FAREWELL_S)  # until the peer has answered

    def _run(self, call: Callable[[], None]) -> None:
        """A call that fails tells the tab why and ends nothing, unless the peer is gone."""
        try:
            call()
        except GONE:
            raise
        except StoreError as error:
            self.send({"type": "refused", "id": None, **errors.reason_json(error)})
        except (RedisError, SQLAlchemyError) as error:
            log.warning("A tab could not be told something: %s", error)
            self.send({"type": "refused", "id": None, **errors.error_json(*errors.NOT_NOW)})

    def _end(self, code: int, sentence: str, **values: object) -> OSError:
        """For the reader: say goodbye, wait until it is said, and what to raise to end the library's loop."""
        self.close(code, sentence, **values)
        self._said_farewell.wait(2 * FAREWELL_S)
        return OSError(sentence)


class _Inbox(list[str | bytes]):
    """Stands where the library collects messages: each one is obeyed at once."""

    def __init__(self, execute: Execute, end: End) -> None:
        super().__init__()
        self._execute, self._end = execute, end
        self._bucket = TokenBucket(MESSAGES_PER_S, BURST, time.monotonic())
        self._request = contextvars.copy_context()  # as if the thread of the request did it

    def append(self, message: str | bytes) -> None:
        """A message has come."""
        if not self._bucket.take(time.monotonic()):
            raise self._end(1008, TOO_FAST, n=MESSAGES_PER_S)
        try:
            self._request.run(self._execute, message)
        except Exception:
            log.exception("A command of a tab failed.")
            raise self._end(1011, errors.UNEXPECTED) from None


class _Metered:
    """Stands where the library keeps its protocol: counts every piece of a frame, so that pings are no way to flood."""

    def __init__(self, protocol: Any, liveness: Liveness, end: End) -> None:
        self._protocol, self._liveness, self._end = protocol, liveness, end
        self._bucket = TokenBucket(PIECES_PER_S, PIECES_BURST, time.monotonic())
        self.send, self.receive_data = protocol.send, protocol.receive_data

    def events(self) -> Iterator[Event]:
        """What has come."""
        for event in self._protocol.events():
            if not self._bucket.take(time.monotonic()):
                raise self._end(1008, TOO_FAST, n=MESSAGES_PER_S)
            if isinstance(event, Pong):
                self._liveness.pong(time.monotonic())
            yield event


class ReaderThread(threading.Thread):
    """The library's reader: a daemon that waits for `begin`, and ends without a traceback whatever the peer does."""

    def __init__(self, target: Callable[[], None]) -> None:
        super().__init__(target=target, name="tab-reader (_thread)", daemon=True)
        self._may_begin = threading.Event()
        self._ended: Callable[[], None] = lambda: None

    def begin(self, ended: Callable[[], None]) -> None:
        """Read from now on; `ended` is called when there is nothing more to read."""
        self._ended = ended
        self._may_begin.set()

    def run(self) -> None:
        """Run the library's loop; what it cannot handle ends this connection and nothing else."""
        self._may_begin.wait()
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 (a peer's broken frame must not reach the log as a crash)
            log.debug("A tab broke the protocol: %r", error)
        finally:
            self._ended()
