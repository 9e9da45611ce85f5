"""The disk tier: sealed files under one folder, written by one background thread, oldest deleted first.

Knows file names and bytes, not what is in them. Writing is atomic (temporary name, then rename), so a kill leaves a
whole file or none. A full disk is no error of a turn: the write is skipped, counted and logged once.
"""

import logging
import os
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)
_BACKLOG_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, eq=False)
class _PendingWrite:
    """A file to be written."""

    make: Callable[[], bytes]
    n_bytes: int


class DiskTier:
    """Files by name within a byte budget. Thread-safe.

    Deleted first are the spare ones, then the least recently used, and those that are to be kept last.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder, self._budget = folder, budget_bytes
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._used = 0
        self._spare: OrderedDict[str, None] = OrderedDict()
        self._kept: set[str] = set()
        self._pending: dict[str, _PendingWrite] = {}
        self._pending_bytes = 0
        self._inbox: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self.n_skipped = 0
        self.n_evicted = 0
        self._complained = False
        self._scan()
        self._thread = threading.Thread(target=self._write_loop, name="kv-disk", daemon=True)
        self._thread.start()

    def write(self, name: str, make: Callable[[], bytes], n_bytes: int) -> None:
        """Write what `make` returns (about `n_bytes`), made on the background thread; skipped when too much waits."""
        waiting = _PendingWrite(make, n_bytes)
        with self._lock:
            if self._pending_bytes + n_bytes > _BACKLOG_BYTES:
                self.n_skipped += 1
                return
            self._drop_waiting(name)
            self._pending[name] = waiting
            self._pending_bytes += n_bytes
        self._inbox.put(name)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, also while it waits to be written; None when there is none."""
        with self._lock:
            waiting = self._pending.get(name)
            if waiting is None and name not in self._sizes:
                return None
            if waiting is None:
                self._sizes.move_to_end(name)
        if waiting is not None:
            return waiting.make()
        try:
            path = self._folder / name
            os.utime(path)
            return path.read_bytes()
        except OSError:
            self.delete(name)
            return None

    def has(self, name: str) -> bool:
        """Whether `read` is likely to succeed."""
        with self._lock:
            return name in self._sizes or name in self._pending

    def evict_first(self, name: str) -> None:
        """Somebody else has these bytes, too: when room is needed this file goes first."""
        self._rank(name, spare=True)

    def evict_last(self, name: str) -> bool:
        """When room is needed this file goes last; whether it is there."""
        return self._rank(name, kept=True)

    def evict_in_order(self, name: str) -> bool:
        """It is a file like any other, spare and kept no longer; whether it is there."""
        return self._rank(name)

    def quarantine(self, name: str) -> None:
        """Put a suspicious file aside, so that it is never read again (the last of them are kept for a look)."""
        target = self._folder / "quarantine" / name.replace("/", "_")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._folder / name, target)
            os.utime(target)
            _delete_oldest(target.parent, self._budget // 16)
        except OSError as error:
            log.warning("could not put %s aside: %s", name, error)
        self.delete(name)

    def delete(self, name: str) -> None:
        """Delete a file, or what waits to become one."""
        with self._lock:
            self._used -= self._sizes.pop(name, 0)
            self._drop_waiting(name)
        _delete(self._folder / name)

    def used_bytes(self) -> int:
        """Bytes of all files."""
        with self._lock:
            return self._used

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything handed over so far is written; whether it was."""
        done = threading.Event()
        self._inbox.put(done)
        return done.wait(timeout_s)

    def close(self) -> None:
        """Write what is waiting and end the thread."""
        self._inbox.put(None)
        self._thread.join(timeout=30)

    # -- the background thread --------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        while (name := self._inbox.get()) is not None:
            if isinstance(name, threading.Event):
                name.set()
            else:
                self._write_waiting(name)

    def _write_waiting(self, name: str) -> None:
        with self._lock:
            waiting = self._pending.get(name)
        if waiting is not None:
            self._write_one(name, waiting)

    def _drop_waiting(self, name: str) -> None:
        waiting = self._pending.pop(name, None)
        self._pending_bytes -= waiting.n_bytes if waiting else 0

    def _write_one(self, name: str, waiting: "_PendingWrite") -> None:
        data = waiting.make()
        path = self._folder / name
        temporary = path.with_name(path.name + ".new")
        try:
            self._make_room(len(data))
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            os.replace(temporary, path)
            written = True
        except OSError as error:
            self._complain(error)
            _delete(temporary)
            written = False
        with self._lock:
            self._complained = self._complained and not written
            if self._pending.get(name) is waiting:
                self._drop_waiting(name)
                if written:
                    self._used += len(data) - self._sizes.get(name, 0)
                    self._sizes[name] = len(data)
                    self._sizes.move_to_end(name)
            elif written and name not in self._pending:
                _delete(path)  # it was forgotten while it was being written

    def _complain(self, error: OSError) -> None:
        self.n_skipped += 1
        if not self._complained:
            log.warning("KV blocks are not kept on disk for now (%s); sessions are read again instead", error)
        self._complained = True

    def _make_room(self, n_bytes: int) -> None:
        while True:
            with self._lock:
                if not self._sizes or self._used + n_bytes <= self._budget:
                    return
                first = self._first_to_go()
                self._used -= self._sizes.pop(first)
                self.n_evicted += 1
            _delete(self._folder / first)

    def _first_to_go(self) -> str:
        spare = (name for name in self._spare if name in self._sizes)
        others = (name for name in self._sizes if name not in self._kept)
        return next(spare, None) or next(others, None) or next(iter(self._sizes))

    def _rank(self, name: str, spare: bool = False, kept: bool = False) -> bool:
        with self._lock:
            self._spare.pop(name, None)
            self._kept.discard(name)
            if spare:
                self._spare[name] = None
            if kept:
                self._kept.add(name)
            return name in self._sizes or name in self._pending

    def _scan(self) -> None:
        """Find what an earlier process left: whole files are kept in order of their last use, half files deleted."""
        found = []
        for path in self._folder.rglob("*") if self._folder.is_dir() else ():
            name = path.relative_to(self._folder).as_posix()
            if not path.is_file() or name.startswith("quarantine/"):
                continue
            if path.suffix == ".new":
                _delete(path)
            else:
                status = path.stat()
                found.append((status.st_mtime, name, status.st_size))
        self._sizes.update((name, size) for _, name, size in sorted(found))
        self._used = sum(self._sizes.values())


def _delete(path: Path) -> None:
    """Delete a file if it can be deleted; one that cannot be is no reason to fail a turn."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.debug("could not delete %s: %s", path, error)


def _delete_oldest(folder: Path, budget_bytes: int) -> None:
    """Delete the oldest files of a folder, all but the newest if need be, until the rest is within a budget."""
    files = sorted((status.st_mtime_ns, status.st_size, path) for path in folder.iterdir() if (status := path.stat()))
    used = sum(size for _, size, _ in files)
    for _, size, path in files[:-1]:
        if used <= budget_bytes:
            return
        _delete(path)
        used -= size
