"""Byte budgets of one machine: for the model, for the blocks in RAM and for the blocks on disk. Pure.

Each is a share of what is free when a worker starts, between a floor and a ceiling; a setting replaces it. What it
refuses to know: how the free bytes are found (hardware.py, engine/backends/llama_devices.py) and how a model is laid
out in them (memory_plan.py). To add a budget: a function here, its setting in store/settings.py, and its use in
worker/engine_setup.py.
"""

from dataclasses import dataclass

from engine.model.memory_plan import GIB, MIB, MemoryPlan

RAM_SHARE, RAM_FLOOR, RAM_CEILING = 0.5, 256 * MIB, 32 * GIB
"""Of the RAM that is free beside the model: the other half is for pages of files, for the other programs, for peaks."""
DISK_SHARE, DISK_FLOOR, DISK_CEILING = 0.25, 512 * MIB, 64 * GIB
"""Of the free disk, with what the blocks there take already."""
OTHERS_RAM = 512 * MIB
"""Left for the web server, Redis and the system, which share the RAM."""


@dataclass(frozen=True, slots=True)
class FreeBytes:
    """What is free for an engine: RAM beside that of others (`free_for_engine`), disk (with what blocks take of it
    already), and card memory (0: no card). `shared`: the card's memory is that RAM. `n_sharing`: how many workers of
    this machine divide the shares for blocks among themselves: what is free is so for each of them until one takes it.
    """

    ram: int
    disk: int
    card: int = 0
    shared: bool = False
    n_sharing: int = 1


def free_for_engine(available: int, limit: int) -> int:
    """RAM for the engine, of what is `available` on the machine, within the limit of its process or container."""
    return max(0, min(available - OTHERS_RAM, limit))


def model_budget(free: FreeBytes, cap_bytes: int = 0) -> int:
    """Bytes that the model may take, of the card where there is one, else of the RAM; at most `cap_bytes` (0: no cap).

    What must stay free on a card is a part of the plan (`MemoryPlan.reserve_bytes`).
    """
    if not free.card:
        return free.ram
    return min(free.card, cap_bytes or free.card, free.ram if free.shared else free.card)


def ram_tier_budget(free: FreeBytes, plan: MemoryPlan | None) -> int:
    """Bytes for blocks in RAM, beside what the plan takes of it."""
    taken = 0 if plan is None else plan.total_bytes if free.shared else plan.ram_bytes
    return _share(free.ram - taken, free.n_sharing, RAM_SHARE, RAM_FLOOR, RAM_CEILING)


def disk_tier_budget(free: FreeBytes) -> int:
    """Bytes for blocks on disk."""
    return _share(free.disk, free.n_sharing, DISK_SHARE, DISK_FLOOR, DISK_CEILING)


def _share(free: int, n_sharing: int, share: float, floor: int, ceiling: int) -> int:
    """One worker's part of a share, in whole MiB; less than the floor where even that is not free, but never all."""
    wanted = min(max(int(free * share / n_sharing), floor), ceiling)
    return max(0, min(wanted, int(free * 0.9 / n_sharing))) // MIB * MIB
