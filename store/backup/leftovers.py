"""Leftovers: what a backup or a restore that was killed has left behind, removed by the next one.

What it does: whoever makes a temporary file or folder holds a lock on it (flock, which ends with the process however it
ends); `sweep` removes those of a name that nobody holds.
What it refuses to know: what is in them.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a file or folder. On a file system without locks nothing is held, and nothing swept."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sweep(folder: Path, name: re.Pattern[str], begins: bytes = b"") -> None:
    """Remove folders of such a name that nobody holds, and files, if they are empty or begin so.

    Raises OSError where the folder cannot be read.
    """
    for path in [path for path in folder.iterdir() if name.fullmatch(path.name) and not path.is_symlink()]:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path, begins)
            finally:
                os.close(descriptor)


def _remove(path: Path, begins: bytes) -> None:
    if path.is_dir():
        shutil.rmtree(path)
        return
    with path.open("rb") as file:
        start = file.read(len(begins))
    if start in (b"", begins):
        path.unlink()
