"""Lenient readers of JSON values: what was meant, or the default. Pure; nothing here raises.

What it refuses to know: lorebooks.
"""

from collections.abc import Mapping
from typing import Any

BIGGEST = 1_000_000_000


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` when it is an object, an empty one otherwise."""
    return value if isinstance(value, Mapping) else {}


def find(source: Mapping[str, Any], *names: str) -> Any:
    """The first of these names that is there and not null, in the object itself and then in its `extensions`."""
    for container in (source, mapping(source.get("extensions"))):
        for name in names:
            if container.get(name) is not None:
                return container[name]
    return None


def text(value: Any) -> str:
    """A text; a number as it is written; nothing otherwise."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= BIGGEST:
        return str(value)
    return ""


def flag(value: Any, default: bool) -> bool:
    """True and false, also as 1, 0, "true" and "false"."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value != 0
    if isinstance(value, str) and value.strip().casefold() in ("true", "false", "0", "1"):
        return value.strip().casefold() in ("true", "1")
    return default


def integer(value: Any, default: int) -> int:
    """A whole number within reason, also when it is written as a text or with a point."""
    if isinstance(value, bool):
        return default
    try:
        return max(-BIGGEST, min(BIGGEST, int(float(value))))
    except (TypeError, ValueError, OverflowError):
        return default


def words(value: Any) -> tuple[str, ...]:
    """A list of texts, or one text with commas in it. A single /pattern/ may have commas of its own."""
    if isinstance(value, str):
        value = [value] if value.strip().startswith("/") else value.split(",")
    if not isinstance(value, list | tuple):
        return ()
    return tuple(word for word in (text(item).strip() for item in value) if word)
