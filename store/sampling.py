"""Sampler settings of a chat: names, ranges and presets; a test compares them with engine/sampling.py.

What it refuses to know: how a token is drawn, and the meaning of each setting (engine/sampling.py).
"""

from collections.abc import Mapping
from typing import Any

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
WHOLE = frozenset({"top_k", "penalty_last_n", "dry_allowed_length", "dry_last_n", "seed", "top_n"})
PRESETS: dict[str, dict[str, float]] = {
    "balanced": {},
    "careful": {"temperature": 0.5, "top_p": 0.9, "min_p": 0.1},
    "lively": {"temperature": 1.05, "top_p": 1.0, "min_p": 0.05, "dry_multiplier": 0.8},
    "surprising": {"temperature": 1.2, "min_p": 0.03, "xtc_probability": 0.3, "dry_multiplier": 0.8},
}


def checked(settings: Mapping[str, Any]) -> dict[str, float | int]:
    """The settings, if every one is known and in its range. Raises Refused "bad_setting"."""
    return {name: _checked_value(name, value) for name, value in settings.items()}


def _checked_value(name: str, value: Any) -> float | int:
    if name not in RANGES:
        raise Refused("bad_setting.unknown", name=repr(name), settings=", ".join(RANGES))
    low, high = RANGES[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high or (name in WHOLE and value != int(value)):
        reason = "bad_setting.whole" if name in WHOLE else "bad_setting.range"
        raise Refused(reason, name=name, low=f"{low:g}", high=f"{high:g}")
    return int(value) if name in WHOLE else float(value)
