"""Parts h and h2: a story of 2,000 turns in a context that is full from the first of them on, and what it forgets."""

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
ROUNDS = 9  # from one shift to the next, 7,808 tokens each: 2,000 turns of 35
REPLY = 8
SMALL = {"ram_mb": 64, "disk_mb": 256}  # caches that are full after some turns: what grows then would grow for ever
SAMPLES = 20
YOUNG = 50  # turns of a story that counts as young

SHARED = (
    "what a turn asks of the database does not grow with its story (tests/store/test_constant_cost.py counts it), "
    "and what it reads does not either"
)
GROWS = "Redis keeps the events of a turn for an hour: a story that is told faster than that grows by them"
ADDS = "what is left of what was forgotten adds up in the cells that stay"


class Young:
    """Turns of stories that have just begun, for comparison: the machine is the same for those beside them."""

    def __init__(self, bench: Bench, system: Inglenook) -> None:
        self._bench, self._system, self._chat = bench, system, system.chat(bench.words.history(1, FULL))
        self.total_s: list[float] = []

    def turn(self) -> None:
        """One more; every story is put away before it gets old."""
        number = len(self.total_s)
        if number % YOUNG == 0:
            self._chat = self._system.chat(self._bench.words.history(1 + number // YOUNG, FULL))
            self._chat.send(self._bench.words.message(1, NEW))
        self.total_s.append(self._chat.send(self._bench.words.message(2 + number, NEW)).total_s)


def long(bench: Bench) -> Result:
    """Part h."""
    n_turns, turns, memory = bench.pick(2000, 100), [], []
    setting = replace(bench.setting, reply=REPLY, **SMALL)
    with Inglenook(bench.words, setting) as system:
        chat = system.chat(bench.words.history(0, FULL))
        chat.send(bench.words.message(1, NEW))
        young = Young(bench, system)
        for number in range(n_turns):
            if number % (n_turns // SAMPLES) == 0:
                memory.append(system.memory_mb())
            turns.append(chat.send(bench.words.message(2 + number, NEW)))
            if number * 10 // n_turns in (0, 9):
                young.turn()
        memory.append(system.memory_mb())
    seconds = [turn.total_s for turn in turns]
    read = [turn.evaluated or 0 for turn in turns]
    raw = {"total_s": seconds, "young_s": young.total_s, "memory_mb": memory, "evaluated": read}
    result = Result(raw=raw)
    _judge_time(result, seconds, young.total_s)
    _judge_memory(result, memory)
    result.see("h", "tokens evaluated, worst turn", str(max(read)))
    return result


def _judge_memory(result: Result, memory: list[float]) -> None:
    """Medians of three: a Redis that has just forked to write its log is there twice."""
    quarter = len(memory) // 4
    last, first = median(memory[-3:]), median(memory[quarter : quarter + 3])
    measured = f"{last / first:.3f} ({last:.0f} / {first:.0f} MB)"
    what = "memory of all processes, end / after a quarter"
    result.judge("h", what, measured, "<= 1.02", last <= 1.02 * first, GROWS)


def _judge_time(result: Result, story_s: list[float], young_s: list[float]) -> None:
    """The machine has slower and faster minutes: what counts is the story beside young ones at the same time."""
    tenth = len(story_s) // 10
    tenths = [median(story_s[at * tenth : (at + 1) * tenth]) for at in range(10)]
    young = median(young_s[:tenth]), median(young_s[-tenth:])
    ratio = (tenths[-1] / young[1]) / (tenths[0] / young[0])
    measured = f"{ratio:.3f} ({tenths[-1] / young[1]:.3f} / {tenths[0] / young[0]:.3f}; {len(story_s)} turns)"
    what = "median turn / that of young stories beside it, last tenth / first tenth"
    result.judge("h", what, measured, "<= 1.05", ratio <= 1.05, SHARED)
    result.see("h", "the same, not beside others", f"{tenths[-1] / tenths[0]:.3f}")
    head = ("tenth of the story", *(str(at + 1) for at in range(10)))
    rows = [
        ("median turn", *(f"{1000 * tenth:.0f} ms" for tenth in tenths)),
        ("of young stories", f"{1000 * young[0]:.0f} ms", *[""] * 8, f"{1000 * young[1]:.0f} ms"),
    ]
    result.tables.append(table(head, rows))


def drift(bench: Bench) -> Result:
    """Part h2: what forgetting costs, and whether a long story adds to it, on this project's own words."""
    pages = sorted((Path(__file__).parent.parent.parent / "docs").glob("*.md"))
    tokens, rounds = bench.pick((4000, ROUNDS), (1000, 3))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n\n".join(page.read_text() for page in pages))
        file.flush()
        command = [sys.executable, "-m", "bench.perplexity", file.name, "--tokens", tokens, "--rounds", rounds]
        said = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout
    found = re.search(r", (\d+) tokens in all.* drift ([-+][\d.]+)% \(standard error ([\d.]+)%\)", said)
    against = re.search(r"holes / reread: ([\d.]+)", said)
    assert found, said
    assert against, said
    result, percent = Result(raw={"perplexity": said}), float(found[2])
    measured = f"{percent:+.2f}% (standard error {float(found[3]):.2f}%) over {found[1]} tokens"
    what = "perplexity of the same words, much later in the story"
    result.judge("h", what, measured, "<= 0.5%", abs(percent) <= 0.5, ADDS)
    result.see("h", f"perplexity over {tokens} tokens, forgetting / reading the window again", against[1])
    return result
