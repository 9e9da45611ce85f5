"""JSON of a card or a lorebook file: the limits of bounded_json.py for them, and its codes as CardError.

What it refuses to know: the fields of a card (normalize.py).
"""

import json
from typing import Any

from store import bounded_json
from store.bounded_json import JsonError, JsonLimits
from store.cards.errors import CardError

MAX_JSON_BYTES = 1 << 20
LIMITS = JsonLimits(MAX_JSON_BYTES, max_depth=32, max_values=60_000, finite_only=True)


def read_json(data: bytes) -> Any:
    """The value of a JSON text. Raises CardError."""
    try:
        return bounded_json.parse(data.removeprefix(bounded_json.BOM), LIMITS)
    except JsonError as error:
        code = "card_too_large" if error.code == "too_large" else error.code
        raise CardError(code, line=error.line) from error


def dump_json(value: Any) -> str:
    """The value as JSON. Raises CardError "bad_number" for a number that was read as infinity."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise CardError("bad_number") from error
