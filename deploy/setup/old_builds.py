"""Old builds (cache eviction): removes what earlier versions of llama.cpp have left in the user's cache folder.

What it does: after a successful build, of each backend and architecture the wheel that was used last stays, and of the
one that was just built the wheel before it as well: who goes back a version compiles nothing. Of builds that were
broken off the newest stays, it may go on; one at which another process works is left alone.
What it refuses to know: how wheels are named (deploy/setup/llama_wheel.py) and folders locked (build_folder.py).
"""

import contextlib
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from deploy.setup.build_folder import locked_alone
from deploy.setup.llama_wheel import WantedBuild, wheel_folder
from deploy.setup.venv import cache_folder, say

_VERSION = re.compile(r"^llama-cpp-python-[^-]+-")


def mark_as_used(build: WantedBuild) -> None:
    """The wheel of this build is in use now."""
    with contextlib.suppress(OSError):
        os.utime(wheel_folder(build))


def remove_old_builds(build: WantedBuild) -> None:
    """Remove what is not kept, and say what it took. What cannot be removed stays."""
    removed = [(path.name, _remove(path)) for path in (*_old_wheels(build), *_left_over())]
    n_bytes = sum(size for _, size in removed)
    if removed:
        names = ", ".join(name for name, _ in removed)
        say(
            f"Removed {len(removed)} old builds of llama.cpp from {cache_folder()}, {_size_in_words(n_bytes)}: {names}."
        )


def _old_wheels(build: WantedBuild) -> Iterator[Path]:
    """The folders of wheels that are neither in use nor the last one of their kind."""
    in_use, kinds = wheel_folder(build), defaultdict[str, list[Path]](list)
    for path in _newest_first(in_use.parent):
        if path != in_use:
            kinds[_VERSION.sub("", path.name)].append(path)
    for same in kinds.values():
        yield from same[1:]


def _left_over() -> Iterator[Path]:
    """The folders of builds that were broken off, but for the newest."""
    for path in _newest_first(cache_folder() / "building")[1:]:
        with locked_alone(path) as is_ours:
            if is_ours:
                yield path


def _newest_first(folder: Path) -> list[Path]:
    folders = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted(folders, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _remove(folder: Path) -> int:
    n_bytes = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
    shutil.rmtree(folder, ignore_errors=True)
    return n_bytes


def _size_in_words(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
