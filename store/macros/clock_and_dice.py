"""Volatile macros: the clock and the dice. With a seed the dice are deterministic.

What it does: `clock_text` formats the time, `Dice` chooses and rolls. Times are local times of this machine, in
English, as cards expect. What it refuses to know: texts and macros (resolver.py). To add a macro of time: a line in
`CLOCK`, its name in the docstring of resolver.py, a case in tests/store/test_macros.py.
"""

import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

_TERM = r"(?:\d{0,3}d)?\d{1,6}"
_ROLL = re.compile(rf"{_TERM}(?:[+-]{_TERM}){{0,7}}", re.ASCII)
_TERMS = re.compile(r"([+-]?)(\d{0,3}d)?(\d{1,6})", re.ASCII)
_LENGTHS = (("a day", "days", 86_400), ("an hour", "hours", 3_600), ("a minute", "minutes", 60))
MOST_DICE = 10_000  # of one text, in all its macros: some milliseconds
_LATEST = 250_000_000_000.0  # in the year 9892; calendars of Python end soon after

CLOCK: dict[str, Callable[[datetime], str]] = {
    "time": lambda now: f"{now:%I:%M %p}".lstrip("0"),
    "date": lambda now: f"{now:%B} {now.day}, {now.year}",
    "weekday": lambda now: f"{now:%A}",
    "isotime": lambda now: f"{now:%H:%M}",
    "isodate": lambda now: now.date().isoformat(),
}


def clock_text(name: str, now: float | None) -> str:
    """The time `now` (seconds; None: the present) in the format of the macro `name` of CLOCK."""
    seconds = time.time() if now is None else min(max(now, 0.0), _LATEST)
    return CLOCK[name](datetime.fromtimestamp(seconds))


def duration_text(seconds: float) -> str:
    """A duration in words: "a few seconds", "an hour", "3 days"."""
    for one, many, length in _LENGTHS:
        if seconds >= length:
            n = int(seconds // length)
            return one if n == 1 else f"{n} {many}"
    return "a few seconds"


@dataclass(frozen=True, slots=True)
class Roll:
    """What dice came to, and how many they were."""

    total: str
    n_dice: int


class Dice:
    """The dice of one text. With `text`, `choose` and `roll` are determined by seed and text; with None they are
    random."""

    def __init__(self, seed: str, text: str | None) -> None:
        self._seed, self._text = seed, text
        self._free: random.Random | None = None
        self._picked = 0

    def choose(self, options: Sequence[str]) -> str:
        """One of the options."""
        return self._random.choice(options)

    def pick(self, options: Sequence[str]) -> str:
        """One of the options, determined by seed, options, and the number of the pick in the text."""
        self._picked += 1
        return _seeded(self._seed, str(self._picked), *options).choice(options)

    def roll(self, formula: str, most: int = MOST_DICE) -> Roll | None:
        """The sum of dice such as `d6`, `20`, `2d6+3`; None when that is no formula, or asks for more than `most`
        dice."""
        formula = "".join(formula.lower().split())
        if not _ROLL.fullmatch(formula):
            return None
        if formula.isdigit():  # a number alone is a die with so many sides
            formula = f"d{formula}"
        terms = [(sign, n, int(number)) for sign, n, number in _TERMS.findall(formula)]
        if any(n and not number for _, n, number in terms):  # a die without sides
            return None
        n_dice = sum(_n_dice(n) for _, n, _ in terms)
        if n_dice > most:
            return None
        return Roll(str(sum(self._term(sign, n, number) for sign, n, number in terms)), n_dice)

    def _term(self, sign: str, n: str, number: int) -> int:
        """`n` is empty for a plain number, and else ends in the letter d."""
        value = sum(self._random.randint(1, number) for _ in range(_n_dice(n))) if n else number
        return -value if sign == "-" else value

    @property
    def _random(self) -> random.Random:
        if self._free is None:
            self._free = random.SystemRandom() if self._text is None else _seeded(self._seed, self._text)
        return self._free


def _n_dice(n: str) -> int:
    return int(n[:-1] or 1) if n else 0


def _seeded(*words: str) -> random.Random:
    return random.Random("\0".join(words).encode("utf-8", "surrogatepass"))
