"""Parts f and g: what saving and loading cells costs beside copying memory, and how many chats stay."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.engine_ratios import kv_row_bytes
from bench.peers.bare import Bare
from bench.peers.system import System, Turn
from bench.scenarios.table import OURS, Bench, Result, median
from bench.tables import table
from engine.backend import Run

DELTA, CHAT = 60, 1500
SCRATCH, TARGET = 3, 2
_other = np.zeros(64 << 20, np.uint8)

PER_RANGE = (
    "llama.cpp copies layer by layer and range by range, through its own writer, into memory that is new each time"
)
FULL_COPIES = "the newest eighth of RAM is on the disk as well: a kill costs nobody who was just here"


def states(bench: Bench) -> Result:
    """Part f."""
    result, rounds = Result(), bench.pick(9, 5)
    with Bare(bench.setting, 4) as bare:
        per_token = kv_row_bytes(bare.backend)
        tables = [_layout(bench, bare, result, what, per_token, rounds) for what in ("contiguous", "interleaved")]
    head = ("cells", "bytes / own tokens", "save", "load", "to disk and synced", "from disk", "memcpy of as much")
    result.tables.append(table(head, [row for rows in tables for row in rows]))
    return result


def _layout(bench: Bench, bare: Bare, result: Result, what: str, per_token: int, rounds: int) -> list[tuple[str, ...]]:
    """Two sequences, one after the other or in turns, and the last turn of one of them."""
    backend, n_tokens = bare.backend, bench.pick(CHAT, CHAT // 3)
    backend.clear()
    tokens = bench.words.backend.tokenize("The lamp turns. " * n_tokens, special=False)[:n_tokens]
    step = 60 if what == "interleaved" else n_tokens // 3
    for start in range(0, n_tokens, step):
        for sequence in (0, 1):
            backend.decode([Run(sequence, start, tokens[start : start + step], True)])
    rows = [_timed(bare, result, what, n_tokens, 0, per_token, rounds)]
    backend.seq_copy(0, SCRATCH, n_tokens - DELTA, n_tokens)
    rows.append(_timed(bare, result, f"{what}, a turn of {DELTA}", DELTA, SCRATCH, per_token, rounds))
    backend.seq_remove(SCRATCH, -1, -1)
    return rows


def _timed(
    bare: Bare, result: Result, what: str, n_tokens: int, sequence: int, per_token: int, rounds: int
) -> tuple[str, ...]:
    backend = bare.backend
    saved = backend.seq_save(sequence)
    source = np.frombuffer(saved, np.uint8).copy()

    def load() -> float:
        seconds = _seconds(lambda: backend.seq_load(TARGET, saved))
        backend.seq_remove(TARGET, -1, -1)
        return seconds

    copy = [_seconds(source.copy) for _ in range(rounds)]
    save = [_seconds(lambda: backend.seq_save(sequence)) for _ in range(rounds)]
    loads = [load() for _ in range(rounds)]
    to_disk, from_disk = _disk(bytes(saved), rounds)
    own = len(saved) / (n_tokens * per_token)
    speed = {
        name: len(saved) / median(times) / 1e9 for name, times in {"copy": copy, "save": save, "load": loads}.items()
    }
    result.raw[what] = {"bytes": len(saved), "copy_s": copy, "save_s": save, "load_s": loads, "to_disk_s": to_disk}
    for name in ("save", "load"):
        share = speed[name] / speed["copy"]
        result.judge(
            "f", f"{name}, {what} / memcpy", f"{share:.2f} ({speed[name]:.1f} GB/s)", ">= 0.7", share >= 0.7, PER_RANGE
        )
    result.judge("f", f"bytes / bytes of its own tokens, {what}", f"{own:.3f}", "<= 1.01", own <= 1.01, "")
    times = (median(some) for some in (save, loads, to_disk, from_disk, copy))
    return (f"{what}, {n_tokens} tokens", f"{own:.3f}", *(f"{1000 * seconds:.2f} ms" for seconds in times))


def _seconds(what: Callable[[], Any]) -> float:
    _other[:] += 1  # what is timed lies in memory, not in the processor's cache, as it does after a decode
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def _disk(data: bytes, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of writing and of reading (from the page cache, as after a restart of the process)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "block"

        def write() -> None:
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

        return [_seconds(write) for _ in range(rounds)], [_seconds(path.read_bytes) for _ in range(rounds)]


def budget(bench: Bench) -> Result:
    """Part g: chats of one persona come in until the budget is long full; then they return, the newest first."""
    ram_mb, disk_mb = bench.pick((256, 1024), (48, 192))
    per_token = kv_row_bytes(bench.words.backend)
    full_copies = ((ram_mb + disk_mb) << 20) // (CHAT * per_token)
    with bench.line_up((OURS,), ram_mb=ram_mb, disk_mb=disk_mb, reply=4)[0]() as system:
        print("...", system.name, "full copies would be", full_copies)
        kept = _returning(bench, system, full_copies * 3 // 2 + 3)
    result = Result(raw={"returned": kept, "full_copies": full_copies, "ram_mb": ram_mb, "disk_mb": disk_mb})
    what = f"chats of {CHAT} tokens within {ram_mb} + {disk_mb} MB, of full copies"
    measured = f"{kept / full_copies:.2f}x ({kept} / {full_copies})"
    result.judge("g", what, measured, ">= 1.25x", kept >= 1.25 * full_copies, FULL_COPIES)
    return result


def _returning(bench: Bench, system: System, n_chats: int) -> int:
    """How many of the newest chats return without being read again. Three that are end it."""
    chats = [system.chat(bench.words.history(300 + n, CHAT)) for n in range(n_chats)]
    for chat in chats:
        chat.send("Hello.")
    n_kept, n_lost = 0, 0
    for chat in reversed(chats):
        turn: Turn = chat.send("And now?")
        kept = (turn.evaluated or 0) < CHAT // 10
        n_kept, n_lost = n_kept + kept, 0 if kept else n_lost + 1
        if n_lost == 3:
            break
    return n_kept
