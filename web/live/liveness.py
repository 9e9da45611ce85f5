"""Liveness of a peer by ping and pong. Pure; the time is an argument.

What it does: a ping is sent along with a frame now and then. A peer whose pong is missing for LOST_S is dead, even if
the kernel's send buffer still has room. A peer that is sent nothing is not pinged: a phone may sleep.
What it refuses to know: sockets.
"""

PING_EVERY_S = 4.0
LOST_S = 8.5  # and the next beat of the hub ends it


class Liveness:
    """The last ping and pong of one peer; times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._pinged_at: float | None = None
        self._ponged_at = float("-inf")

    def should_ping(self, now: float) -> bool:
        """Whether a ping should go along with the frame that is sent now; True counts as sent."""
        if self._pinged_at is not None or now - self._ponged_at < PING_EVERY_S:
            return False
        self._pinged_at = now
        return True

    def pong(self, now: float) -> None:
        """A pong has arrived."""
        self._pinged_at, self._ponged_at = None, now

    def is_dead(self, now: float) -> bool:
        """Whether a ping has been without a pong for longer than LOST_S."""
        pinged_at = self._pinged_at
        return pinged_at is not None and now - pinged_at > LOST_S
