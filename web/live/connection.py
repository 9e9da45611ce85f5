"""One open tab: two threads and a bounded mailbox between the world and one web socket.

What it does: the reader (the server's request thread) takes frames, limits their rate and runs commands. The writer is
the only thread that sends; it works through the mailbox, which holds calls to run. Whoever posts never waits:
when the mailbox is full the peer is too slow and the connection ends.
What it refuses to know: what commands and events mean (commands.py, viewer.py).
"""

import contextlib
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import RedisError
from simple_websocket import ConnectionClosed, Server
from sqlalchemy.exc import SQLAlchemyError
from wsproto.utilities import LocalProtocolError

from store.errors import StoreError
from web import errors
from web.language import marked, say, say_all
from web.live.bucket import Bucket
from web.live.guard import Guard

MAILBOX = 2000
MESSAGES_PER_S = 20
BURST = 40
TOO_FAST = marked("Too fast: at most {n} messages per second.")
FAREWELL_S = 1.5
ALIVE_S = 5.0
GONE = (OSError, ConnectionClosed, LocalProtocolError)  # the last: the library is closing the line already
log = logging.getLogger(__name__)
Payload = Mapping[str, Any]


class Connection:
    """The threads and the mailbox of one web socket."""

    def __init__(self, ws: Server, language: str) -> None:
        """What is sent is put into the words of who reads it, in `language`."""
        self._ws, self._language = ws, language
        self._guard: Guard = ws.sock  # put there by guard.Guarded
        self._mailbox: queue.Queue[Callable[[], None] | None] = queue.Queue(MAILBOX)
        self._farewell = (1000, "")
        self._writer = threading.Thread(target=self._write, name="tab-writer", daemon=True)
        self._guard.watch(ws.input_buffer)

    def post(self, call: Callable[[], None]) -> None:
        """Let the writer run `call` when its turn comes. A full mailbox ends the connection."""
        try:
            self._mailbox.put_nowait(call)
        except queue.Full:
            log.info("A tab that does not keep up was disconnected.")
            self._guard.abort()

    def send(self, payload: Payload) -> None:
        """Send from the writer thread. Raises one of GONE when the peer is."""
        self._ws.send(json.dumps(say_all(payload, self._language), ensure_ascii=False, separators=(",", ":")))

    def post_payload(self, payload: Payload) -> None:
        """Let the writer send this."""
        self.post(lambda: self.send(payload))

    def close(self, code: int, reason: str, **values: object) -> None:
        """Say goodbye after what is already in the mailbox; `values` fill the {names} of `reason`. Returns at once."""
        self._farewell = (code, say("goodbye", reason, self._language).format(**values))
        try:
            self._mailbox.put_nowait(None)
        except queue.Full:
            self._guard.abort()

    def abort(self) -> None:
        """End the connection now."""
        self._guard.abort()

    def serve(self, obey: Callable[[str | bytes], None]) -> None:
        """Run until the connection ends: `obey` is called with every frame, in the calling thread."""
        self._writer.start()
        try:
            self._read(obey)
        except ConnectionClosed:
            self.close(1000, "")
        finally:
            self._finish()

    def _read(self, obey: Callable[[str | bytes], None]) -> None:
        bucket = Bucket(MESSAGES_PER_S, BURST, time.monotonic())
        while True:
            frame = self._ws.receive(timeout=ALIVE_S)
            self._guard.taken()
            if frame is None:
                if not self._ws.thread.is_alive():  # it broke on something; nothing will come any more
                    return
                continue
            if not bucket.take(time.monotonic()):
                self.close(1008, TOO_FAST, n=MESSAGES_PER_S)
                return
            obey(frame)

    def _finish(self) -> None:
        self._writer.join(2 * FAREWELL_S)
        self._guard.abort()
        self._writer.join()
        self._ws.thread.join()

    def _write(self) -> None:
        with contextlib.suppress(*GONE):
            while (call := self._mailbox.get()) is not None:
                self._run(call)
        with contextlib.suppress(*GONE):
            self._ws.close(*self._farewell)
        self._ws.thread.join(FAREWELL_S)  # until the peer has answered
        self._guard.abort()

    def _run(self, call: Callable[[], None]) -> None:
        """A call that fails tells the tab why and ends nothing, unless the peer is gone."""
        try:
            call()
        except GONE:
            raise
        except StoreError as error:
            self.send({"type": "refused", "id": None, **errors.error_json(error.code, error.message)})
        except (RedisError, SQLAlchemyError) as error:
            log.warning("A tab could not be told something: %s", error)
            self.send({"type": "refused", "id": None, **errors.error_json(*errors.NOT_NOW)})


class ReaderThread(threading.Thread):
    """The library's reader: a daemon that ends without a traceback when the peer breaks the protocol."""

    def __init__(self, target: Callable[[], None]) -> None:
        super().__init__(target=target, name="tab-reader (_thread)", daemon=True)

    def run(self) -> None:
        """Run the library's loop; what it cannot handle ends this connection and nothing else."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 (a peer's broken frame must not reach the log as a crash)
            log.debug("A tab broke the protocol: %r", error)
