"""Part file: the bytes of a file that is being fetched, in the folder where it will lie, under a hidden name.

What it does: appends, hashes as it goes, survives kill -9 and a power cut, becomes the file at the end (atomic rename)
if the hash is right. A note beside it says what it is to be and how much of it is on the disk for good: after a power
cut only that is trusted, after a kill everything that was written.
What it refuses to know: where the bytes come from (transfer.py).
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store.bounded_json import JsonError, JsonLimits, parse
from store.shelf.room import KEPT_FREE, size_text
from web.downloader.troubles import Final

SYNC_BYTES = 64 << 20
_READ_BYTES = 1 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOTE = JsonLimits(max_bytes=4096, max_depth=2, max_values=16)
Step = Callable[[int], None]
"""Called with a number of bytes, often: it may raise to stop."""


class PartFile:
    """A file `name` of `size` bytes with this hash, being made in `folder`. `offset`: bytes that are here."""

    def __init__(self, folder: Path, name: str, size: int, sha256: str) -> None:
        self.path, self.size, self.sha256 = folder / name, size, sha256
        self._part, self._note = folder / f".{name}.part", folder / f".{name}.part.json"
        self.offset, self._synced = 0, 0
        self._hash = hashlib.sha256()
        self._file: int | None = None

    @property
    def begun(self) -> int:
        """How many bytes of it lie here already."""
        return self._trusted() or 0

    def begin(self, on_step: Step, seed: Path | None = None) -> None:
        """Open it, and hash what is here; a new one begins with the bytes of `seed`. Raises Final, and what `on_step`
        raises."""
        try:
            known = self._trusted()
            if known is None:
                self._write_note(0)
            self._file = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            make_readable(self._file)
            os.ftruncate(self._file, known or 0)
            self._hash_again(known or 0, on_step)
            if not self.offset and seed is not None and seed.is_file():
                self._copy(seed)
        except OSError as error:
            raise self._trouble(error) from None

    def write(self, data: bytes) -> None:
        """Append bytes; what is beyond the size is dropped. Raises Final where the disk is full."""
        assert self._file is not None
        left = memoryview(data)[: self.size - self.offset]
        try:
            while left:
                n = os.pwrite(self._file, left, self.offset)
                self._hash.update(left[:n])
                self.offset += n
                left = left[n:]
            if self.offset - self._synced >= SYNC_BYTES:
                self._sync()
        except OSError as error:
            raise self._trouble(error) from None

    def finish(self) -> bool:
        """Make it the file. False, and nothing is left of it, where the hash is wrong. Raises Final, also where another
        file of this name has been put there meanwhile: what is here is kept then."""
        assert self._file is not None
        assert self.offset == self.size
        if self._hash.hexdigest() != self.sha256:
            self.drop()
            return False
        try:
            os.fsync(self._file)
            self.close()
            if self.path.exists():
                raise Final("fetch.name_there", name=self.path.name)
            self._part.replace(self.path)
            self._note.unlink(missing_ok=True)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise self._trouble(error) from None
        return True

    def close(self) -> None:
        """Keep it for later."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def drop(self) -> None:
        """Delete what is here of it. The file itself, if there is one, stays."""
        self.close()
        self._part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.offset, self._synced, self._hash = 0, 0, hashlib.sha256()

    def check_room(self, n_bytes: int) -> None:
        """Raises Final where the disk has no room for so many more."""
        free = shutil.disk_usage(self.path.parent).free
        if free < n_bytes + KEPT_FREE:
            raise _disk_full(n_bytes, free)

    def _trusted(self) -> int | None:
        """How many bytes of what lies here are right; None where it is to be something else."""
        try:
            note = parse(self._note.read_bytes(), _NOTE)
            length = self._part.stat().st_size
        except (OSError, JsonError):
            return None
        if not isinstance(note, dict) or (note.get("sha256"), note.get("size")) != (self.sha256, self.size):
            return None
        synced = note.get("synced")
        self._synced = synced if isinstance(synced, int) and 0 <= synced <= self.size else 0
        return min(length, self.size if note.get("boot") == _boot() else self._synced)

    def _hash_again(self, length: int, on_step: Step) -> None:
        assert self._file is not None
        while self.offset < length:
            data = os.pread(self._file, min(_READ_BYTES, length - self.offset), self.offset)
            if not data:
                break
            self._hash.update(data)
            self.offset += len(data)
            on_step(self.offset)

    def _copy(self, seed: Path) -> None:
        with seed.open("rb") as file:
            while self.offset < self.size and (data := file.read(_READ_BYTES)):
                self.write(data)

    def _sync(self) -> None:
        assert self._file is not None
        os.fsync(self._file)
        self._synced = self.offset
        self._write_note(self.offset)

    def _write_note(self, synced: int) -> None:
        note: dict[str, Any] = {"sha256": self.sha256, "size": self.size, "synced": synced, "boot": _boot()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._note.with_name(f"{self._note.name}.new")
        draft.write_text(json.dumps(note), encoding="utf-8")
        draft.replace(self._note)

    def _trouble(self, error: OSError) -> Final:
        return disk_trouble(error, self.path.parent, self.size - self.offset)


def disk_trouble(error: OSError, folder: Path, left: int) -> Final:
    """What it means that something cannot be written to a folder, `left` bytes being still to come."""
    if error.errno in _NO_ROOM:
        free = shutil.disk_usage(folder).free
        return _disk_full(left, free)
    return Final("fetch.folder", folder=str(folder), why=error.strerror or str(error.errno))


def _disk_full(left: int, free: int) -> Final:
    return Final("fetch.disk_full", needed=size_text(left + KEPT_FREE), free=size_text(free))


def make_readable(file: int) -> None:
    """Whoever may enter the models folder may read what lies there: no umask of ours, which is for secrets, keeps a
    worker or the owner of the folder out."""
    with contextlib.suppress(OSError):  # of another user, and shared by its group
        os.fchmod(file, 0o644)


def is_whole(path: Path, size: int, sha256: str, on_step: Step) -> bool:
    """Whether a file is the one of this size and hash. Raises OSError, and what `on_step` raises."""
    if path.stat().st_size != size:
        return False
    digest, n = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
            n += len(data)
            on_step(n)
    return digest.hexdigest() == sha256


def _boot() -> str:
    """Another one after each start of the machine; "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
