"""Waiting for a condition: polled until it holds. The limit is for what never comes; it promises nothing about time."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

LIMIT_S = 120.0


def wait_for(check: Callable[[], Value], what: str = "it", limit_s: float = LIMIT_S, every_s: float = 0.05) -> Value:
    """The first true value of `check`. Raises TimeoutError, naming `what` did not come."""
    deadline = time.monotonic() + limit_s
    while not (found := check()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {limit_s:.0f} s")
        time.sleep(every_s)
    return found
