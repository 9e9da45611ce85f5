"""Open tabs by the hundred in one thread: the load bench's browsers, on asyncio, as light as frames allow.

A tab signs nothing and draws nothing: it shakes hands, opens its chat, checks that no sequence number is missing, notes
how long a piece of text was on its way, and comes back after a loss with the pauses of web/static/js/chat/socket.js.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.harness.socket_client import CLOSE, PING, PONG, TEXT, address_of, frame, handshake, unframe

PAUSES_S = (0.5, 1, 1, 1.5, 2, 2, 4, 8, 15)  # web/static/js/chat/socket.js
ENDS = ("done", "cancelled", "failed")


@dataclass
class Tally:
    """What all tabs together have seen."""

    late_ms: list[float] = field(default_factory=list)
    n_events: int = 0
    missing: int = 0
    refused: list[int] = field(default_factory=list)  # HTTP statuses
    codes: list[int] = field(default_factory=list)  # of closes

    def clear(self) -> None:
        """Begin a new measurement."""
        self.late_ms, self.codes, self.n_events = [], [], 0


class Tab(asyncio.Protocol):
    """One open tab on one chat. `opened`: it has the chat before it. Events must be done in the loop's thread."""

    def __init__(self, port: int, cookie: str, chat: str, tally: Tally, comes_back: bool = True) -> None:
        self._port, self._cookie, self._chat, self._tally = port, cookie, chat, tally
        self._comes_back, self._tries = comes_back, 0
        self._buffer, self._upgraded = bytearray(), False
        self._transport: asyncio.Transport | None = None
        self._turn, self._seq, self._stream = "", 0, ""
        self.opened = asyncio.Event()

    async def connect(self) -> None:
        """Try once; what fails is tried again as a browser does."""
        self._buffer, self._upgraded = bytearray(), False
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        except OSError:
            self._again()

    def close(self) -> None:
        """Leave for good."""
        self._comes_back = False
        if self._transport:
            self._transport.close()

    def send(self, **message: Any) -> None:
        """Say something."""
        if self._transport:
            self._transport.write(frame(TEXT, json.dumps(message).encode()))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(handshake(address_of(self._port), self._cookie))

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self.opened.clear()
        self._again()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded and not self._shake():
            return
        while (one := unframe(self._buffer)) is not None:
            self._frame(*one)

    def _shake(self) -> bool:
        head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not end:
            return False
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            self._tally.refused.append(status)
            assert self._transport
            self._transport.close()
            return False
        self._upgraded, self._buffer, self._tries = True, bytearray(rest), 0
        after = {"turn": self._turn, "after": self._seq, "stream": self._stream} if self._turn else {}
        self.send(type="open", chat=self._chat, **after)
        return True

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self._message(json.loads(payload))
        elif opcode == PING and self._transport:
            self._transport.write(frame(PONG, payload))
        elif opcode == CLOSE and self._transport:
            self._tally.codes.append(int.from_bytes(payload[:2], "big"))
            self._transport.write(frame(CLOSE, payload[:2]))
            self._transport.close()

    def _message(self, message: dict[str, Any]) -> None:
        if message["type"] == "opened":
            self.opened.set()
            running = message["turn"]
            if not running or running["id"] != self._turn:
                self._turn, self._seq, self._stream = (running["id"] if running else ""), 0, ""
        if "seq" in message:
            self._event(message)

    def _event(self, event: dict[str, Any]) -> None:
        if event["turn"] != self._turn:
            self._turn, self._seq = event["turn"], 0
        self._tally.missing += event["seq"] != self._seq + 1
        self._seq, self._stream = event["seq"], event["stream"]
        self._tally.n_events += 1
        if "at" in event:
            self._tally.late_ms.append((time.monotonic_ns() - event["at"]) / 1e6)
        if event["type"] in ENDS:
            self._turn, self._seq, self._stream = "", 0, ""

    def _again(self) -> None:
        if not self._comes_back:
            return
        pause_s = PAUSES_S[min(self._tries, len(PAUSES_S) - 1)] * (0.75 + random.random() / 2)
        self._tries += 1
        loop = asyncio.get_running_loop()
        loop.call_later(pause_s, lambda: loop.create_task(self.connect()))


async def open_all(tabs: list[Tab], at_once: int = 50) -> float:
    """Open all of them, some at a time; the seconds that it took."""
    began = time.monotonic()
    for first in range(0, len(tabs), at_once):
        some = tabs[first : first + at_once]
        await asyncio.gather(*(tab.connect() for tab in some))
        await all_open(some)
    return time.monotonic() - began


async def all_open(tabs: list[Tab], limit_s: float = 60.0) -> None:
    """Until every one of them has its chat before it. Raises TimeoutError."""
    async with asyncio.timeout(limit_s):
        await asyncio.gather(*(tab.opened.wait() for tab in tabs))


async def page(port: int, path: str, cookie: str = "") -> tuple[bytes, float]:
    """Get a page on a connection of its own: (headers and body, milliseconds)."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    return answer, (time.monotonic() - began) * 1000


def every(seconds: float, what: Callable[[], Any]) -> asyncio.Task[None]:
    """Await `what()` again and again, until cancelled."""

    async def run() -> None:
        while True:
            await what()
            await asyncio.sleep(seconds)

    return asyncio.get_running_loop().create_task(run())


def own_cpu_s() -> float:
    """CPU seconds of this process."""
    return sum(os.times()[:2])
