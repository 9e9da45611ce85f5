"""Short and long forms of the property searches: `make test` runs the short one, `make soak-tests` the long one.

SOAK=1 in the environment chooses the long form. The short form makes the same draws in every run, so that a
failure is there again; the long one looks for new ones.
"""

import os

from hypothesis import settings

SOAK = os.environ.get("SOAK") == "1"


def n_examples(short: int, long: int) -> int:
    """How many examples a search tries."""
    return long if SOAK else short


def load_profile() -> None:
    """Set hypothesis up for this run; tests may change single settings."""
    settings.register_profile("short", max_examples=60, derandomize=True, deadline=None)
    settings.register_profile("soak", max_examples=1000, deadline=None, print_blob=True)
    settings.load_profile("soak" if SOAK else "short")
