"""Whether a peer still listens. Pure; the time is an argument.

What it does: with what is sent goes a question (a ping) now and then; who has not answered one for LOST_S takes nothing
in, even if the machine's own buffers still do. Who is told nothing is asked nothing: a phone may sleep.
What it refuses to know: sockets.
"""

ASK_EVERY_S = 4.0
LOST_S = 8.5  # and the next beat of the hub ends it


class Attention:
    """Of one peer."""

    def __init__(self) -> None:
        self._asked_at: float | None = None
        self._heard_at = float("-inf")

    def ask(self, now: float) -> bool:
        """Something is to be sent: whether a question should go with it. True counts as asked."""
        if self._asked_at is not None or now - self._heard_at < ASK_EVERY_S:
            return False
        self._asked_at = now
        return True

    def heard(self, now: float) -> None:
        """The peer has answered."""
        self._asked_at, self._heard_at = None, now

    def lost(self, now: float) -> bool:
        """Whether it was asked too long ago."""
        asked_at = self._asked_at
        return asked_at is not None and now - asked_at > LOST_S
