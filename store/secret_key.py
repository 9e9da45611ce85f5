"""The secret key in a file: made once, checked at each start, made anew where the file holds none that is safe.

What it does: whoever guesses the key can sign cookies, so a file that is empty, cut off or no text is not used: it is
put aside, a new key is made, and the log says so in one sentence. All that is lost is that everybody signs in again.
What it refuses to know: what the key signs (web), and keys that are given as a setting.
"""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEAST_LENGTH = 16
MOST_BYTES = 4096
log = logging.getLogger(__name__)


def is_safe(key: str) -> bool:
    """Whether a key is long enough, and not the same few letters again and again."""
    return len(key) >= LEAST_LENGTH and len(set(key)) >= LEAST_LENGTH // 2


def read_or_make(path: Path) -> str:
    """The key in the file, which is made on first use (mode 0600), by one of racing processes. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path.parent):
        key = read(path)
        if key is None:
            if path.exists():
                _put_aside(path)
            write(path, key := secrets.token_urlsafe(48))
        return key


def read(path: Path) -> str | None:
    """The key in the file; None where there is no file, or no safe key in it. Raises OSError."""
    try:
        with path.open("rb") as file:
            key = file.read(MOST_BYTES + 1).decode().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return key if is_safe(key) and len(key) <= MOST_BYTES else None


def write(path: Path, key: str) -> None:
    """Write a key durably; the file is either complete or not there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _put_aside(path: Path) -> None:
    aside = path.with_name(f"{path.name}-damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    path.replace(aside)
    log.warning("%s held no key that is safe: it lies in %s now, and a new one was made. Sign in again.", path, aside)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Only one process at a time makes a key."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
