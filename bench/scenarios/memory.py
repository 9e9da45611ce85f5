"""Parts f and g: what saving and loading cells costs beside copying memory, and how many chats stay."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.engine_ratios import kv_row_bytes
from bench.peers.bare import Bare
from bench.peers.system import System, Turn
from bench.scenarios.table import OURS, Bench, Result, median
from bench.tables import table
from engine.backend import TokenRun
from engine.blocks.store import Block, BlockStore

DELTA, CHAT = 60, 1500
SCRATCH, TARGET = 3, 2
HELD = 4  # blocks that the RAM tier holds here: a save has the place of one that leaves
NEW = 5
_other = np.zeros(64 << 20, np.uint8)

FULL_COPIES = "the newest eighth of RAM is on the disk as well: a kill costs nobody who was just here"


@dataclass(frozen=True)
class Timed:
    """Seconds of the same, several times. `new_`: into new memory, as long as the RAM tier is not full."""

    n_bytes: int
    copy: list[float]
    save: list[float]
    load: list[float]
    new_copy: list[float]
    new_save: list[float]


def states(bench: Bench) -> Result:
    """Part f."""
    result, rounds = Result(), bench.pick(15, 5)
    with Bare(bench.setting, 4) as bare:
        per_token = kv_row_bytes(bare.backend)
        tables = [_layout(bench, bare, result, what, per_token, rounds) for what in ("contiguous", "interleaved")]
    head = (
        *("cells", "bytes / own tokens", "save", "load", "memcpy of as much", "save into new memory", "memcpy into it"),
        *("to disk and synced", "from disk"),
    )
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
            backend.decode([TokenRun(sequence, start, tokens[start : start + step], True)])
    one = _of_one(bare, n_tokens, 3 * rounds)
    rows = [_row(bare, result, what, n_tokens, 0, per_token, rounds, one)]
    backend.seq_copy(0, SCRATCH, n_tokens - DELTA, n_tokens)
    rows.append(_row(bare, result, f"{what}, a turn of {DELTA}", DELTA, SCRATCH, per_token, 3 * rounds, one))
    backend.seq_remove(SCRATCH, -1, -1)
    return rows


def _of_one(bare: Bare, n_tokens: int, rounds: int) -> Timed:
    """What a state of a single token costs: the part that no number of tokens changes."""
    bare.backend.seq_copy(0, SCRATCH, n_tokens - 1, n_tokens)
    one = _timed(bare, SCRATCH, 1, rounds)
    bare.backend.seq_remove(SCRATCH, -1, -1)
    return one


def _timed(bare: Bare, sequence: int, n_tokens: int, rounds: int) -> Timed:
    """As the engine saves: into memory of a store whose RAM is full, or is not full yet. So does memcpy."""
    backend = bare.backend
    saved = backend.seq_save(sequence)
    source = np.frombuffer(bytes(saved), np.uint8)  # where malloc puts it, as the cells are; numpy asks for huge pages
    full, filling = (BlockStore(backend.model_key, n_blocks * len(saved)) for n_blocks in (HELD, 2 * NEW))

    def save(store: BlockStore) -> float:
        seconds, payload = _seconds(lambda: backend.seq_save(sequence, n_tokens, store.allocate))
        store.put(Block(os.urandom(32), 0, n_tokens, payload))
        return seconds

    def copy(store: BlockStore) -> float:
        memory = store.allocate(len(saved))
        target = np.frombuffer(memory, np.uint8)
        seconds, _ = _seconds(lambda: np.copyto(target, source))
        store.put(Block(os.urandom(32), 0, n_tokens, memory))
        return seconds

    def load() -> float:
        seconds, _ = _seconds(lambda: backend.seq_load(TARGET, saved))
        backend.seq_remove(TARGET, -1, -1)
        return seconds

    for _ in range(2 * HELD):
        save(full)
    used = [(copy(full), save(full), load()) for _ in range(rounds)]
    new = [(copy(filling), save(filling)) for _ in range(NEW)]
    return Timed(len(saved), *(list(times) for times in (*zip(*used, strict=True), *zip(*new, strict=True))))


def _row(
    bare: Bare, result: Result, what: str, n_tokens: int, sequence: int, per_token: int, rounds: int, one: Timed
) -> tuple[str, ...]:
    timed = _timed(bare, sequence, n_tokens, rounds)
    to_disk, from_disk = _disk(bytes(bare.backend.seq_save(sequence)), rounds)
    own = timed.n_bytes / (n_tokens * per_token)
    result.raw[what] = {**asdict(timed), "of_one_token": asdict(one), "to_disk": to_disk, "from_disk": from_disk}
    copy = median(timed.copy)
    for name, times, fixed in (("save", timed.save, one.save), ("load", timed.load, one.load)):
        seconds = median(times)
        measured = f"{copy / seconds:.2f} ({timed.n_bytes / seconds / 1e9:.1f} GB/s)"
        why = (
            f"a state of one token takes {_us(median(fixed))} of these {_us(seconds)}; memcpy of all takes {_us(copy)}"
        )
        result.judge("f", f"{name}, {what} / memcpy", measured, ">= 0.7", copy / seconds >= 0.7, why)
    result.judge("f", f"bytes / bytes of its own tokens, {what}", f"{own:.3f}", "<= 1.01", own <= 1.01, "")
    shown = (timed.save, timed.load, timed.copy, timed.new_save, timed.new_copy, to_disk, from_disk)
    return (f"{what}, {n_tokens} tokens", f"{own:.3f}", *(f"{1000 * median(some):.2f} ms" for some in shown))


def _us(seconds: float) -> str:
    return f"{1e6 * seconds:.0f} us"


def _seconds(what: Callable[[], Any]) -> tuple[float, Any]:
    _other[:] += 1  # what is timed lies in memory, not in the processor's cache, as it does after a decode
    started = time.perf_counter()
    came = what()
    return time.perf_counter() - started, came


def _disk(data: bytes, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of writing and of reading (from the page cache, as after a restart of the process)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "block"

        def write() -> None:
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

        return [_seconds(write)[0] for _ in range(rounds)], [_seconds(path.read_bytes)[0] for _ in range(rounds)]


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
