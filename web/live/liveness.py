"""Whether a peer still listens. Pure; the time is an argument.

What it does: with what is sent goes a question (a ping) now and then; who has not answered one for LOST_S takes nothing
in, even if the machine's own buffers still do. Who is told nothing is asked nothing: a phone may sleep.
What it refuses to know: sockets.
"""

ASK_EVERY_S = 4.0
LOST_S = 8.5  # and the next beat of the hub ends it


class Liveness:
    """Of one peer."""

    def __init__(self) -> None:
        self._pinged_at: float | None = None
        self._ponged_at = float("-inf")

    def should_ping(self, now: float) -> bool:
        """Something is to be sent: whether a question should go with it. True counts as asked."""
        if self._pinged_at is not None or now - self._ponged_at < ASK_EVERY_S:
            return False
        self._pinged_at = now
        return True

    def pong(self, now: float) -> None:
        """The peer has answered."""
        self._pinged_at, self._ponged_at = None, now

    def is_dead(self, now: float) -> bool:
        """Whether it was asked too long ago."""
        pinged_at = self._pinged_at
        return pinged_at is not None and now - pinged_at > LOST_S
