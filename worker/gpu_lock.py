"""The lock on a GPU: an flock on {data_dir}/locks/{worker_name}.lock says which process has a worker's name.

The kernel releases an flock when its holder dies, however it dies. So holding the lock proves that the predecessor is
dead, and its unfinished turns can be requeued at once, without waiting for their leases. (A frozen process still holds
it: that is what leases are for.) The file says which process on which host has it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)
NAMES = tuple(f"gpu{number}" for number in range(64))


class DataFolderError(ValueError):
    """The data folder cannot be used; the message says why."""


class WorkerLock:
    """The flock of one worker name."""

    def __init__(self, data_dir: str | Path, worker_name: str) -> None:
        self.name = worker_name
        self.path = Path(data_dir) / "locks" / f"{worker_name}.lock"
        self._file: IO[str] | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None

    def acquire(self, stop: threading.Event, poll_s: float = 0.2) -> bool:
        """Take the lock, waiting while another process has it; False when `stop` was set first.

        Raises DataFolderError.
        """
        waiting = False
        while not self.try_acquire():
            if not waiting:
                log.warning("waiting for %s: process %s still holds it", self.path, self._holder() or "?")
            waiting = True
            if stop.wait(poll_s):
                return False
        return True

    def try_acquire(self) -> bool:
        """Take the lock if it is free. Raises DataFolderError."""
        file = self._open()
        if not _try_lock(file):
            file.close()
            return False
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        self._file = file
        return True

    def _holder(self) -> str:
        with self._open() as file:
            file.seek(0)
            return file.read(200).strip()

    def _open(self) -> IO[str]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self.path.open("a+", encoding="utf-8")
        except OSError as error:
            raise DataFolderError(
                f"{self.path} cannot be written ({error.strerror}): set INGLENOOK_DATA_DIR to a folder of this user"
            ) from error

    def release(self) -> None:
        """Release the lock (the end of the process does it, too)."""
        if self._file is not None:
            self._file.close()
            self._file = None


def first_free(data_dir: str | Path) -> WorkerLock:
    """The lock of the first of gpu0, gpu1, ... that no process holds, taken.

    So a worker that is started again gets the name, the pins and the KV blocks of the one before it. Raises
    DataFolderError, also when all are taken.
    """
    for name in NAMES:
        lock = WorkerLock(data_dir, name)
        if lock.try_acquire():
            return lock
    raise DataFolderError(f"{NAMES[0]} to {NAMES[-1]} are all taken: give this worker a name (INGLENOOK_WORKER_NAME)")


@contextmanager
def lock_dead_worker(data_dir: str | Path, worker_name: str) -> Iterator[bool]:
    """Hold the lock of another worker if it is free, which proves that this worker is dead.

    False when it lives, is just starting, or has never run on this machine.
    """
    try:
        file = WorkerLock(data_dir, worker_name).path.open("r+", encoding="utf-8")
    except OSError:  # never seen here
        yield False
        return
    with file:
        yield _try_lock(file)


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
