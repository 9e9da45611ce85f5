"""What this machine can do: learned speeds of reading and restoring, and the decisions that follow from them. Pure.

Reading is computing, restoring is copying; which of the two is faster depends on the machine, the length and the tier,
so it is measured while the server runs and never assumed. A restore is so much a block and so much a token; both come
from the last few restores, as medians, so one stall says nothing. A tier that lost is forgotten after a while, and
tried again: a verdict that was wrong, or is not right any more, heals.
"""

import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

_SMOOTHING = 0.3
_REMEMBERED = 16
_NEEDED = 4
"""Restores that are remembered, and how many make a verdict."""
_PATIENCE = 32
"""Turns that pass a tier over before it is tried again."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A block in `tier` ("cells", "ram", "disk", None: nowhere) of `n_tokens`; restored, it saves reading `n_saved`."""

    tier: str | None
    n_tokens: int
    n_saved: int


@dataclass(slots=True)
class _Rate:
    """Tokens per second, smoothed; 0 while unknown."""

    per_s: float = 0.0

    def learn(self, n_tokens: int, seconds: float) -> None:
        if n_tokens > 0 and seconds > 0:
            rate = n_tokens / seconds
            self.per_s = rate if not self.per_s else (1 - _SMOOTHING) * self.per_s + _SMOOTHING * rate


@dataclass(slots=True)
class _Cost:
    """Seconds of restoring a block from one tier: (tokens, seconds) of the last restores, and the line through them."""

    seen: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    n_passed: int = 0
    _line: tuple[float, float] | None = None

    def learn(self, n_tokens: float, seconds: float) -> None:
        """A try after much patience that was far better than expected replaces all that was known."""
        if self._doubted and seconds < 0.5 * self._estimate(n_tokens):
            self.seen.clear()
        self.seen.append((n_tokens, seconds))
        self.n_passed, self._line = 0, None

    def record_skip(self) -> None:
        self.n_passed += 1

    def seconds(self, n_tokens: float) -> float:
        """Of one block; 0 while too little is known, and when it is time to try again."""
        return 0.0 if self._doubted else self._estimate(n_tokens)

    @property
    def _doubted(self) -> bool:
        return self.n_passed >= _PATIENCE

    def _estimate(self, n_tokens: float) -> float:
        if len(self.seen) < _NEEDED:
            return 0.0
        if self._line is None:
            self._line = _line_through(self.seen)
        a_block, a_token = self._line
        return a_block + a_token * n_tokens


def _line_through(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """(height at 0, slope), neither below 0, by medians (Theil-Sen): up to a quarter of the points may be far off."""
    points = list(points)
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x1 != x2]
    slope = max(0.0, statistics.median(slopes)) if slopes else 0.0
    return max(0.0, statistics.median(y - slope * x for x, y in points)), slope


@dataclass(slots=True)
class CostModel:
    """Reading speed, cost of restoring per tier, and what they mean for the next step.

    `step_s` is the longest a step should take; `smallest` the fewest prompt tokens that are worth a step. A loss of
    less than `tolerance_s` decides nothing: reading also takes room in a batch that others could use.
    """

    step_s: float = 0.4
    smallest: int = 16
    tolerance_s: float = 0.1
    _reading: _Rate = field(default_factory=_Rate)
    _policy: dict[str, _Cost] = field(default_factory=lambda: {"ram": _Cost(), "disk": _Cost()})

    def learn_reading(self, n_tokens: int, seconds: float) -> None:
        """A step with `n_tokens` tokens took `seconds`; steps of a few tokens say nothing about reading."""
        if n_tokens >= self.smallest:
            self._reading.learn(n_tokens, seconds)

    def learn_restoring(self, tier: str, n_blocks: int, n_tokens: int, seconds: float) -> None:
        """`n_blocks` with `n_tokens` in all came from "ram" into cells, or from "disk" into RAM, in `seconds`."""
        if n_blocks:
            self._policy[tier].learn(n_tokens / n_blocks, seconds / n_blocks)

    def chunk(self, n_batch: int, someone_writes: bool) -> int:
        """Prompt tokens for the next step: a quarter of the time when it would hold up others."""
        if not self._reading.per_s:
            return min(n_batch, 64)
        allowed = self.step_s * (0.25 if someone_writes else 1.0)
        return max(self.smallest, min(n_batch, int(self._reading.per_s * allowed)))

    def gain_s(self, block: Offered) -> float:
        """Seconds that restoring this block saves, as far as is known; below 0 when reading is faster."""
        reading = block.n_saved / self._reading.per_s if self._reading.per_s else float(block.n_saved)
        return reading - sum(self._policy[tier].seconds(block.n_tokens) for tier in _way(block.tier))

    def best_prefix(self, blocks: Sequence[Offered]) -> int:
        """How many of these blocks, from the front, to restore, so that restoring them and reading the rest is fastest.

        What is behind a block that is nowhere cannot be used.
        """
        total = best = 0.0
        n_best = 0
        for number, block in enumerate(blocks, 1):
            if block.tier is None:
                break
            total += self.gain_s(block)
            best = max(best, total)
            if total >= best - self.tolerance_s:
                n_best = number
        return n_best

    def is_worth(self, block: Offered) -> bool:
        """Whether to restore this block, if it were the only one."""
        return self.best_prefix([block]) == 1

    def best_of(self, blocks: Sequence[Offered]) -> int:
        """Which of these blocks to restore, each instead of the others: 1 for the first, 0 for none.

        The last of those that are as fast as the fastest, but for a trifle.
        """
        gains = {number: self.gain_s(block) for number, block in enumerate(blocks, 1) if self.is_worth(block)}
        enough = max(gains.values(), default=0.0) - self.tolerance_s
        return max((number for number, gain in gains.items() if gain >= enough), default=0)

    def record_skip(self, blocks: Iterable[Offered]) -> None:
        """A turn read the text of these blocks instead; after many such turns, what is known is doubted."""
        for tier in {tier for block in blocks for tier in _way(block.tier)}:
            self._policy[tier].record_skip()


def _way(tier: str | None) -> tuple[str, ...]:
    """The copies that bring a block from its tier into cells."""
    return {"disk": ("disk", "ram"), "ram": ("ram",)}.get(tier or "", ())
