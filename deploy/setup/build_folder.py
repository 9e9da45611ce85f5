"""The folder in which a llama.cpp is compiled: in the user's cache, so that a build that was broken off goes on later.

It holds the source, what is compiled of it, and for CUDA the compiler. It is removed when the wheel is made, or when
the build has failed; a kill, Ctrl+C or a power cut leaves it. One process at a time compiles the same build.
"""

import fcntl
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.setup.llama_wheel import WantedBuild
from deploy.setup.venv import BrokenOff, SetupError, cache_folder, pinned, pip, say


@contextmanager
def build_folder(build: WantedBuild) -> Iterator[Path]:
    """The folder of this build, for this process alone."""
    folder = cache_folder() / "building" / build.key
    folder.mkdir(parents=True, exist_ok=True)
    with _lock_of(folder).open("w") as lock:
        _wait_for(lock.fileno())
        folder.mkdir(exist_ok=True)
        try:
            yield folder
        except BrokenOff:
            raise
        except SetupError:
            shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


@contextmanager
def locked_alone(folder: Path) -> Iterator[bool]:
    """Hold the lock of a build's folder, unless another process works in it: then False."""
    with _lock_of(folder).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _wait_for(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Another clone compiles the same just now: waiting for it ...")
        fcntl.flock(lock, fcntl.LOCK_EX)


def source_in(folder: Path) -> Path:
    """The source of the pinned llama-cpp-python in this folder, fetched once. Raises SetupError."""
    source = folder / "source"
    if not source.is_dir():
        pip(
            "download",
            "--no-deps",
            "--no-binary",
            "llama-cpp-python",
            "--dest",
            str(folder),
            pinned("llama-cpp-python"),
        )
        unpacked = folder / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        unpack(next(folder.glob("*.tar.gz")), unpacked)
        next(unpacked.iterdir()).rename(source)
    return source


def unpack(file: Path, folder: Path) -> None:
    """Unpack an archive; no member gets outside of the folder where Python can see to that (since 3.11.4)."""
    with tarfile.open(file) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)
