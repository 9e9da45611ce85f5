"""Unpacking on the machine with the card: a virtual environment of its own, filled from the packed archives.

An environment of its own, so that nothing of what that machine has installed is imported; no pip, no network.
"""

import hashlib
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

PACKAGES, SOURCE, MADE_FOR = "packages.tar.xz", "llama.tar.xz", "python.txt"


class PackError(Exception):
    """The folder cannot be used here; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Work:
    """The folder in which everything is unpacked, built and measured."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def site(self) -> Path:
        """Where its packages lie."""
        return self.folder / "venv" / "lib" / f"python{version()}" / "site-packages"

    @property
    def source(self) -> Path:
        """The source of llama.cpp."""
        return self.folder / "source"

    def tool(self, name: str) -> Path:
        """A program of the packages cmake and ninja."""
        return self.site / ("cmake/data/bin/cmake" if name == "cmake" else f"bin/{name}")


def version() -> str:
    """The Python that is running, as 3.12."""
    return "{}.{}".format(*sys.version_info[:2])


def check(pack: Path) -> None:
    """Raises PackError where this folder is not whole, or was packed for another Python."""
    absent = [name for name in (PACKAGES, SOURCE, MADE_FOR) if not (pack / name).is_file()]
    if absent:
        raise PackError(f"{pack} has no {absent[0]}: make the folder with `make bench-gpu-pack`, or name it, --pack")
    made_for = (pack / MADE_FOR).read_text(encoding="ascii").strip()
    if made_for != version():
        raise PackError(
            f"{pack} was packed for Python {made_for}, this is {version()}: run it with python{made_for}, "
            f"or pack again with PYTHON_THERE={version()}"
        )


def unpack(pack: Path, work: Work) -> bool:
    """Fill the folder, unless it holds just this already; whether there was something to do."""
    stamp, wanted = work.folder / "unpacked", fingerprint(pack)
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return False
    work.folder.mkdir(parents=True, exist_ok=True)
    venv = [sys.executable, "-m", "venv", "--without-pip", "--clear", str(work.folder / "venv")]
    subprocess.run(venv, check=True)
    for name, folder in ((PACKAGES, work.site), (SOURCE, work.source)):
        with tarfile.open(pack / name) as archive:
            archive.extractall(folder, filter="tar")
    stamp.write_text(wanted, encoding="ascii")
    return True


def use_libraries(work: Work, libraries: Path) -> None:
    """Let the Python package find this build: of LLAMA_CPP_LIB_PATH it loads libllama, but libggml from its own lib."""
    own = work.site / "llama_cpp" / "lib"
    if own.parent.is_dir():
        own.unlink(missing_ok=True)
        own.symlink_to(libraries)


def fingerprint(pack: Path) -> str:
    """A hash of what is packed."""
    digest = hashlib.sha256(version().encode())
    for name in (PACKAGES, SOURCE):
        digest.update((pack / name).read_bytes())
    return digest.hexdigest()
