"""What a device changes: sizes of batches, ways of saving, and a stop during a long read.

    python -m bench.device                              on whatever llama.cpp computes on here
    python -m tests.vulkan.on_device bench.device     on Vulkan in software (llvmpipe), with every layer on it

A GPU does not ask in the middle of a batch whether it shall stop, so the engine bounds how long a batch takes. The
figures of one run are compared with each other; only those of the stop are seconds, for they are a promise (p95 below
2 s, and the next job begins within 1 s).
"""

import argparse
import ctypes
import itertools
import logging
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import llama_cpp as llama
import numpy as np
from llama_cpp.llama_cpp import _lib as libggml  # libllama, which finds what it is linked with; _ggml has a copy

from bench.models import add_model, model_file
from bench.tables import machine, table
from engine import Cancelled, Done, Engine, EngineOptions, Segment, TurnRequest
from engine.backend import DecodeResult, TokenRun
from engine.backends.llama import LlamaBackend, LlamaOptions

N_CELLS, N_READ, N_TIMES = 2048, 512, 3
BATCHES = (32, 64, 128, 256, 512)
N_LONG, N_STOPS, SEED = 1500, 20, 1
STOP_S, NEXT_S = 2.0, 1.0
ON_DEVICE = 2  # LLAMA_STATE_SEQ_FLAGS_ON_DEVICE
Row = tuple[str, str, str, str]


def batches(path: Path) -> list[Row]:
    """How fast a text is read in batches of each size, beside the largest."""
    speeds = {n_batch: reading_speed(path, n_batch) for n_batch in BATCHES}
    best = speeds[BATCHES[-1]]
    return [
        (f"reading in batches of {n} / of {BATCHES[-1]}", f"{speed / best:.2f}", "", f"{speed:.0f} tokens/s")
        for n, speed in speeds.items()
    ]


def reading_speed(path: Path, n_batch: int) -> float:
    """Tokens a second; the first time does not count: shaders are compiled, memory is taken."""
    backend = LlamaBackend(path, LlamaOptions(n_cells=N_CELLS, n_sequences=4, n_batch=n_batch))
    read(backend, words(N_READ))
    took = statistics.median(seconds(lambda: read(backend, words(N_READ))) for _ in range(N_TIMES))
    backend.close()
    return N_READ / took


def states(path: Path) -> list[Row]:
    """Saving and loading the cells of a text: into plain memory, into the device's pinned memory, on the device."""
    backend = LlamaBackend(path, LlamaOptions(n_cells=N_CELLS, n_sequences=4, n_batch=N_READ))
    reading_s = seconds(lambda: read(backend, words(N_READ)))
    size = len(backend.seq_save(0))
    plain = np.empty(size, np.uint8)
    places = {"plain": (plain.ctypes.data, 0), "on the device": (plain.ctypes.data, ON_DEVICE)}
    if pinned := pinned_memory(size):
        places["pinned"] = (pinned, 0)
    rows = []
    for name, (address, flags) in places.items():
        pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8))
        save_s, load_s = moved(backend, pointer, size, flags)
        detail = f"{size / save_s / 1e9:.2f} and {size / load_s / 1e9:.2f} GB/s"
        rows.append((f"saving {N_READ} cells / reading them, {name}", f"{save_s / reading_s:.5f}", "", detail))
        rows.append((f"loading {N_READ} cells / reading them, {name}", f"{load_s / reading_s:.5f}", "", ""))
    backend.close()
    return rows


def moved(backend: LlamaBackend, pointer: object, size: int, flags: int) -> tuple[float, float]:
    """Seconds of a save of sequence 0 and of a load into sequence 1, medians."""
    context = backend._context

    def save() -> None:
        assert llama.llama_state_seq_get_data_ext(context, pointer, size, 0, flags)

    def load() -> None:
        backend.seq_remove(1, 0, -1)
        assert llama.llama_state_seq_set_data_ext(context, pointer, size, 1, flags)

    found = [(seconds(save), seconds(load)) for _ in range(2 * N_TIMES)]
    return statistics.median(s for s, _ in found), statistics.median(s for _, s in found)


def pinned_memory(size: int) -> int:
    """The address of memory that the first device copies from and to without a detour; 0 without a device."""
    device = call("ggml_backend_dev_by_type", ctypes.c_void_p, ctypes.c_int(1))
    kind = call("ggml_backend_dev_host_buffer_type", ctypes.c_void_p, ctypes.c_void_p(device)) if device else None
    buffer = call("ggml_backend_buft_alloc_buffer", ctypes.c_void_p, ctypes.c_void_p(kind), ctypes.c_size_t(size)) if (
        kind
    ) else None  # fmt: skip
    return call("ggml_backend_buffer_get_base", ctypes.c_void_p, ctypes.c_void_p(buffer)) if buffer else 0


def call(name: str, returns: type, *arguments: object) -> int:
    """One function of libggml."""
    function = getattr(libggml, name)
    function.restype = returns
    return function(*arguments) or 0  # type: ignore[no-any-return]


def stops(path: Path) -> list[Row]:
    """A long read is stopped at a random moment, again and again: until it ends, and until the next job begins."""
    options = LlamaOptions(n_cells=2 * N_CELLS, n_sequences=4, n_batch=N_READ)
    engine = Engine(LlamaBackend(path, options), EngineOptions(context=N_CELLS, lanes=1)).start()
    chance, stopping, beginning, steps = random.Random(SEED), [], [], []
    try:
        reading_s = seconds(lambda: list(engine.submit(job("first", N_READ)).events())) * N_LONG / N_READ
        for number in range(N_STOPS):
            ended, begun = stopped(engine, number, min(3.0, chance.uniform(0.1, 0.8) * reading_s), steps)
            stopping.append(ended)
            beginning.append(begun)
    finally:
        engine.close()
    rate = f"{engine.cost_model._read_per_s:.0f} tokens/s"
    of_stop, of_next = (f"worst {max(times):.2f} s" for times in (stopping, beginning))
    return [
        ("a stop while reading, p95", f"{p95(stopping):.2f} s", f"< {STOP_S:.0f} s", f"{of_stop}, {rate}"),
        ("the next job begins, p95", f"{p95(beginning):.2f} s", f"< {NEXT_S:.0f} s", of_next),
        ("one piece of a long read, p95", f"{p95(steps):.2f} s", "", f"{len(steps)} pieces"),
    ]


def stopped(engine: Engine, number: int, after_s: float, steps: list[float]) -> tuple[float, float]:
    """Seconds from a stop to its end, and from there to the first sign of life of the next job."""
    ticket, times = engine.submit(job(f"long {number}", N_LONG)), []
    events = ticket.events()
    began = time.monotonic()
    while time.monotonic() - began < after_s:
        next(events)
        times.append(time.monotonic())
    steps += [later - earlier for earlier, later in itertools.pairwise(times)]
    asked = time.monotonic()
    ticket.cancel()
    last = list(events)[-1]
    ended = time.monotonic()
    assert isinstance(last, Cancelled), last
    following = engine.submit(job(f"next {number}", 8)).events()
    next(following)
    begun = time.monotonic()
    assert isinstance(list(following)[-1], Done)
    return ended - asked, begun - ended


def job(name: str, n_tokens: int) -> TurnRequest:
    """A turn that reads a text of its own, and writes nothing."""
    return TurnRequest(session=name, wanted=(Segment("text", tuple(words(n_tokens, sum(name.encode())))),))


def words(n: int, seed: int = 0) -> list[int]:
    """Random token ids."""
    return [random.Random(seed * 100_000 + place).randrange(100, 250) for place in range(n)]


def read(backend: LlamaBackend, tokens: list[int]) -> None:
    """Read a text into sequence 0, batch by batch."""
    backend.clear()
    for start in range(0, len(tokens), backend.n_batch):
        run = TokenRun(0, start, tokens[start : start + backend.n_batch], True)
        assert backend.decode([run]) is DecodeResult.DONE


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def p95(values: list[float]) -> float:
    """Of twenty values the second largest."""
    return sorted(values)[max(0, -(-95 * len(values) // 100) - 1)]


PARTS = {"batches": batches, "states": states, "stops": stops}


def main() -> int:
    """The parts that the command line names, else all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="batches, states, stops; else all")
    add_model(parser)
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("engine.backends.llama").setLevel(logging.INFO)
    path = model_file(options.model, Path("build"))
    rows = [row for name in options.parts or PARTS for row in PARTS[name](path)]
    print(f"{machine()}; {options.model or 'SmolLM2-135M'}\n\n{table(('what', 'measured', 'target', 'detail'), rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
