"""Service: the loop of the downloader: takes the next work of the shelf, one at a time, and waits where there is none.

What it does: holds the lock of the models folder; what met a passing trouble waits for a growing while, and the next
file gets its turn meanwhile; a sign of life is written into a file, for the health check.
What it refuses to know: what is done about a row (jobs.py).
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from store.db import Database, DatabaseTrouble
from store.shelf import transfers
from store.shelf.reading import get_file
from store.shelf.views import ModelFileView
from web.downloader.jobs import WORKING, Jobs
from web.downloader.part_file import disk_trouble, make_readable
from web.downloader.troubles import Final, Passing, Trouble

log = logging.getLogger(__name__)
POLL_S = 1.0
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 300.0
SWEEP_S = 3600.0
LOCK = ".downloader.lock"
INTERNAL = "fetch.internal"


class Locked(Exception):
    """Another downloader is at work in this models folder."""


@contextmanager
def lock_of(models: Path) -> Iterator[None]:
    """Hold the lock of a models folder. Raises Locked, Final where the folder cannot be written."""
    try:
        models.mkdir(parents=True, exist_ok=True)
        file = _open_lock(models / LOCK)
    except OSError as error:
        raise disk_trouble(error, models, 0) from None
    try:
        _lock(file, models)
        yield
    finally:
        os.close(file)


def _lock(file: int, models: Path) -> None:
    """Raises Locked, and Final where this file system knows no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Locked from None
    except OSError as error:
        raise disk_trouble(error, models, 0) from None


def _open_lock(path: Path) -> int:
    """One that another user has made (containers, `make run`) can be locked without writing. Raises OSError."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    make_readable(file)
    return file


@dataclass
class Service:
    """Does all work that there is. `clock` in seconds; `sleep` waits."""

    db: Database
    jobs: Jobs
    beat: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _waits: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of each file that met a passing trouble: when it is tried again, and how long it waited."""
    _sweep_at: float = 0.0

    def run(self, only: str = "") -> None:
        """Work until this process is stopped; `only`: until the file of this id wants nothing more."""
        while True:
            self.beat()
            self._sweep()
            try:
                file = self.next_work(only)
                if file is not None:
                    self.work(file)
                elif only and self._is_ended(only):
                    return
                else:
                    self.sleep(POLL_S)
            except DatabaseTrouble:
                log.warning("The database is busy or away, trying again.")
                self.sleep(FIRST_WAIT_S)

    def next_work(self, only: str = "") -> ModelFileView | None:
        """The first row with something to do now."""
        for file in transfers.work_to_do(self.db):
            waits_until, _ = self._waits.get(file.id, (0.0, 0.0))
            is_waiting = file.reason and file.wanted in WORKING and self.clock() < waits_until
            if not is_waiting and (not only or file.id == only):
                return file
        return None

    def work(self, file: ModelFileView) -> None:
        """Do what is wanted of a file."""
        try:
            trouble = self.jobs.do(file)
        except DatabaseTrouble:
            raise
        except Exception:
            log.exception("Work on %s failed.", file.name)
            trouble = Final(INTERNAL)
            transfers.record_state(self.db, file.id, "failed", trouble.failure)
        self._wait(file, trouble)

    def _wait(self, file: ModelFileView, trouble: Trouble | None) -> None:
        if not isinstance(trouble, Passing):
            self._waits.pop(file.id, None)
            return
        _, before = self._waits.get(file.id, (0.0, 0.0))
        longer = min(LONGEST_WAIT_S, 2 * before or FIRST_WAIT_S)
        wait_s = max(trouble.after_s, longer if file.reason else FIRST_WAIT_S)
        log.info("%s waits %.0f s: %s", file.name, wait_s, trouble.failure.reason)
        self._waits[file.id] = (self.clock() + wait_s, min(wait_s, LONGEST_WAIT_S))

    def _sweep(self) -> None:
        if self.clock() >= self._sweep_at:
            self._sweep_at = self.clock() + SWEEP_S
            try:
                self.jobs.sweep_headers()
            except (OSError, DatabaseTrouble) as error:
                log.warning("Old headers stay for now: %s", error)

    def _is_ended(self, file_id: str) -> bool:
        file = get_file(self.db, file_id)
        return (
            file.state in transfers.ENDED
            or file.wanted not in WORKING
            or (file.wanted, file.state) == ("look", "looked")
        )
