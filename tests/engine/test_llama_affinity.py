"""Compute threads have CPUs of their own, and no other thread is bound."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine.backend import DecodeResult, TokenRun
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.backends.llama_affinity import CpuAffinity, assign_cpus, performance_cores, threads_beside_card


@pytest.mark.parametrize(
    ("cpus", "n_threads", "hands"),
    [
        ({0, 1}, 2, [{0}, {1}]),
        ({0, 1, 2, 3}, 2, [{0, 2}, {1, 3}]),
        ({3, 5, 8}, 2, [{3, 8}, {5}]),
        ({0, 1}, 1, []),
        ({0, 1}, 3, []),
        ((), 2, []),
    ],
)
def test_no_two_threads_share_a_cpu(cpus, n_threads, hands):
    assert assign_cpus(cpus, n_threads) == hands


def bound() -> list[set[int]]:
    """The CPUs of those threads of this process that may not use all."""
    everywhere, found = os.sched_getaffinity(0), []
    for task in Path("/proc/self/task").iterdir():
        if (cpus := os.sched_getaffinity(int(task.name))) != everywhere:
            found.append(cpus)
    return found


@pytest.fixture(scope="module")
def llama(demo_model):
    """Two compute threads: one thread is never bound."""
    options = LlamaOptions(n_cells=256, n_sequences=2, n_batch=64, n_threads=2, n_gpu_layers=0)
    backend = LlamaBackend(demo_model, options)
    yield backend
    backend.close()


@pytest.mark.model
def test_who_decodes_is_free_again_and_its_helpers_are_bound(llama):
    everywhere, found = os.sched_getaffinity(0), []

    def decode() -> None:
        llama.clear()
        assert llama.decode([TokenRun(0, 0, tuple(range(50, 60)), True)]) is DecodeResult.DONE
        found.append((os.sched_getaffinity(0), bound()))

    thread = threading.Thread(target=decode)
    thread.start()
    thread.join()
    free, helpers = found[0]
    assert free == everywhere
    for hand in assign_cpus(everywhere, 2)[1:]:
        assert hand in helpers


@pytest.mark.model
def test_what_a_decoding_thread_starts_is_free(llama):
    llama.clear()
    assert llama.decode([TokenRun(0, 0, (50, 51), True)]) is DecodeResult.DONE
    script = "import os; print(sorted(os.sched_getaffinity(0)))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.strip() == str(sorted(os.sched_getaffinity(0)))


def test_with_more_threads_than_cpus_no_thread_is_bound():
    everywhere = os.sched_getaffinity(0)
    with CpuAffinity(len(everywhere) + 1):
        assert os.sched_getaffinity(0) == everywhere


def test_where_the_system_says_no_it_computes_all_the_same(caplog):
    own, everywhere = CpuAffinity(2), os.sched_getaffinity(0)
    own._thread_cpus = [{4000}, {4001}]  # CPUs that have been taken away
    own._bound_for = threading.get_native_id()
    for _ in range(3):
        with own:
            assert os.sched_getaffinity(0) == everywhere
    assert len(caplog.records) == 1


def machine(folder, siblings, fast=None, capacities=()):
    """Linux' list of processors: the threads of each core, Intel's list of fast CPUs, ARM's capacities."""
    for cpu, text in siblings.items():
        (folder / f"system/cpu/cpu{cpu}/topology").mkdir(parents=True)
        (folder / f"system/cpu/cpu{cpu}/topology/thread_siblings_list").write_text(f"{text}\n")
    if fast:
        (folder / "cpu_core").mkdir()
        (folder / "cpu_core/cpus").write_text(f"{fast}\n")
    for cpu, capacity in enumerate(capacities):
        (folder / f"system/cpu/cpu{cpu}/cpu_capacity").write_text(f"{capacity}\n")
    return folder


@pytest.mark.parametrize(
    ("siblings", "fast", "capacities", "usable", "cores"),
    [
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, None, (), range(4), [{0, 2}, {1, 3}]),  # two cores with two threads
        ({0: "0-1", 1: "0-1", 2: "2", 3: "3"}, "0-1", (), range(4), [{0, 1}]),  # one fast core, two slow ones
        ({0: "0", 1: "1", 2: "2", 3: "3"}, None, (300, 300, 900, 1024), range(4), [{2}, {3}]),
        ({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, None, (), {1, 2}, [{1}, {2}]),  # a container may use half of them
        ({0: "0", 1: "1"}, "4-7", (), range(2), [{0}, {1}]),  # none of the fast ones: then all that it may use
        ({}, None, (), range(3), [{0}, {1}, {2}]),  # a system that does not tell
    ],
)
def test_physical_cores_of_the_fast_kind_are_told_apart(tmp_path, siblings, fast, capacities, usable, cores):
    devices = machine(tmp_path, siblings, fast, capacities)
    assert performance_cores(devices, usable) == set(map(frozenset, cores))
    assert threads_beside_card(devices, usable) == max(1, len(cores) - 1)
