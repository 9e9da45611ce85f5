"""Bounded JSON reader for untrusted input: size, depth, number of values and range of numbers are checked.

What it does: `parse` checks the structure in the bytes, before any Python value is made of them; `dump` writes what was
read in a form that can be read again. One error type, whose `code` says which limit or rule was broken.
What it refuses to know: cards and chats (cards/card_json.py and chat_files/limits.py have their limits and map the
codes to their own errors). A text may hold lone surrogates; the callers replace those.
To add a limit: a field of `JsonLimits`, its check in `parse`, and its code in `JsonError` and in both callers.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

BOM = b"\xef\xbb\xbf"
MAX_DIGITS = 300  # of a whole number; it fits into a float, so that no arithmetic with it fails
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


@dataclass(frozen=True)
class JsonLimits:
    """Bytes of a text, levels of nesting, and values, counted as commas and brackets outside of strings.

    `finite_only` refuses numbers that a float cannot hold, such as 1e999 and whole ones of more than MAX_DIGITS.
    """

    max_bytes: int
    max_depth: int
    max_values: int
    finite_only: bool = False


class JsonError(ValueError):
    """The text is refused. `line` is where it stops being JSON (for "bad_json").

    `code`: "too_large", "too_many_values", "too_deep", "bad_text" (not UTF-8), "bad_number" or "bad_json".
    """

    def __init__(self, code: str, line: int = 0) -> None:
        super().__init__(code)
        self.code, self.line = code, line


def check_size(data: bytes, limits: JsonLimits) -> None:
    """Raise JsonError "too_large" or "too_many_values": commas and opening brackets are counted, also inside strings.

    Cheap, and needs no valid JSON: for a file of many lines, each of which is parsed by itself.
    """
    if len(data) > limits.max_bytes:
        raise JsonError("too_large")
    if _count(data, b",[{") > limits.max_values:
        raise JsonError("too_many_values")


def parse(data: bytes, limits: JsonLimits) -> Any:
    """The value of a JSON text without byte order mark. Raises JsonError."""
    if len(data) > limits.max_bytes:
        raise JsonError("too_large")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise JsonError("bad_text") from error
    if _count(data, b"[{") > limits.max_depth or _count(data, b",[]{}") > limits.max_values:
        _check_structure(_outside_strings(data), limits)
    try:
        numbers: dict[str, Any] = {"parse_float": _finite, "parse_int": _bounded} if limits.finite_only else {}
        return json.loads(text, parse_constant=_refuse_constant, **numbers)
    except json.JSONDecodeError as error:
        raise JsonError("bad_json", error.lineno) from error
    except JsonError:
        raise
    except ValueError as error:  # a whole number of more digits than Python reads
        raise JsonError("bad_number") from error


def dump(value: Any, indent: int | None = None) -> bytes:
    """JSON in UTF-8; with lone surrogates, which UTF-8 cannot encode, as ASCII with escapes."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent).encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent).encode()


def _count(data: bytes, marks: bytes) -> int:
    return sum(map(data.count, marks))


def _outside_strings(data: bytes) -> bytes:
    """The text without its strings, found one by one: a single call for all would hold the GIL for half a second."""
    pieces, end = [], 0
    for string in _STRING.finditer(data):
        pieces.append(data[end : string.start()])
        end = string.end()
    return b"".join([*pieces, data[end:]])


def _check_structure(outside_strings: bytes, limits: JsonLimits) -> None:
    brackets = outside_strings.translate(None, _NOT_BRACKETS)
    if outside_strings.count(b",") + len(brackets) > limits.max_values:
        raise JsonError("too_many_values")
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > limits.max_depth:
            raise JsonError("too_deep")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise JsonError("bad_number")
    return value


def _bounded(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise JsonError("bad_number")
    return int(text)


def _refuse_constant(_text: str) -> float:
    raise JsonError("bad_number")  # NaN, Infinity and -Infinity are no JSON
