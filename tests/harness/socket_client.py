"""A web socket client: RFC 6455 frames over a plain socket, with a thread that listens and answers pings.

What it does: shakes hands as a browser would, sends and receives JSON messages, keeps what it has seen, notes when a
message arrived, and tells why the server closed.
What it refuses to know: accounts (people.py), and what is right or wrong.
"""

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

from web.live.protocol.to_tab import OUTGOING, TurnEvent

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
NO_STATUS, CUT_OFF = 1005, 1006
HANDSHAKE_S = 10.0
RECEIVE_S = 30.0

Message = dict[str, Any]


class Closed(ConnectionError):
    """The socket is closed: with the server's close code and reason, or 1006 where the connection was cut."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code, self.reason = code, reason


def handshake(address: str, cookie: str, **headers: str | None) -> bytes:
    """What a browser sends to open a web socket; `headers` replace its own, one that is None is left out."""
    lines = {
        "Host": urlsplit(address).netloc,
        "Origin": address,
        "Cookie": cookie or None,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }
    given = [f"{key}: {value}" for key, value in lines.items() if value is not None]
    return "\r\n".join(["GET /ws HTTP/1.1", *given, "", ""]).encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame from a client. Masked with zeros, which every server accepts and which costs nothing."""
    n = len(payload)
    length = bytes([0x80 | n]) if n < 126 else b"\xfe" + n.to_bytes(2, "big") if n < 65536 else b""
    return bytes([0x80 | opcode]) + (length or b"\xff" + n.to_bytes(8, "big")) + bytes(4) + payload


def unframe(buffer: bytearray) -> tuple[int, bytes] | None:
    """Take the first frame of a server out of the buffer: (opcode, payload); None when it is not whole yet."""
    if len(buffer) < 2:
        return None
    length, start = buffer[1] & 127, 2
    if length >= 126:
        start = 4 if length == 126 else 10
        length = int.from_bytes(buffer[2:start], "big") if len(buffer) >= start else 1 << 62
    if len(buffer) < start + length:
        return None
    opcode, payload = buffer[0] & 15, bytes(buffer[start : start + length])
    del buffer[: start + length]
    return opcode, payload


def assert_declared(message: Message) -> None:
    """Every frame that a test gets is declared in web/live/protocol/to_tab.py; events of a turn have further fields."""
    shape = OUTGOING[message["type"]]
    assert shape.__required_keys__ <= message.keys(), message
    assert shape is TurnEvent or message.keys() <= shape.__required_keys__ | shape.__optional_keys__, message


class SocketClient:
    """One open web socket. Raises OSError where nobody listens or the handshake is refused."""

    def __init__(self, address: str, cookie: str = "", **headers: str | None) -> None:
        """`headers` as in `handshake`."""
        parts = urlsplit(address)
        self.seen: list[Message] = []
        self.received_at = 0.0  # monotonic seconds at which the message last received had arrived
        self._closed = Closed(CUT_OFF)
        self._inbox: queue.SimpleQueue[tuple[float, Message | None]] = queue.SimpleQueue()
        self._buffer = bytearray()
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=HANDSHAKE_S)
        try:
            self._shake_hands(handshake(address, cookie, **headers))
        except BaseException:
            self._socket.close()
            raise
        self._listener = threading.Thread(target=self._listen, name="socket client", daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # -- messages ------------------------------------------------------------------------------------------------------

    def send(self, **message: Any) -> None:
        """Send a JSON message. Raises OSError when the connection is gone."""
        self.send_text(json.dumps(message))

    def send_text(self, text: str) -> None:
        """Send a text frame, JSON or not."""
        self.send_raw(frame(TEXT, text.encode()))

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are, frames or not."""
        self._socket.sendall(data)

    def receive(self, timeout_s: float = RECEIVE_S) -> Message:
        """The next message. Raises TimeoutError, and Closed after the last message of a closed socket."""
        message = self.poll(timeout_s)
        if message is None:
            raise TimeoutError(f"no message within {timeout_s:.0f} s; before that: {self.seen[-5:]}")
        return message

    def poll(self, timeout_s: float) -> Message | None:
        """The next message, None when none comes in time. Raises Closed."""
        try:
            at, message = self._inbox.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        if message is None:
            self._inbox.put((at, None))  # closed is closed, however often it is asked
            raise self._closed
        self.received_at = at
        self.seen.append(message)
        assert_declared(message)
        return message

    def wait(
        self, *types: str, where: Callable[[Message], bool] = lambda message: True, timeout_s: float = RECEIVE_S
    ) -> Message:
        """The next message of one of these types (of any, without types) for which `where` holds; others are skipped.

        `timeout_s` is the longest silence between two messages.
        """
        while True:
            message = self.receive(timeout_s)
            if (not types or message["type"] in types) and where(message):
                return message

    def seen_or_wait(self, where: Callable[[Message], bool]) -> Message:
        """A message that has come already, or comes."""
        return next((message for message in self.seen if where(message)), None) or self.wait(where=where)

    # -- the protocol of the chat page ---------------------------------------------------------------------------------

    def open(self, chat: str, turn: str | None = None, after: int = 0) -> Message:
        """Show a chat; the answer, `opened` or `refused`."""
        self.send(type="open", chat=chat, turn=turn, after=after)
        return self.wait("opened", "refused")

    def submit(
        self, chat: str, text: str, revision: int, turn: str | None = None, kind: str = "chat", then: Sequence[str] = ()
    ) -> Message:
        """Submit a turn; the answer to it, `ack` or `refused`."""
        turn = turn or uuid4().hex
        self.send(type="submit", id=turn, chat=chat, kind=kind, revision=revision, text=text, then=list(then))
        return self.wait("ack", "refused", where=lambda message: message["id"] == turn)

    # -- ends ----------------------------------------------------------------------------------------------------------

    def wait_for_close(self, timeout_s: float = RECEIVE_S) -> Closed:
        """Receive until the server closes; its code and reason."""
        try:
            while True:
                self.receive(timeout_s)
        except Closed as closed:
            return closed

    def close(self) -> None:
        """Say goodbye and hang up."""
        with contextlib.suppress(OSError):  # the server may be gone already
            self.send_raw(frame(CLOSE, (1000).to_bytes(2, "big")))
        self.cut()

    def cut(self) -> None:
        """Hang up without a goodbye, as a browser that crashes."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._listener.join()

    def _shake_hands(self, request: bytes) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        while b"\r\n\r\n" not in self._buffer:
            self._read()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if b" 101 " not in head.splitlines()[0]:
            raise ConnectionError(f"the handshake was refused: {head.decode(errors='replace')}")
        self._buffer = bytearray(rest)
        self._socket.settimeout(None)

    def _listen(self) -> None:
        with self._socket, contextlib.suppress(OSError):
            while self._take(*self._next_frame()):
                pass
        self._inbox.put((time.monotonic(), None))

    def _next_frame(self) -> tuple[int, bytes]:
        while (complete := unframe(self._buffer)) is None:
            self._read()
        return complete

    def _take(self, opcode: int, payload: bytes) -> bool:
        """Deal with one frame; False after a close."""
        if opcode == TEXT:
            self._inbox.put((time.monotonic(), json.loads(payload)))
        elif opcode == PING:
            self.send_raw(frame(PONG, payload))
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big") if payload else NO_STATUS
            self._closed = Closed(code, payload[2:].decode(errors="replace"))
            self.send_raw(frame(CLOSE, payload[:2]))
        return opcode != CLOSE

    def _read(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server has hung up")
        self._buffer += data


def address_of(port: int) -> str:
    """The address of a server on this machine."""
    return f"http://127.0.0.1:{port}"
