"""The build: llama.cpp and llama-batched-bench for one card, or for the CPU, with all cores.

One build serves both: the Python package loads its libraries (LLAMA_CPP_LIB_PATH), and llama-batched-bench is linked
with them. Left out for time: kernels for KV types that the engine does not use, NCCL, the compression of kernels.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.gpu import session
from bench.gpu.packages import Work
from bench.gpu.toolkit import CardFacts, find_nvcc, toolkit_root

BATCHED = "llama-batched-bench"
TARGETS = ("llama", BATCHED)
EVERY_S = 10.0
_STEP = re.compile(r"^\[(\d+)/(\d+)\]")
_COMMON = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "ON",
    "LLAMA_BUILD_COMMON": "ON",
    "LLAMA_OPENSSL": "OFF",
    "GGML_CCACHE": "OFF",
    "GGML_NATIVE": "ON",
}
_CUDA = {
    "GGML_CUDA": "ON",
    "GGML_CUDA_FA_QUANTS": "f16-f16;q8_0-q8_0",
    "GGML_CUDA_NCCL": "OFF",
    "GGML_CUDA_NO_VMM": "ON",
    "GGML_CUDA_COMPRESSION_MODE": "none",
}


class BuildError(Exception):
    """The build failed; the message is a sentence with the end of what the compiler said."""


def options(libraries: Path, card: CardFacts | None = None, nvcc: Path | None = None) -> list[str]:
    """CMake's definitions; `card` and `nvcc`: for CUDA, and for this architecture only."""
    chosen = {**_COMMON, "CMAKE_LIBRARY_OUTPUT_DIRECTORY": libraries, "CMAKE_RUNTIME_OUTPUT_DIRECTORY": libraries}
    if card and nvcc:
        root = nvcc.parent.parent
        rpath = f"{root}/lib64;{root}/lib"  # nvcc's own folders are left out of it, and no loader knows them
        places = {"CMAKE_CUDA_COMPILER": nvcc, "CUDAToolkit_ROOT": root, "CMAKE_BUILD_RPATH": rpath}
        chosen |= {**_CUDA, "CMAKE_CUDA_ARCHITECTURES": f"{card.architecture}-real", **places}
    return [f"-D{name}={value}" for name, value in chosen.items()]


def libraries(work: Work, backend: str) -> Path:
    """Where the build of a backend lies."""
    return work.folder / f"build-{backend}" / "bin"


def is_built(folder: Path) -> bool:
    """Whether the libraries and llama-batched-bench are there."""
    return (folder / "libllama.so").exists() and (folder / BATCHED).exists()


def build(work: Work, backend: str, card: CardFacts | None, limit_s: float, say: Callable[[str], None]) -> Path:
    """Configure and compile within the limit; the folder of the libraries. Raises BuildError, ToolkitError."""
    folder, where = libraries(work, backend).parent, libraries(work, backend)
    began = time.monotonic()
    nvcc = toolkit_root(find_nvcc(), work.folder / "toolkit") / "bin" / "nvcc" if card else None
    ninja = [f"-DCMAKE_MAKE_PROGRAM={work.tool('ninja')}", "-G", "Ninja"]
    cmake = [str(work.tool("cmake")), "-S", str(work.source), "-B", str(folder), *ninja, *options(where, card, nvcc)]
    _run(cmake, work, "cmake", limit_s, lambda line: None)
    compiled = [str(work.tool("ninja")), "-C", str(folder), "-j", str(n_jobs()), *TARGETS]
    _run(compiled, work, "the compiler", limit_s - (time.monotonic() - began), Progress(say))
    return where


def n_jobs() -> int:
    """All cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Progress:
    """Says now and then how far ninja is."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock, self._next = say, clock, 0.0

    def __call__(self, line: str) -> None:
        """Hear a line of ninja."""
        found, now = _STEP.match(line), self._clock()
        if found and (now >= self._next or found[1] == found[2]):
            self._say(f"compiled {found[1]} of {found[2]}")
            self._next = now + EVERY_S


def _run(command: Sequence[str], work: Work, who: str, limit_s: float, hear: Callable[[str], None]) -> None:
    lines: list[str] = []

    def both(line: str) -> None:
        lines.append(line)
        hear(line)

    environ = {**os.environ, "PATH": f"{work.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    ended = session.run(command, work.folder, environ, max(1.0, limit_s), both)
    with (work.folder / "build.log").open("a", encoding="utf-8") as log:
        log.write("\n".join(["$ " + " ".join(command), *lines, ""]))
    if ended.timed_out:
        raise BuildError(f"{who} was stopped after {ended.seconds:.0f} s, at: {ended.said}")
    if ended.status:
        raise BuildError(f"{who} failed: {_complaint(lines)}")


def _complaint(lines: Sequence[str]) -> str:
    """The first line that names an error, else the last ones."""
    errors = [line for line in lines if re.search(r"(?i)\berror\b", line)]
    return " ".join(errors[:2] or lines[-3:])[:600]


def find_compiler() -> str | None:
    """The C++ compiler that CMake would take."""
    names = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    return next((found for name in names if name and (found := shutil.which(name))), None)
