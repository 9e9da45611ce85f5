"""The time budget of a run: which step may still start, and how long it may take. Pure."""

from dataclasses import dataclass

KEPT_S = 12.0
"""Kept for the end: a step that does not stop when it is asked is killed after a while, and then comes the table."""


@dataclass(frozen=True, slots=True)
class Times:
    """A step needs `least_s` to be worth its start, and is stopped after `limit_s`."""

    least_s: float
    limit_s: float


@dataclass(frozen=True, slots=True)
class Budget:
    """`total_s` seconds from the beginning of the run."""

    total_s: float

    def left_s(self, used_s: float) -> float:
        """What is left for steps after `used_s` seconds."""
        return self.total_s - KEPT_S - used_s

    def limit_s(self, times: Times, used_s: float) -> float | None:
        """How long a step may take that would start now; None: it is not worth its start any more."""
        left = self.left_s(used_s)
        return None if left < times.least_s else min(times.limit_s, left)

    def refusal(self, times: Times, used_s: float) -> str:
        """Why a step does not start."""
        left = max(0.0, self.left_s(used_s))
        return f"it needs {times.least_s:.0f} s and {left:.0f} s of {self.total_s:.0f} were left"
