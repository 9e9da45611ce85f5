"""Room on the disk of the models: what is free, what models and stories take, what is still to be fetched.

What it does: adds up rows of the shelf; the page of models and the command line show the same.
What it refuses to know: disks (beat.py, the worker's plans).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from store.shelf.views import ModelFileView

KEPT_FREE = 256 << 20
"""Bytes that stay free on the disk of the models."""
UNITS = ("B", "kB", "MB", "GB", "TB")
_TO_COME = ("asked", "waiting", "fetching", "checking")


@dataclass(frozen=True)
class ModelRoom:
    """In bytes. `free`: None where nobody can tell; `models`: those that are here; `stories`: the KV blocks of all
    workers, which may lie on another disk; `to_come`: what is still to be fetched of what was asked for."""

    free: int | None
    models: int
    stories: int
    to_come: int

    @property
    def is_enough(self) -> bool:
        """Whether everything that was asked for fits; where nobody can tell it does."""
        return not self.to_come or self.fits(self.to_come)

    def fits(self, n_bytes: int) -> bool:
        """Whether so many more bytes fit beside what stays free."""
        return self.free is None or n_bytes + KEPT_FREE <= self.free


def room_of(files: Iterable[ModelFileView], free: int | None, weighed: Mapping[str, int] | None = None) -> ModelRoom:
    """The room that these rows take. `weighed`: bytes of all blocks of the workers that are there, by name; of others
    their plans tell those of the models on the shelf."""
    files = tuple(files)
    stories = dict[str, int]()
    for file in files:
        for worker, plan in file.plans.items():
            stories[worker] = stories.get(worker, 0) + int(plan.plan.get("block_bytes", 0))
    return ModelRoom(
        free,
        sum(file.size for file in files if file.state == "installed"),
        sum({**stories, **(weighed or {})}.values()),
        sum(left_of(file) for file in files if file.wanted == "get" and file.state in _TO_COME),
    )


def size_text(n_bytes: float) -> str:
    """A size in decimal units, the same in every language: 0 B, 640 MB, 5.6 GB."""
    for unit in UNITS:
        if n_bytes < 999.5 or unit == UNITS[-1]:
            break
        n_bytes /= 1000
    return f"{n_bytes:.1f} {unit}" if n_bytes < 9.95 and unit != "B" else f"{n_bytes:.0f} {unit}"


def left_of(file: ModelFileView) -> int:
    """How many bytes of a file are still to be fetched."""
    return max(0, file.size - file.done)
