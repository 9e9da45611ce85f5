"""Limits of chat files: what one line of JSON and what a whole file may hold (see bounded_json.py).

What it refuses to know: what stands in a file.
"""

from dataclasses import replace

from store import bounded_json
from store.bounded_json import JsonError, JsonLimits
from store.errors import Refused

MAX_VALUES = 2_000_000  # commas and opening brackets; `parse` counts closing ones as well, hence twice as many there
LINE = JsonLimits(max_bytes=1 << 20, max_depth=32, max_values=2 * MAX_VALUES, finite_only=True)
JSONL_FILE = replace(LINE, max_bytes=32 << 20)
NATIVE_FILE = replace(LINE, max_bytes=48 << 20, max_depth=LINE.max_depth + 12)  # whole lines of JSONL stand inside


def refuse_if_large(data: bytes, file: JsonLimits) -> None:
    """Raises Refused "chat_too_large": too many bytes, or more values than memory should be spent on."""
    try:
        bounded_json.check_size(data, replace(file, max_values=MAX_VALUES))
    except JsonError as error:
        raise Refused("chat_too_large") from error
