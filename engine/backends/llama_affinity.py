"""Which CPUs llama.cpp's threads compute on: each has some of its own, and no two ever meet on one.

What it refuses to know: models, batches. Why: the threads meet at hundreds of barriers a token. One that waits there
spins, which is much faster than to sleep and be woken; but where the scheduler puts two of them on one CPU, because
somebody else is on the other, the one that spins keeps the one that it waits for from computing (docs/decisions.md has
the figures). So the CPUs are dealt out, thread by thread, and spinning does no harm whoever else is at work.
The caller computes, too. It is bound during a decode only: a thread or a process that it starts would inherit that.
With libgomp only; with another OpenMP, or with more threads than CPUs, nothing is dealt out.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections.abc import Iterable

log = logging.getLogger(__name__)
_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def assign_cpus(cpus: Iterable[int], n_threads: int) -> list[set[int]]:
    """For each thread its CPUs; nothing when there are not enough, or only one thread.

    As the cards of a game: where the second half of the CPUs are the twins of the first, twins stay together.
    """
    ordered = sorted(cpus)
    return [set(ordered[n::n_threads]) for n in range(n_threads)] if 1 < n_threads <= len(ordered) else []


class CpuAffinity:
    """A context for the computing calls of one thread; others may follow it."""

    def __init__(self, n_threads: int) -> None:
        self._everywhere = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        self._hands = assign_cpus(self._everywhere, n_threads) if (gomp := _libgomp()) else []
        self._gomp, self._dealt_to = gomp, 0

    def __enter__(self) -> None:
        if self._hands:
            try:
                if self._dealt_to != threading.get_native_id():
                    self._deal()
                os.sched_setaffinity(0, self._hands[0])
            except OSError as error:
                self._give_up(error)

    def __exit__(self, *_error: object) -> None:
        if self._hands:
            try:
                os.sched_setaffinity(0, self._everywhere)
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """The system says no, or has taken CPUs away: slower is better than not at all."""
        log.warning("threads compute wherever the system puts them, this process may not choose: %s", error)
        self._hands = []

    def _deal(self) -> None:
        """Bind the threads that libgomp has for the calling one: they are made now, and stay."""
        gomp = self._gomp
        assert gomp is not None

        def bind(_data: object) -> None:
            os.sched_setaffinity(0, self._hands[gomp.omp_get_thread_num()])

        gomp.GOMP_parallel(_BODY(bind), None, len(self._hands), 0)
        self._dealt_to = threading.get_native_id()


def _libgomp() -> ctypes.CDLL | None:
    """The one that llama.cpp has loaded: a second one would have threads of its own."""
    try:
        return ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD)
    except (AttributeError, OSError):
        return None
