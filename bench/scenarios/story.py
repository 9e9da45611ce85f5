"""Part h: a story of 2,000 turns in a context that is full from the first of them on."""

import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.peers.inglenook import Inglenook
from bench.scenarios.table import Bench, Result, median
from bench.tables import table

FULL, NEW = 1950, 24
DRIFT_TOKENS = 4000
REPLY = 8
SMALL = {"ram_mb": 64, "disk_mb": 256}  # caches that are full after some turns: what grows then would grow for ever
SAMPLES = 20

SHARED = "other work on the same cores falls into one part and not into the other"
GROWS = "Redis keeps the events of a turn for an hour: a story that is told faster than that grows by them"
PASSAGES = "passages of a text differ by more than that; 100,000 tokens are measured in a section of their own below"


def long(bench: Bench) -> Result:
    """Part h."""
    n_turns, turns, memory = bench.pick(2000, 100), [], []
    setting = replace(bench.setting, reply=REPLY, **SMALL)
    with Inglenook(bench.words, setting) as system:
        chat = system.chat(bench.words.history(0, FULL))
        chat.send(bench.words.message(1, NEW))
        for number in range(n_turns):
            if number % (n_turns // SAMPLES) == 0:
                memory.append(system.memory_mb())
            turns.append(chat.send(bench.words.message(2 + number, NEW)))
        memory.append(system.memory_mb())
    seconds = [turn.total_s for turn in turns]
    tenths = [median(seconds[at * n_turns // 10 : (at + 1) * n_turns // 10]) for at in range(10)]
    read = [turn.evaluated or 0 for turn in turns]
    result = Result(raw={"total_s": seconds, "memory_mb": memory, "evaluated": read})
    ratio, growth = tenths[-1] / tenths[0], memory[-1] / memory[len(memory) // 4]
    measured = f"{ratio:.3f} ({1000 * tenths[-1]:.0f} / {1000 * tenths[0]:.0f} ms; {n_turns} turns)"
    result.judge("h", "median turn, last tenth / first tenth", measured, "<= 1.05", ratio <= 1.05, SHARED)
    measured = f"{growth:.3f} ({memory[-1]:.0f} / {memory[len(memory) // 4]:.0f} MB)"
    result.judge("h", "memory of all processes, end / after a quarter", measured, "<= 1.02", growth <= 1.02, GROWS)
    result.see("h", "tokens evaluated, worst turn", str(max(read)))
    head = ("tenth of the story", *(str(at + 1) for at in range(10)))
    result.tables.append(table(head, [("median turn", *(f"{1000 * tenth:.0f} ms" for tenth in tenths))]))
    if not bench.quick:
        _drift(result)
    return result


def _drift(result: Result) -> None:
    """What forgetting costs, on a few thousand tokens of this project's own words."""
    pages = sorted((Path(__file__).parent.parent.parent / "docs").glob("*.md"))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n\n".join(page.read_text() for page in pages))
        file.flush()
        command = [sys.executable, "-m", "bench.perplexity", file.name, "--tokens", str(DRIFT_TOKENS)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"first tenth ([\d.]+), last tenth ([\d.]+)", said)
    assert found, said
    drift = abs(float(found[2]) / float(found[1]) - 1)
    result.raw["perplexity"] = said
    measured = f"{drift:.2%} over {DRIFT_TOKENS} tokens"
    result.judge(
        "h", "perplexity against re-reading, last tenth / first tenth", measured, "<= 0.5%", drift <= 0.005, PASSAGES
    )
