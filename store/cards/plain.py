"""JSON from strangers: read within bounds of size, depth and number of values, before anything large is made of it.

What it refuses to know: cards. A string may hold halves of broken pairs; shape.py mends those.
"""

import json
import re
from typing import Any

from store.cards.errors import CardError

MAX_JSON_BYTES, MAX_DEPTH, MAX_VALUES = 1 << 20, 32, 60_000
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read_json(data: bytes) -> Any:
    """The value that is written there. Raises CardError.

    The structure is looked at with the strings taken out, so that neither depth nor number can be a surprise.
    """
    if len(data) > MAX_JSON_BYTES:
        raise CardError("card_too_large")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise CardError("bad_text") from error
    _check_structure(_STRING.sub(b"", data))
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise CardError("bad_json", line=error.lineno) from error
    except ValueError as error:  # a whole number of more digits than Python reads
        raise CardError("bad_number") from error


def written(value: Any) -> str:
    """The same as JSON. Raises CardError "bad_number" where a number was too large to be read as one."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise CardError("bad_number") from error


def _check_structure(bones: bytes) -> None:
    brackets = bones.translate(None, _NO_BRACKETS)
    if bones.count(b",") + len(brackets) > MAX_VALUES:
        raise CardError("too_many_values")
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise CardError("too_deep")


def _no_number(text: str) -> float:
    raise CardError("bad_number")
