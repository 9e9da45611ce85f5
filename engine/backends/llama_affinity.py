"""CPU affinity of llama.cpp's compute threads: each thread gets CPUs that no other compute thread uses.

Why: the threads meet at hundreds of barriers per token, and a waiting thread spins, which is much faster than sleeping.
But when the scheduler puts two of them on one CPU because another process is busy, the spinning thread keeps the one it
waits for from computing (docs/decisions/engine.md has the figures). With disjoint CPUs, spinning does no harm.

The calling thread computes, too. It is bound only during a decode, because threads and processes that it starts inherit
its affinity. Nothing is bound without libgomp (another OpenMP runtime), or with more threads than CPUs.
What it refuses to know: models and batches.

With all layers on a card these threads only fetch embeddings: they get the performance cores but one, and nothing is
bound (`threads_beside_card`).
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

log = logging.getLogger(__name__)
_DEVICES = Path("/sys/devices")
_PARALLEL_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def assign_cpus(cpus: Iterable[int], n_threads: int) -> list[set[int]]:
    """The CPUs of each thread, round-robin; empty with fewer CPUs than threads, or with one thread.

    Where the second half of the CPU numbers are the SMT siblings of the first half, siblings go to the same thread.
    """
    ordered = sorted(cpus)
    return [set(ordered[n::n_threads]) for n in range(n_threads)] if 1 < n_threads <= len(ordered) else []


def usable_cpus() -> set[int]:
    """The CPUs that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def threads_beside_card(devices: Path = _DEVICES, cpus: Iterable[int] | None = None) -> int:
    """Compute threads where all layers are on a card: one for each physical performance core, less one for the rest."""
    return max(1, len(performance_cores(devices, usable_cpus() if cpus is None else cpus)) - 1)


def performance_cores(devices: Path, cpus: Iterable[int]) -> set[frozenset[int]]:
    """The physical cores of the fast kind, each as its CPUs, from Linux' list of `devices`; elsewhere every CPU is one.

    Intel's hybrids name their fast kind; elsewhere a core of less than half the highest capacity is a slow one.
    """
    usable = set(cpus)
    system = devices / "system" / "cpu"
    fast = set(_numbers(devices / "cpu_core" / "cpus")) & usable or usable
    capacity = {cpu: next(_numbers(system / f"cpu{cpu}" / "cpu_capacity"), 0) for cpu in fast}
    fast = {cpu for cpu in fast if 2 * capacity[cpu] >= max(capacity.values())}
    siblings = {cpu: set(_numbers(system / f"cpu{cpu}" / "topology" / "thread_siblings_list")) for cpu in fast}
    return {frozenset(siblings[cpu] & usable or {cpu}) for cpu in fast}


def _numbers(file: Path) -> Iterator[int]:
    """The numbers of a list such as `0-3,8`; none where there is no such file."""
    try:
        parts = file.read_text(encoding="ascii").strip().split(",")
        for first, _, last in (part.partition("-") for part in parts):
            yield from range(int(first), int(last or first) + 1)
    except (OSError, ValueError):
        return


class CpuAffinity:
    """A context manager around the compute calls of one thread at a time; another thread may take over later."""

    def __init__(self, n_threads: int) -> None:
        self._all_cpus = usable_cpus() if hasattr(os, "sched_setaffinity") else set()
        self._thread_cpus = assign_cpus(self._all_cpus, n_threads) if (gomp := _libgomp()) else []
        self._gomp, self._bound_for = gomp, 0  # the native id of the thread whose libgomp workers are bound

    def __enter__(self) -> None:
        if self._thread_cpus:
            try:
                if self._bound_for != threading.get_native_id():
                    self._bind_workers()
                os.sched_setaffinity(0, self._thread_cpus[0])
            except OSError as error:
                self._give_up(error)

    def __exit__(self, *_error: object) -> None:
        if self._thread_cpus:
            try:
                os.sched_setaffinity(0, self._all_cpus)
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """The system forbids it, or has taken CPUs away: go on unbound, only slower."""
        log.warning("threads compute wherever the system puts them, this process may not choose: %s", error)
        self._thread_cpus = []

    def _bind_workers(self) -> None:
        """Bind libgomp's worker threads of the calling thread; libgomp creates them here and keeps them."""
        gomp = self._gomp
        assert gomp is not None

        def bind(_data: object) -> None:
            os.sched_setaffinity(0, self._thread_cpus[gomp.omp_get_thread_num()])

        gomp.GOMP_parallel(_PARALLEL_BODY(bind), None, len(self._thread_cpus), 0)
        self._bound_for = threading.get_native_id()


def _libgomp() -> ctypes.CDLL | None:
    """The libgomp that llama.cpp has loaded: a second copy would have other threads. None: it uses another runtime."""
    try:
        return ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD)
    except (AttributeError, OSError):
        return None
