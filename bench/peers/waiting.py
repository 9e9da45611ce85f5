"""Waiting on a web socket as the benches do: long, and an answer that refuses is an error."""

from tests.harness.socket_client import Message, SocketClient

LONGEST_S = 300.0
REFUSALS = ("refused", "failed", "error")


def received(socket: SocketClient, *types: str) -> Message:
    """The next message of one of these types. Raises RuntimeError when the server refuses something."""
    message = socket.wait(*types, *REFUSALS, timeout_s=LONGEST_S)
    if message["type"] not in types:
        raise RuntimeError(str(message))
    return message
