"""`make bench-gpu-pack`: one folder with everything that a machine with a card and without a network needs.

    python -m bench.gpu.pack build/gpu [--python 3.12] [--sdist FILE]

    run                sh FOLDER/run, with the arguments of `python -m bench.gpu`
    tree/              this repository: rooms, bench, tests
    packages.tar.xz    the wheels for that Python (manylinux, x86-64), unpacked and trimmed; cmake, ninja, redis-server
    llama.tar.xz       the source of llama.cpp, as far as a build for the card or the CPU needs it
No model is packed: the tiny ones and the 7B-shaped one are made there. What is left out: bench/gpu/source.py.
"""

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench.gpu import source
from bench.gpu.packages import MADE_FOR, PACKAGES, SOURCE

ROOT = Path(__file__).resolve().parents[2]
LIMIT_BYTES, PRESET = 60_000_000, 3
EXTRAS = ("engine", "web", "run")
FOR_TESTS = ("gguf", "hypothesis", "pytest", "pytest-timeout")
OWN = (
    "diskcache>=5.6.1",
    "typing-extensions>=4.5",
    "cmake>=3.28",
    "ninja",
)  # llama-cpp-python's needs, and the build's
GLIBC = (28, 27, 26, 24, 17, 12, 5)
_LLAMA_PIN = "llama-cpp-python=="
_EXECUTABLE = ("/bin/cmake", "bin/ninja", "/bin/redis-server")
_TOP = """\
cmake_minimum_required(VERSION 3.21)
project(inglenook_bench C CXX)
add_subdirectory(llama.cpp)
add_subdirectory(llama.cpp/tools/batched-bench)
"""
_RUN = """\
#!/bin/sh
# sh run [--backend cuda|cpu] [--budget SECONDS] [--out FILE] ...: `sh run --help`. Needs Python {version}; no network.
here=$(cd "$(dirname "$0")" && pwd) || exit
for python in ${{PYTHON:+"$PYTHON"}} python{version} python3; do
  command -v "$python" >/dev/null && break
done
cd "$here/tree" && PYTHONUNBUFFERED=1 exec "$python" -m bench.gpu --pack "$here" "$@"
"""
File = tuple[str, bytes, int]
"""Name, contents, mode."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="the version of Python there (3.12)")
    parser.add_argument("--sdist", type=Path, help="llama-cpp-python's sdist, if it is here; else pip fetches it")
    given = parser.parse_args()
    sizes = pack(given.folder.resolve(), given.python, given.sdist)
    for name, n_bytes in sizes.items():
        print(f"{name:<16} {n_bytes / 1e6:6.1f} MB")
    total = sum(sizes.values())
    print(f"{given.folder}: {total / 1e6:.1f} MB of {LIMIT_BYTES / 1e6:.0f}; there: sh {given.folder}/run")
    return 0 if total < LIMIT_BYTES else 1


def pack(folder: Path, version: str, sdist: Path | None = None) -> dict[str, int]:
    """Make the folder anew; bytes of each part."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        wheels = download_wheels(Path(temporary) / "wheels", version)
        sdist = sdist or download_sdist(Path(temporary))
        write_archive(folder / PACKAGES, (*of_wheels(wheels), *python_of_sdist(sdist)))
        write_archive(folder / SOURCE, source_of_sdist(sdist))
    copy_repository(folder / "tree")
    (folder / MADE_FOR).write_text(version + "\n", encoding="ascii")
    (folder / "run").write_text(_RUN.format(version=version), encoding="ascii")
    (folder / "run").chmod(0o755)
    return {path.name: size_of(path) for path in sorted(folder.iterdir())}


def requirements(text: str) -> list[str]:
    """What pip is to fetch, from pyproject.toml's text: all that runs, and what some tests need."""
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for extra in EXTRAS for one in extras[extra])]
    wanted += [one for one in extras["dev"] if one.split("~")[0].split(">")[0] in FOR_TESTS]
    return [one for one in wanted if not one.startswith(_LLAMA_PIN)] + list(OWN)


def llama_pin(text: str) -> str:
    """`llama-cpp-python==VERSION` of pyproject.toml."""
    engine = tomllib.loads(text)["project"]["optional-dependencies"]["engine"]
    return next(one for one in engine if one.startswith(_LLAMA_PIN))


def download_wheels(folder: Path, version: str) -> list[Path]:
    """All wheels, for this Python on Linux, x86-64."""
    tags = [tag for n in GLIBC for tag in ("--platform", f"manylinux_2_{n}_x86_64")]
    old = [tag for name in ("2014", "2010", "1") for tag in ("--platform", f"manylinux{name}_x86_64")]
    python = ["--python-version", version, "--implementation", "cp", "--only-binary=:all:"]
    _pip("-d", str(folder), *python, *tags, *old, *requirements(_pyproject()))
    return sorted(folder.glob("*.whl"))


def download_sdist(folder: Path) -> Path:
    """llama-cpp-python's sdist."""
    _pip("-d", str(folder), "--no-deps", "--no-binary", "llama-cpp-python", llama_pin(_pyproject()))
    return next(folder.glob("llama_cpp_python-*.tar.gz"))


def of_wheels(wheels: list[Path]) -> Iterator[File]:
    """The files of the wheels, as they lie in an installation."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                if name := source.kept_of_wheel(info.filename):
                    yield name, archive.read(info), 0o755 if name.endswith(_EXECUTABLE) else 0o644


def python_of_sdist(sdist: Path) -> Iterator[File]:
    """The Python package llama_cpp, its licence, and who it is."""
    for name, data in _members(sdist, source.kept_python):
        yield name, data, 0o644
    about = f"Metadata-Version: 2.1\nName: llama_cpp_python\nVersion: {llama_pin(_pyproject()).split('==')[1]}\n"
    yield f"{source.SDIST}.dist-info/METADATA", about.encode(), 0o644


def source_of_sdist(sdist: Path) -> Iterator[File]:
    """The source of llama.cpp, below a CMakeLists.txt that asks for what is needed."""
    yield "CMakeLists.txt", _TOP.encode(), 0o644
    for name, data in _members(sdist, source.kept_source):
        yield name, data, 0o644


def _members(sdist: Path, kept: Callable[[str], str | None]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(sdist) as archive:
        for member in archive:
            name = kept(member.name.partition("/")[2])
            if name and member.isfile() and (file := archive.extractfile(member)):
                yield name, file.read()


def write_archive(path: Path, files: Iterable[File]) -> None:
    """A tar.xz of the files, in the order of their names. (A higher preset takes minutes for little.)"""
    with tarfile.open(path, "w:xz", preset=PRESET) as archive:
        for name, data, mode in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            archive.addfile(info, io.BytesIO(data))


def copy_repository(folder: Path) -> None:
    """The tracked files of this repository that are needed there, as they are now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(source.kept_of_repository, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return sum(one.stat().st_size for one in (path.rglob("*") if path.is_dir() else [path]) if one.is_file())


def _pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
