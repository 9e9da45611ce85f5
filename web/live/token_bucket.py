"""A token bucket: the rate limit of one tab. Pure; the time is an argument."""


class TokenBucket:
    """Lets `burst` messages through at once and `rate` per second in the long run."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Whether one more message is within the limit at the time `now` (seconds, monotonic)."""
        self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
