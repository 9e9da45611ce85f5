"""The errors that the store raises for callers to handle: a reason and values, no sentences (error_texts.py has those).

    StoreError                 .code (stable, for programs), .reason (a key of error_texts.TEXTS), .values
    +-- NotFound               "not_found": no such thing, or it belongs to another person
    +-- Refused                the request is understood and not allowed now; the code says why
    +-- Stale                  "stale_attempt": a newer attempt owns the turn, or it has ended; stop working on it

`Failure` is the same for a turn that cannot be done: a value, kept with the turn and sent with its last event.
A reason is a code, or `code.which` where one code has several sentences.
To add a refusal: its sentence in error_texts.TEXTS, then raise `Refused(reason, name=value, ...)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class StoreError(Exception):
    """The root of the tree. `values` fill the {names} of the sentence."""

    def __init__(self, reason: str, **values: str | int) -> None:
        super().__init__(reason, *values.values())
        self.reason = reason
        self.values: Mapping[str, str | int] = values

    @property
    def code(self) -> str:
        """The reason without its `.which`."""
        return code_of(self.reason)

    def __str__(self) -> str:
        """For logs: the reason and the values."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"{self.reason} ({values})" if values else self.reason


class NotFound(StoreError):
    """There is no such thing, or it belongs to another person: callers cannot tell which, on purpose."""

    def __init__(self, what: str = "page") -> None:
        super().__init__("not_found", what=what)


class Refused(StoreError):
    """The store understood and says no."""


class Stale(StoreError):
    """A late or doubled worker: its attempt at the turn no longer counts, and nothing was changed."""

    def __init__(self, turn_id: str, attempt: int) -> None:
        super().__init__("stale_attempt", turn=turn_id, attempt=attempt)


@dataclass(frozen=True)
class Failure:
    """Why a turn cannot be done. What the engine says itself has no sentence in error_texts: `values["message"]`."""

    reason: str
    values: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """The reason without its `.which`."""
        return code_of(self.reason)

    def as_dict(self) -> dict[str, Any]:
        """What the last event of the turn says; web makes the sentence."""
        return {"code": self.code, "reason": self.reason, "values": dict(self.values)}


def code_of(reason: str) -> str:
    """The stable code for programs."""
    return reason.partition(".")[0]
