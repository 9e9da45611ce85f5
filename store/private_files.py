"""File permissions of an installation: nobody but its own user reads the data folder.

What it does: sets the umask of a process, so that every new file is 0600 and every folder 0700, and takes the rights of
group and others from what an older version has made.
What it refuses to know: what the files are. Each program that writes into the data folder calls `protect` at its start.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

UMASK = 0o077


def protect(data_dir: Path, database: Path | None = None) -> None:
    """Set the umask, and tighten the data folder, what lies in it, and a SQLite file that lies elsewhere.

    What belongs to another user is left alone, and so is a folder that is shared by its nature (`_is_shared`).
    """
    os.umask(UMASK)
    if not _is_shared(data_dir):
        for path in (data_dir, *_entries(data_dir)):
            _tighten(path)
    if database is not None:
        for end in ("", "-wal", "-shm"):
            _tighten(database.with_name(database.name + end))


def _is_shared(folder: Path) -> bool:
    """The root, a home folder, or one where everybody may write, such as /tmp: no data folder of ours alone."""
    resolved = folder.resolve()
    with suppress(OSError):
        return resolved in (Path("/"), Path.home()) or bool(resolved.stat().st_mode & stat.S_ISVTX)
    return True


def _entries(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from folder.iterdir()


def _tighten(path: Path) -> None:
    with suppress(OSError):  # not there, or another user's
        mode = path.lstat().st_mode
        if mode & UMASK and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & ~UMASK)
