"""What this machine can do: learned speeds of reading and restoring, and the decisions that follow from them. Pure.

Reading is computing, restoring is copying; which of the two is faster depends on the machine, the length and the tier,
so it is measured while the server runs and never assumed.
"""

from dataclasses import dataclass, field

_SMOOTHING = 0.3


@dataclass(slots=True)
class _Rate:
    """Tokens per second, smoothed; 0 while unknown."""

    per_s: float = 0.0

    def learn(self, n_tokens: int, seconds: float) -> None:
        if n_tokens > 0 and seconds > 0:
            rate = n_tokens / seconds
            self.per_s = rate if not self.per_s else (1 - _SMOOTHING) * self.per_s + _SMOOTHING * rate


@dataclass(slots=True)
class Speeds:
    """Reading speed, restoring speed per tier, and what they mean for the next step.

    `step_s` is the longest a step should take; `smallest` the fewest prompt tokens that are worth a step.
    """

    step_s: float = 0.4
    smallest: int = 16
    _reading: _Rate = field(default_factory=_Rate)
    _restoring: dict[str, _Rate] = field(default_factory=dict)

    def learn_reading(self, n_tokens: int, seconds: float) -> None:
        """A step with `n_tokens` tokens took `seconds`; steps of a few tokens say nothing about reading."""
        if n_tokens >= self.smallest:
            self._reading.learn(n_tokens, seconds)

    def learn_restoring(self, tier: str, n_tokens: int, seconds: float) -> None:
        """`n_tokens` came back from "ram" or "disk" in `seconds`."""
        self._restoring.setdefault(tier, _Rate()).learn(n_tokens, seconds)

    def chunk(self, n_batch: int, someone_writes: bool) -> int:
        """Prompt tokens for the next step: a quarter of the time when it would hold up others."""
        if not self._reading.per_s:
            return min(n_batch, 64)
        allowed = self.step_s * (0.25 if someone_writes else 1.0)
        return max(self.smallest, min(n_batch, int(self._reading.per_s * allowed)))

    def restoring_pays(self, tier: str) -> bool:
        """Whether restoring from `tier` is faster than reading again, as far as is known."""
        restoring = self._restoring.get(tier)
        return restoring is None or not restoring.per_s or restoring.per_s > self._reading.per_s
