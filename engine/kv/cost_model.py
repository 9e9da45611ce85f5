"""Cost model: how fast this machine reads (prefill) and restores from each tier, and the decisions that follow. Pure.

Reading is computing, restoring is copying; which of the two is faster depends on the machine and the tier, so it is
measured while the server runs and never assumed. Each tier has one rate, the median seconds per token of its last
restores: one stall says nothing. A tier that lost is tried once after 32 turns, and that probe replaces what was known:
a verdict that was wrong, or is not right any more, heals.

What it refuses to know: sessions, keys and cells. To add a tier: a name here in `_COPIES`, and in kv/cells.py and
kv/prefetch.py where its restores are measured.
"""

import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil

from engine.kv.candidates import Candidate

_SMOOTHING = 0.3
_MAX_SAMPLES = 16
_MIN_SAMPLES = 4
"""Restores that are remembered, and how many make a verdict."""
_PROBE_AFTER = 32
"""Turns that skip a tier before it is tried again."""
_COPIES = {"cells": (), "ram": ("ram",), "disk": ("disk", "ram")}
"""The measured copies that bring a block from its tier into cells."""


@dataclass(slots=True)
class _RestoreRate:
    """Seconds per token of one copy: those of the last restores, and the turns since that skipped it."""

    samples: deque[float] = field(default_factory=lambda: deque(maxlen=_MAX_SAMPLES))
    n_skips: int = 0

    def learn(self, n_tokens: int, seconds: float) -> None:
        if self.n_skips >= _PROBE_AFTER and len(self.samples) >= _MIN_SAMPLES:
            self.samples.extend([seconds / n_tokens] * _MAX_SAMPLES)
        else:
            self.samples.append(seconds / n_tokens)
        self.n_skips = 0

    def s_per_token(self) -> float:
        """0 (try it) while too little is known, and when it is time for a probe."""
        if len(self.samples) < _MIN_SAMPLES or self.n_skips >= _PROBE_AFTER:
            return 0.0
        return statistics.median(self.samples)


@dataclass(slots=True)
class CostModel:
    """Reading speed, cost of restoring per tier, and what they mean for the next step.

    `step_s` is the longest a step should take; `smallest` the fewest prompt tokens that are worth a step, unless they
    would take more than `longest_s`, where a step cannot be stopped in its middle. A loss of less than `tolerance_s`
    decides nothing: reading also takes room in a batch that others could use.
    """

    step_s: float = 0.4
    longest_s: float = float("inf")
    smallest: int = 16
    tolerance_s: float = 0.1
    _read_per_s: float = 0.0
    _piece: int = 16
    _rates: dict[str, _RestoreRate] = field(default_factory=lambda: {"ram": _RestoreRate(), "disk": _RestoreRate()})

    def learn_reading(self, n_tokens: int, seconds: float) -> None:
        """A step with `n_tokens` tokens took `seconds`; fewer tokens than the last chunk say nothing about reading."""
        if n_tokens >= min(self.smallest, self._piece) and seconds > 0:
            rate = n_tokens / seconds
            known = self._read_per_s or rate
            self._read_per_s = (1 - _SMOOTHING) * known + _SMOOTHING * rate

    def learn_restoring(self, tier: str, n_tokens: int, seconds: float) -> None:
        """`n_tokens` tokens came from "ram" into cells, or from "disk" into RAM, in `seconds`."""
        if n_tokens:
            self._rates[tier].learn(n_tokens, seconds)

    def record_skip(self, skipped: Iterable[Candidate]) -> None:
        """A turn reads the text of these instead; after 32 such turns their tiers are tried again."""
        for copy in {copy for candidate in skipped for copy in _COPIES[candidate.tier]}:
            self._rates[copy].n_skips += 1

    def chunk(self, n_batch: int, someone_writes: bool) -> int:
        """Prompt tokens for the next step: a quarter of the time when it would hold up others."""
        allowed_s = self.step_s * (0.25 if someone_writes else 1.0)
        fewest = self._read_per_s * self.longest_s if self._read_per_s else self.smallest
        fewest = ceil(min(fewest, self.smallest))  # rounded up, it grows until a step takes as long as it may
        self._piece = max(fewest, min(n_batch, int(self._read_per_s * allowed_s)))
        return self._piece

    def reading_s(self, n_tokens: int) -> float:
        """Seconds that so many tokens will take; infinite while nothing is known."""
        return n_tokens / self._read_per_s if self._read_per_s else float("inf")

    def gain_s(self, candidate: Candidate) -> float:
        """Seconds that restoring saves, as far as is known; below 0 when reading is faster."""
        reading_s = candidate.n_saved / (self._read_per_s or 1.0)
        return reading_s - candidate.n_tokens * sum(self._rates[copy].s_per_token() for copy in _COPIES[candidate.tier])

    def best_prefix(self, candidates: Sequence[Candidate]) -> int:
        """How many of these, from the front, to restore, so that restoring them and reading the rest is fastest."""
        total = best = 0.0
        n_best = 0
        for number, candidate in enumerate(candidates, 1):
            total += self.gain_s(candidate)
            best = max(best, total)
            if total >= best - self.tolerance_s:
                n_best = number
        return n_best

    def best_single(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """Which of these to restore, each instead of the others: the last of those that are about as fast as the best.

        None when reading is faster than each.
        """
        enough = max([0.0, *map(self.gain_s, candidates)]) - self.tolerance_s
        return next((each for each in reversed(candidates) if self.gain_s(each) >= enough), None)
