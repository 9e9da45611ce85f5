"""Date parser for chat files, which several programs write in several formats.

What it does: `read` parses seconds and milliseconds, ISO, `2024-1-5 @12h 34m 56s 789ms`, `2024-01-05@12h34m56s` and
`January 5, 2024 12:34pm`; a date without a zone is local time of this machine. `write` writes ISO in UTC.
To add a format: a pattern in `_FORMATS`.
"""

import re
from datetime import UTC, datetime
from typing import Any

_LATEST = 250_000_000_000.0
_MILLISECONDS = 100_000_000_000  # a number beyond this, the year 5138 in seconds, counts milliseconds
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY = r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
_FORMATS = [
    re.compile(rf"{_DAY}\s*@\s*(?P<hour>\d\d?)h\s*(?P<minute>\d\d?)m\s*(?P<second>\d\d?)s(?:\s*(?P<ms>\d{{1,3}})ms)?"),
    re.compile(
        r"(?P<word>[a-z]{3})[a-z]*\.?\s+(?P<day>\d\d?),?\s+(?P<year>\d{4}),?(?:\s+at)?"
        r"\s+(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d))?\s*(?P<half>[ap]m)?"
    ),
]


def read(value: Any) -> float | None:
    """Seconds since the epoch; None for anything that is not a date in a known format."""
    if isinstance(value, str):
        text = " ".join(value.replace("\u202f", " ").split())
        value = float(text) if re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text, re.ASCII) else _parse_text(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    seconds = value / 1000 if value > _MILLISECONDS else value
    return float(seconds) if 0 <= seconds <= _LATEST else None


def write(seconds: float) -> str:
    """`2024-01-05T12:34:56.789Z`."""
    moment = datetime.fromtimestamp(min(max(seconds, 0.0), _LATEST), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parse_text(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        pass  # not ISO
    for pattern in _FORMATS:
        match = pattern.fullmatch(text.lower())
        if match:
            return _moment(match.groupdict())
    return None


def _moment(parts: dict[str, Any]) -> float | None:
    word = parts.get("word")
    month = int(parts["month"]) if word is None else _MONTHS.index(word) + 1 if word in _MONTHS else 0
    hour = int(parts["hour"])
    if parts.get("half"):
        hour = hour % 12 + (12 if parts["half"] == "pm" else 0)
    second, ms = int(parts.get("second") or 0), int(parts.get("ms") or 0)
    try:
        day = datetime(int(parts["year"]), month, int(parts["day"]), hour, int(parts["minute"]), second, ms * 1000)
        return day.timestamp()
    except (ValueError, OverflowError):
        return None
