"""What rude clients send, and how the server has to take its leave: for the tests and for `make load`."""

import contextlib
import socket
import struct

from tests.harness.socket_client import CLOSE, address_of, handshake

RUDE = {  # what is sent after the handshake, and the close codes that are right for it
    "reserved bits": (b"\xf1\x80\x00\x00\x00\x00", {1002}),
    "an opcode that does not exist": (b"\x83\x80\x00\x00\x00\x00", {1002}),
    "not masked": (b"\x81\x05hello", {1002}),
    "compressed, which was not agreed on": (b"\xc1\x85\x00\x00\x00\x00hello", {1002}),
    "wrong UTF-8": (b"\x81\x82\x00\x00\x00\x00\xff\xfe", {1007}),
    "wrong UTF-8 over two frames": (b"\x01\x81\x00\x00\x00\x00\xe2" + b"\x80\x81\x00\x00\x00\x00\x28", {1007}),
    "half a character at the end": (b"\x81\x82\x00\x00\x00\x00\xe2\x82", {1007}),
    "a continuation of nothing": (b"\x80\x81\x00\x00\x00\x00x", {1002}),
    "a message inside a message": (b"\x01\x81\x00\x00\x00\x00x" * 2, {1002}),
    "a ping in two frames": (b"\x09\x81\x00\x00\x00\x00x", {1002}),
    "a ping of 126 bytes": (b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + b"x" * 126, {1002}),
    "a close of one byte": (b"\x88\x81\x00\x00\x00\x00\x03", {1002}),
    "a close code that does not exist": (b"\x88\x82\x00\x00\x00\x00\x03\xe7", {1002}),
    "one megabyte": (b"\x81\xff" + struct.pack("!Q", 1 << 20) + bytes(4) + b" " * (1 << 20), {1009}),
    "a length of exabytes": (b"\x81\xff" + struct.pack("!Q", 1 << 62) + bytes(4) + b" " * (1 << 17), {1009}),
    "fragments without end": (
        b"\x01\xfe\x10\x00" + bytes(4 + 4096) + (b"\x00\xfe\x10\x00" + bytes(4 + 4096)) * 64,
        {1009},
    ),
    "empty fragments without end": (b"\x01\x80" + bytes(4) + (b"\x00\x80" + bytes(4)) * 5000, {1008}),
    "pings without end": ((b"\x89\x80" + bytes(4)) * 5000, {1008}),
    "messages without end": ((b"\x81\x8f" + bytes(4) + b'{"type":"ping"}') * 5000, {1008}),
}
"""By name. A polite client beside it is served as if nothing had happened."""


def be_rude(port: int, cookie: str, data: bytes, patience_s: float = 10.0) -> int | None:
    """Shake hands, send this, and listen: the server's close code, 0 for none, None when it says nothing at all."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience_s) as sock:
        sock.sendall(handshake(address_of(port), cookie))
        inbox = sock.makefile("rb")
        status = inbox.readline()
        assert b" 101 " in status, status
        while inbox.readline().strip():
            pass
        with contextlib.suppress(OSError):  # it has heard enough
            sock.sendall(data)
        return _goodbye(inbox)


def _goodbye(inbox) -> int | None:
    try:
        while head := inbox.read(2):
            n = head[1] & 127
            n = n if n < 126 else int.from_bytes(inbox.read(2 if n == 126 else 8), "big")
            payload = inbox.read(n)
            if head[0] & 15 == CLOSE:
                return int.from_bytes(payload[:2], "big")
    except TimeoutError:
        return None
    except OSError:
        pass
    return 0
