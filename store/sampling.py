"""Sampler settings of a chat: names, ranges and built-in presets; a test compares them with engine/sampling.py.

What it does: also knows two settings that are not the sampler's: `reply_tokens`, the length of a reply (absent: as the
installation has it), and `stop`, texts at which a reply ends.
What it refuses to know: how a token is drawn, and the meaning of each setting (engine/sampling.py).
"""

from collections.abc import Mapping
from typing import Any

from store import texts
from store.errors import Refused

RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 5.0),
    "top_k": (0, 1000),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "repeat_penalty": (0.5, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
    "penalty_last_n": (0, 4096),
    "dry_multiplier": (0.0, 5.0),
    "dry_base": (1.0, 4.0),
    "dry_allowed_length": (1, 50),
    "dry_last_n": (0, 8192),
    "xtc_probability": (0.0, 1.0),
    "xtc_threshold": (0.0, 1.0),
    "seed": (0, 2**32 - 2),
    "top_n": (0, 20),
}
OF_REPLIES: dict[str, tuple[float, float]] = {"reply_tokens": (16, 2000)}
"""Ranges of what is no sampler's setting."""
WHOLE = frozenset({"top_k", "penalty_last_n", "dry_allowed_length", "dry_last_n", "seed", "top_n", "reply_tokens"})
SHORT, LONG = 100, 600
"""`reply_tokens` of short and of long replies."""
MAX_STOPS, MAX_STOP_CHARS = 8, 40
PRESETS: dict[str, dict[str, float]] = {
    "balanced": {},
    "careful": {"temperature": 0.5, "top_p": 0.9, "min_p": 0.1},
    "lively": {"temperature": 1.05, "top_p": 1.0, "min_p": 0.05, "dry_multiplier": 0.8},
    "surprising": {"temperature": 1.2, "min_p": 0.03, "xtc_probability": 0.3, "dry_multiplier": 0.8},
}
_RANGES = {**RANGES, **OF_REPLIES}

Value = float | int | list[str]


def checked(settings: Mapping[str, Any]) -> dict[str, Value]:
    """The settings, if every one is known and in its range. Raises Refused "bad_setting"."""
    return {name: _checked(name, value) for name, value in settings.items()}


def of_sampler(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those that the engine's sampler knows."""
    return {name: value for name, value in settings.items() if name != "stop" and name not in OF_REPLIES}


def _checked(name: str, value: Any) -> Value:
    if name == "stop":
        return _checked_stops(value)
    if name not in _RANGES:
        raise Refused("bad_setting.unknown", name=repr(name), settings=", ".join([*_RANGES, "stop"]))
    low, high = _RANGES[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high or (name in WHOLE and value != int(value)):
        reason = "bad_setting.whole" if name in WHOLE else "bad_setting.range"
        raise Refused(reason, name=name, low=f"{low:g}", high=f"{high:g}")
    return int(value) if name in WHOLE else float(value)


def _checked_stops(stops: Any) -> list[str]:
    fits = isinstance(stops, list) and len(stops) <= MAX_STOPS and all(isinstance(stop, str) for stop in stops)
    cleaned = [texts.clean(stop) for stop in stops] if fits else []
    if not fits or not all(stop and len(stop) <= MAX_STOP_CHARS for stop in cleaned):
        raise Refused("bad_setting.stop", most=MAX_STOPS, letters=MAX_STOP_CHARS)
    return list(dict.fromkeys(cleaned))
