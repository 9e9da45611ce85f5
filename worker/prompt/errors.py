"""Why a part of a turn cannot be done: errors that carry a `Failure`, to be kept with the turn. Pure."""

from store.errors import Failure


class PartError(ValueError):
    """A part that cannot be planned or read; `failure` is what its owner is told."""

    def __init__(self, reason: str, **values: str | int) -> None:
        super().__init__(reason, *values.values())
        self.failure = Failure(reason, values)


class PromptError(PartError):
    """A prompt that cannot be made to fit: the persona or a single message is too long for the context."""


class StatusError(PartError):
    """What was decoded is not a whole status."""
