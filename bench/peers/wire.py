"""One web socket of one signed-in person: the browser of the side-by-side bench. A thread listens and answers pings."""

import contextlib
import json
import queue
import socket
import threading
import time
from typing import Any

from bench.load_tabs import PING, PONG, frame, handshake, unframe

LONGEST_S = 300.0


class Wire:
    """Open from the start."""

    def __init__(self, port: int, cookie: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=LONGEST_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._socket.sendall(handshake(port, cookie))
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if b" 101 " not in head.splitlines()[0]:
            raise ConnectionError(head.decode(errors="replace"))
        self._buffer = bytearray(rest)
        self._socket.settimeout(None)
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, **message: Any) -> None:
        """Say something."""
        self._socket.sendall(frame(1, json.dumps(message).encode()))

    def receive(self) -> dict[str, Any]:
        """The next message, and when it came: `came`, in monotonic seconds."""
        message = self._inbox.get(timeout=LONGEST_S)
        if message is None:
            raise ConnectionError("the server has hung up")
        return message

    def wait(self, *types: str) -> dict[str, Any]:
        """The next message of one of these types. Raises RuntimeError when the server refuses something."""
        while (message := self.receive())["type"] not in types:
            if message["type"] in ("refused", "failed", "error"):
                raise RuntimeError(str(message))
        return message

    def close(self) -> None:
        """Leave."""
        with contextlib.suppress(OSError):  # it may be gone already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _listen(self) -> None:
        try:
            while True:
                while (one := unframe(self._buffer)) is None:
                    self._more()
                opcode, payload = one
                if opcode == 1:
                    self._inbox.put({**json.loads(payload), "came": time.monotonic()})
                elif opcode == PING:
                    self._socket.sendall(frame(PONG, payload))
        except OSError:
            self._inbox.put(None)

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server has hung up")
        self._buffer += data
