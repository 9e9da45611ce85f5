"""The disk tier: files under one folder within a byte budget, evicted LRU, written by one background thread.

Writes are atomic (temporary name, then rename), so a kill leaves a complete file or none. A full disk never fails a
turn: the write is skipped, counted and logged once. What it refuses to know: what is in a file, and the RAM tier.
"""

import errno
import logging
import os
import queue
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)
_MAX_PENDING_BYTES = 256 << 20


def kept_free(n_bytes: int) -> int:
    """What blocks leave free of a disk of `n_bytes`: the database, its backups and Redis are on it, too."""
    return min(1 << 30, n_bytes // 20)


@dataclass(frozen=True, slots=True, eq=False)
class _PendingWrite:
    """A file that is waiting to be written; `make_bytes` runs on the background thread."""

    make_bytes: Callable[[], bytes]
    n_bytes: int


class DiskTier:
    """Files by name within a byte budget, which may change: `budget_bytes`. Thread-safe.

    Evicts, too, while less of the disk is free than `keep_free` of its size.
    Order of eviction: files marked `evict_first`, then the others, then files marked `evict_last`; least recently used
    first within each group.
    """

    def __init__(self, folder: Path, budget_bytes: int, keep_free: Callable[[int], int] = kept_free) -> None:
        self._folder, self.budget_bytes, self._keep_free = folder, budget_bytes, keep_free
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._used = 0
        self._evict_first: OrderedDict[str, None] = OrderedDict()
        self._evict_last: set[str] = set()
        self._pending: dict[str, _PendingWrite] = {}
        self._pending_bytes = 0
        self._inbox: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self.n_skipped = 0
        self.n_evicted = 0
        self._logged_failure = False
        self._scan()
        self._thread = threading.Thread(target=self._write_loop, name="kv-disk", daemon=True)
        self._thread.start()

    def write(self, name: str, make_bytes: Callable[[], bytes], n_bytes: int) -> None:
        """Queue a write of about `n_bytes`; skipped when too many bytes are pending. `make_bytes` runs on the
        background thread."""
        pending = _PendingWrite(make_bytes, n_bytes)
        with self._lock:
            if self._pending_bytes + n_bytes > _MAX_PENDING_BYTES:
                self.n_skipped += 1
                return
            self._drop_pending(name)
            self._pending[name] = pending
            self._pending_bytes += n_bytes
        self._inbox.put(name)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, also while its write is pending; None when there is no such file."""
        with self._lock:
            pending = self._pending.get(name)
            if pending is None and name not in self._sizes:
                return None
            if pending is None:
                self._sizes.move_to_end(name)
        if pending is not None:
            return pending.make_bytes()
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

    def names(self, beginning: str) -> tuple[str, ...]:
        """The files whose names begin so, pending ones included."""
        with self._lock:
            return tuple(name for name in {**self._sizes, **self._pending} if name.startswith(beginning))

    def evict_first(self, name: str) -> None:
        """Mark a file that RAM holds as well: it is evicted before all others."""
        self._mark(name, first=True)

    def evict_last(self, name: str) -> bool:
        """Mark a file that is evicted after all others. False: there is no such file."""
        return self._mark(name, last=True)

    def evict_in_order(self, name: str) -> bool:
        """Remove either mark from a file. False: there is no such file."""
        return self._mark(name)

    def quarantine(self, name: str) -> None:
        """Move a suspicious file to the folder `quarantine`, which keeps the newest ones for inspection."""
        target = self._folder / "quarantine" / name.replace("/", "_")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._folder / name, target)
            os.utime(target)
            _delete_oldest(target.parent, self.budget_bytes // 16)
        except OSError as error:
            log.warning("could not put %s aside: %s", name, error)
        self.delete(name)

    def delete(self, name: str) -> None:
        """Delete a file, or drop its pending write."""
        with self._lock:
            self._used -= self._sizes.pop(name, 0)
            self._evict_first.pop(name, None)
            self._drop_pending(name)
        _delete(self._folder / name)

    def used_bytes(self) -> int:
        """Bytes of all files."""
        with self._lock:
            return self._used

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all pending writes are done. False: they were not within `timeout_s` seconds."""
        done = threading.Event()
        self._inbox.put(done)
        return done.wait(timeout_s)

    def close(self) -> None:
        """Finish the pending writes (within 30 seconds) and end the thread."""
        self._inbox.put(None)
        self._thread.join(timeout=30)

    # -- the background thread --------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        while (name := self._inbox.get()) is not None:
            if isinstance(name, threading.Event):
                name.set()
            else:
                self._write_pending(name)

    def _write_pending(self, name: str) -> None:
        with self._lock:
            pending = self._pending.get(name)
        if pending is not None:
            self._write_one(name, pending)

    def _drop_pending(self, name: str) -> None:
        pending = self._pending.pop(name, None)
        self._pending_bytes -= pending.n_bytes if pending else 0

    def _write_one(self, name: str, pending: "_PendingWrite") -> None:
        data = pending.make_bytes()
        path = self._folder / name
        temporary = path.with_name(path.name + ".new")
        try:
            self._make_room(len(data))
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            os.replace(temporary, path)
            written = True
        except OSError as error:
            self._count_failure(error)
            _delete(temporary)
            written = False
        with self._lock:
            self._logged_failure = self._logged_failure and not written
            if self._pending.get(name) is pending:
                self._drop_pending(name)
                if written:
                    self._used += len(data) - self._sizes.get(name, 0)
                    self._sizes[name] = len(data)
                    self._sizes.move_to_end(name)
            elif written and name not in self._pending:
                _delete(path)  # deleted while it was being written

    def _count_failure(self, error: OSError) -> None:
        self.n_skipped += 1
        if not self._logged_failure:
            log.warning("KV blocks are not kept on disk for now (%s); sessions are read again instead", error)
        self._logged_failure = True

    def _make_room(self, n_bytes: int) -> None:
        """Evict until a file fits. Raises OSError while the disk is nearly full of other files."""
        while True:
            has_space = self._has_space(n_bytes)
            with self._lock:
                if has_space and (not self._sizes or self._used + n_bytes <= self.budget_bytes):
                    return
                if not self._sizes:
                    raise OSError(errno.ENOSPC, "the rest of the disk is kept free")
                name = self._next_to_evict()
                self._used -= self._sizes.pop(name)
                self._evict_first.pop(name, None)
                self.n_evicted += 1
            _delete(self._folder / name)

    def _has_space(self, n_bytes: int) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True)
        disk = shutil.disk_usage(self._folder)
        return disk.free >= self._keep_free(disk.total) + n_bytes

    def _next_to_evict(self) -> str:
        first = (name for name in self._evict_first if name in self._sizes)
        others = (name for name in self._sizes if name not in self._evict_last)
        return next(first, None) or next(others, None) or next(iter(self._sizes))

    def _mark(self, name: str, first: bool = False, last: bool = False) -> bool:
        with self._lock:
            self._evict_first.pop(name, None)
            self._evict_last.discard(name)
            is_there = name in self._sizes or name in self._pending
            if first and is_there:
                self._evict_first[name] = None
            if last:
                self._evict_last.add(name)
            return is_there

    def _scan(self) -> None:
        """Index the files of an earlier process in the order of their last use; delete incomplete ones."""
        files = []
        for path in self._folder.rglob("*") if self._folder.is_dir() else ():
            name = path.relative_to(self._folder).as_posix()
            if not path.is_file() or name.startswith("quarantine/"):
                continue
            if path.suffix == ".new":
                _delete(path)
            else:
                status = path.stat()
                files.append((status.st_mtime, name, status.st_size))
        self._sizes.update((name, size) for _, name, size in sorted(files))
        self._used = sum(self._sizes.values())


def _delete(path: Path) -> None:
    """Delete a file; a failure is only logged, it must not fail a turn."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.debug("could not delete %s: %s", path, error)


def _delete_oldest(folder: Path, budget_bytes: int) -> None:
    """Delete the oldest files of a folder until the rest is within the budget; the newest one always stays."""
    files = sorted((status.st_mtime_ns, status.st_size, path) for path in folder.iterdir() if (status := path.stat()))
    used = sum(size for _, size, _ in files)
    for _, size, path in files[:-1]:
        if used <= budget_bytes:
            return
        _delete(path)
        used -= size
