"""JSON from strangers, in bounds: how large, how deep, how many values; numbers that JSON has.

What it refuses to know: chats. `dumped` is the way back: what came in can always go out again.
"""

import json
import math
from typing import Any

from store.errors import Refused

MAX_LINE_BYTES, MAX_DEPTH, MAX_VALUES = 1 << 20, 32, 2_000_000


def refuse_if_large(data: bytes, max_bytes: int) -> None:
    """Raises Refused "chat_too_large": too many bytes, or more values than memory should be spent on."""
    if len(data) > max_bytes or sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise Refused("chat_too_large")


def loaded(data: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The value that is written there. Raises ValueError for whatever is wrong with it."""
    try:
        value = json.loads(data.decode(), parse_float=_number, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if data.count(b"[") + data.count(b"{") > max_depth and _is_deep(value, max_depth):
        raise ValueError("nested too deeply")
    return value


def _is_deep(value: Any, max_depth: int) -> bool:
    """Whether lists and objects stand deeper than that in each other."""
    level = [value]
    for _ in range(max_depth):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return any(isinstance(one, list | dict) for one in level)


def dumped(value: Any, indent: int | None = None) -> bytes:
    """JSON in UTF-8; halves of broken pairs, which UTF-8 does not have, as escapes."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent).encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent).encode()


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number that is too large")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")
