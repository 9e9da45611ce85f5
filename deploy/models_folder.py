"""Bind mount of the models folder: its group may write from now on, so that the downloader needs no privileges.

What it does: `python -m deploy.models_folder [FOLDER]` runs once at each start of the containers, as root without a
network, and ends. The folder keeps its owner: who has made it goes on putting files into it. What our own programs have
left in it under another user (the lock, parts of files) is handed over, too.
What it refuses to know: settings, rows, and model files that somebody else has put there.
"""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER, OWNER = Path("/models"), 10001
"""The place in the containers, and the user and group of the images (web/Dockerfile)."""
MAX_ENTRIES = 5_000


def hand_over(path: Path, owner: int = OWNER) -> bool:
    """Let this user and group write to a folder or file, by its group; False where they may already. Raises OSError."""
    status = path.lstat()
    if _may_write(status, owner):
        return False
    bits = stat.S_IRWXG | stat.S_ISGID if stat.S_ISDIR(status.st_mode) else stat.S_IRGRP | stat.S_IWGRP
    os.chown(path, -1, owner, follow_symlinks=False)
    path.chmod(stat.S_IMODE(status.st_mode) | bits)
    return True


def ours_in(folder: Path) -> Iterator[Path]:
    """The hidden files that the downloader makes there: no links, and nothing of other programs. Raises OSError."""
    with os.scandir(folder) as entries:
        for _, entry in zip(range(MAX_ENTRIES), entries, strict=False):
            if _is_ours(entry.name) and entry.is_file(follow_symlinks=False):
                yield Path(entry)


def main(arguments: list[str]) -> int:
    """Hand the folder over; 1 where that cannot be done: downloads say so then, everything else goes on."""
    folder = Path(arguments[0]) if arguments else FOLDER
    try:
        if hand_over(folder):
            print(f"inglenook: {folder} can be written by group {OWNER} now", flush=True)
        for path in list(ours_in(folder)):
            hand_over(path)
    except OSError as error:
        print(
            f"inglenook: {folder} cannot be made writable for user {OWNER}: {error.strerror}. Let it write there on "
            "the host, else no model can be fetched.",
            file=sys.stderr,
        )
        return 1
    return 0


def _is_ours(name: str) -> bool:
    return name == ".downloader.lock" or (name.startswith(".") and name.endswith((".part", ".part.json")))


def _may_write(status: os.stat_result, owner: int) -> bool:
    """By the bits of the mode: whether user and group `owner` may write, and enter where it is a folder."""
    mode = status.st_mode
    if status.st_uid != owner:
        mode = mode << 3 if status.st_gid == owner else mode << 6
    wanted = stat.S_IRWXU if stat.S_ISDIR(status.st_mode) else stat.S_IRUSR | stat.S_IWUSR
    return mode & wanted == wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
