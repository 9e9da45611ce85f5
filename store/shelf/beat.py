"""Heartbeat of the downloader: a file in the data folder, written while it lives, with the room on the models' disk.

What it does: `write_beat` is the downloader's, which sees that disk wherever it runs; web and the command line read it,
in containers they do not. The text is written over the one before, in place and of the same length: that needs no room
on a full disk.
What it refuses to know: what is fetched, and how much of it is still to come (room.py).
"""

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from store.bounded_json import JsonError, JsonLimits, parse
from store.messages import clock

BEAT_FILE, BEAT_WITHIN_S = "downloader.beat", 300.0
"""Its name, and how old it may be. Three hubs that do not answer take two minutes."""
LENGTH = 64
_LIMITS = JsonLimits(max_bytes=LENGTH, max_depth=2, max_values=4)
_MOST = 1 << 60


@dataclass(frozen=True)
class DownloaderBeat:
    """A sign of life. `free`: bytes that are free on the disk of the models; None where it could not be looked at."""

    free: int | None


def write_beat(data_dir: Path, models: Path) -> None:
    """Say that the downloader lives. A disk that takes nothing is no reason to end."""
    with contextlib.suppress(OSError):
        file = os.open(data_dir / BEAT_FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.utime(file)
            os.pwrite(file, json.dumps({"free": free_bytes(models)}).ljust(LENGTH).encode(), 0)
        finally:
            os.close(file)


def read_beat(data_dir: Path, now: float | None = None) -> DownloaderBeat | None:
    """The last sign of life; None where there was none lately. One from the future is none: a clock was set back."""
    file = data_dir / BEAT_FILE
    try:
        age = clock(now) - file.stat().st_mtime
        with file.open("rb") as opened:
            told = opened.read(LENGTH + 1)
    except OSError:
        return None
    return DownloaderBeat(_free_in(told)) if abs(age) < BEAT_WITHIN_S else None


def free_bytes(folder: Path) -> int | None:
    """What is free on the disk of a folder; None where it is not there."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _free_in(told: bytes) -> int | None:
    try:
        note = parse(told, _LIMITS)
    except JsonError:
        return None
    free = note.get("free") if isinstance(note, dict) else None
    return free if isinstance(free, int) and not isinstance(free, bool) and 0 <= free <= _MOST else None
