"""The card and its toolkit: what nvidia-smi says, where nvcc is, and one folder with everything that CMake looks for.

nvcc may come without cuBLAS (PyPI's packages put each into a folder of its own, some without the links that a linker
wants): then a folder of links to all that was found is made.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_QUERY = ("name", "driver_version", "compute_cap", "memory.total")
_HEADERS = ("cuda_runtime.h", "cublas_v2.h")
_LIBRARIES = ("libcudart.so", "libcublas.so")
_INNER = ("", "targets/x86_64-linux/")
_NVIDIA = ("nvidia/cu13", "nvidia/cu12", "nvidia/cublas", "nvidia/cuda_runtime", "nvidia/cuda_nvcc", "nvidia/cuda_cccl")


class ToolkitError(Exception):
    """There is no card or no toolkit; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """One NVIDIA card. `architecture` as CMake wants it: 90 for compute capability 9.0."""

    name: str
    driver: str
    architecture: str
    total_mib: int


def card() -> CardFacts:
    """The first card. Raises ToolkitError."""
    rows = _ask_smi(_QUERY)
    if not rows:
        raise ToolkitError("nvidia-smi names no NVIDIA card here: `--backend cpu` runs the same steps on the CPU")
    return read_card(rows[0])


def read_card(row: Sequence[str]) -> CardFacts:
    """A row of nvidia-smi. Raises ToolkitError."""
    name, driver, capability, total = row
    if not re.fullmatch(r"\d+\.\d", capability):
        raise ToolkitError(f"nvidia-smi gives {capability!r} as compute capability where 9.0 or such was expected")
    return CardFacts(name, driver, capability.replace(".", ""), int(float(total)))


def used_mib() -> int | None:
    """Memory in use on the first card; None without one."""
    rows = _ask_smi(("memory.used",))
    return int(float(rows[0][0])) if rows else None


def _ask_smi(fields: Sequence[str]) -> list[list[str]]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
    return [row for row in rows if len(row) == len(fields)] if done.returncode == 0 else []


def find_nvcc() -> Path:
    """The compiler: on the PATH, in CUDA_HOME, in /usr/local/cuda*, or in PyPI's package. Raises ToolkitError."""
    places = [shutil.which("nvcc") or "", *(root / "bin" / "nvcc" for root in _known_roots())]
    for place in map(Path, places):
        if place.is_file() and (real := _real_nvcc(place)):
            return real
    raise ToolkitError("no nvcc was found (PATH, CUDA_HOME, /usr/local/cuda*, PyPI's nvidia-cuda-nvcc): install one")


def _known_roots() -> list[Path]:
    """Where toolkits may lie, whole or in part."""
    named = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    return [*map(Path, (*named, *sorted(glob.glob("/usr/local/cuda*"), reverse=True))), *_python_roots()]


def _real_nvcc(place: Path) -> Path | None:
    """Behind links, and behind a script that only calls the compiler: its toolkit lies beside the real one."""
    real = place.resolve()
    if real.read_bytes()[:2] == b"#!":
        found = re.search(r"(/\S+/bin/nvcc)\b", real.read_text(errors="replace"))
        return Path(found[1]).resolve() if found and Path(found[1]).is_file() else None
    return real


def _python_roots() -> list[Path]:
    """Folders of NVIDIA's packages beside the Python that is running, and beside the one on the PATH."""
    homes = [Path(entry) for entry in sys.path if entry.endswith("-packages")]
    for name in ("python3", "python"):
        for prefix in {Path(shutil.which(name) or "/nowhere/bin/x").parent.parent}:
            homes += [Path(found) for found in glob.glob(f"{prefix}/lib/python3*/*-packages")]
    return [home / inner for home in dict.fromkeys(homes) for inner in _NVIDIA if (home / inner).is_dir()]


def toolkit_root(nvcc: Path, links: Path) -> Path:
    """A root with headers and libraries: that of nvcc where it is whole, else `links`, which is made. Raises
    ToolkitError that names what is nowhere."""
    own = nvcc.parent.parent
    if not lacking([own], versions=False):
        return own
    roots = [own, *_known_roots()]
    if nowhere := lacking(roots):
        raise ToolkitError(f"{', '.join(nowhere)} lie neither beside {nvcc} nor in NVIDIA's packages: install cuBLAS")
    return link_together(roots, nvcc, links)


def lacking(roots: Iterable[Path], versions: bool = True) -> list[str]:
    """What CMake would look for in vain below these roots; `versions`: libcublas.so.13 counts as libcublas.so."""
    roots, ends = list(roots), ("", ".[0-9]*") if versions else ("",)
    headers = [name for name in _HEADERS if not any((folder / name).is_file() for folder in _folders(roots, "include"))]
    folders = _libraries(roots)
    libraries = [
        name for name in _LIBRARIES if not any([*folder.glob(name + end)] for folder in folders for end in ends)
    ]
    return headers + libraries


def link_together(roots: Sequence[Path], nvcc: Path, links: Path) -> Path:
    """A toolkit made of links, and of a copy of nvcc, which looks for everything else around itself."""
    shutil.rmtree(links, ignore_errors=True)
    target = links / "targets" / "x86_64-linux"
    for folder in (links / "bin", target / "include", target / "lib"):
        folder.mkdir(parents=True)
    for name in ("nvcc", "nvcc.profile"):
        shutil.copy2(nvcc.with_name(name), links / "bin" / name)
    _link(nvcc.parent.iterdir(), links / "bin")
    for folder in _folders(roots, "include"):
        _link(folder.iterdir(), target / "include")
    for folder in _libraries(roots):
        _link(folder.glob("lib*"), target / "lib")
    _link_bare(target / "lib")
    for source, name in ((target / "include", "include"), (target / "lib", "lib64"), (target / "lib", "lib")):
        (links / name).symlink_to(source.relative_to(links))
    _link([root / "nvvm" for root in roots if (root / "nvvm").is_dir()], links)
    return links


def _link_bare(folder: Path) -> None:
    """A library that has only a version in its name gets a link without it: a linker wants that."""
    for versioned in sorted(folder.glob("lib*.so.*")):
        bare = versioned.with_name(versioned.name.partition(".so.")[0] + ".so")
        if not bare.exists():
            bare.symlink_to(versioned.name)


def _link(sources: Iterable[Path], folder: Path) -> None:
    for source in sources:
        if not (folder / source.name).exists():
            (folder / source.name).symlink_to(source.resolve())


def _folders(roots: Iterable[Path], name: str) -> list[Path]:
    found = (root / f"{inner}{name}" for root in roots for inner in _INNER)
    return [folder for folder in found if folder.is_dir()]


def _libraries(roots: Iterable[Path]) -> list[Path]:
    roots = list(roots)
    return [folder for name in ("lib64", "lib", "lib64/stubs", "lib/stubs") for folder in _folders(roots, name)]
