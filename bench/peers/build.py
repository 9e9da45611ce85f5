"""llama-server and llama-batched-bench, built from the llama.cpp inside the sdist of llama-cpp-python.

It is the version that the engine is pinned to, so everybody decodes with the same code. Takes about ten minutes on two
cores, once; the programs stay in build/peers/. cmake comes from the system, or from PyPI when there is none.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.setup.build_folder import unpack

FOLDER = Path(__file__).parent.parent.parent / "build" / "peers"
PROGRAMS = ("llama-server", "llama-batched-bench")
OPTIONS = (
    *("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF"),
    *("-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_TOOLS=ON", "-DLLAMA_BUILD_SERVER=ON"),
    "-DLLAMA_BUILD_UI=OFF",
)


def programs() -> Path:
    """The folder that holds the programs, built if they are not there yet."""
    where = FOLDER / "bin"
    if all((where / name).is_file() for name in PROGRAMS):
        return where
    FOLDER.mkdir(parents=True, exist_ok=True)
    source, build = _source() / "vendor" / "llama.cpp", FOLDER / "cmake"
    print("building", *PROGRAMS, "in", build)
    cmake = _cmake()
    _run(cmake, "-S", str(source), "-B", str(build), *OPTIONS)
    _run(cmake, "--build", str(build), "-j", str(os.cpu_count()), "--target", *PROGRAMS)
    where.mkdir(exist_ok=True)
    for name in PROGRAMS:
        shutil.copy2(build / "bin" / name, where / name)
    return where


def servers_extra() -> None:
    """What llama-cpp-python's own server needs besides the engine (FastAPI and such), installed if it is missing."""
    try:
        importlib.metadata.version("sse-starlette")
    except importlib.metadata.PackageNotFoundError:
        _run(sys.executable, "-m", "pip", "install", "-q", f"llama-cpp-python[server]=={_version()}")


def _source() -> Path:
    """The unpacked sdist."""
    name = f"llama_cpp_python-{_version()}"
    if not (FOLDER / name).is_dir():
        _run(
            *(
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--no-binary",
                "llama-cpp-python",
                "-d",
                str(FOLDER),
            ),
            f"llama-cpp-python=={_version()}",
        )
        unpack(FOLDER / f"{name}.tar.gz", FOLDER)
    return FOLDER / name


def _cmake() -> str:
    if found := shutil.which("cmake"):
        return found
    _run(sys.executable, "-m", "pip", "install", "-q", "cmake")
    return str(Path(sys.executable).parent / "cmake")


def _version() -> str:
    return importlib.metadata.version("llama-cpp-python")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
