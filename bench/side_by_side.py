"""`make bench`: inglenook beside what people would use instead. Writes a section of docs/benchmarks.md, and plots.

a     a chat of 1,500 tokens returns after 0 to 31 other chats have used the card       a4k   the same with 4,000
a2    the same after kill -9 and a restart of everything
b     a full context, 200 more turns                   b4k   the same with a context of 4,096
c     retry, edit, narrate, suggest, lore: what is read
d     1, 2, 4, 8 users at once                         e   one user: the whole stack against the bare loop
d1    d with one computing thread: a core is free      e1    the same for e
f     saving and loading of cells                      g   how many chats stay within a budget
h     a story of 2,000 turns                           h2    what it forgets: the drift of perplexity

Inglenook is the whole stack (`python -m deploy.run`) through its web socket; llama-server and llama-cpp-python's own
server are asked over HTTP, each at its best and at its defaults. Each part leaves its figures in build/bench/PART.json;
the tables are made of what lies there, so parts can be run one by one. `--quick` measures less of everything.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from bench.peers import build
from bench.peers.system import Setting
from bench.peers.talk import Words
from bench.scenarios import many, memory, returns, story, turns
from bench.scenarios.table import Bench, Result, Row
from bench.tables import machine, publish, table
from engine.model.hardware import demo_model

FOLDER = Path(__file__).parent.parent / "build" / "bench"
PARTS: dict[str, tuple[str, Callable[[Bench], Result]]] = {
    "a": ("a chat returns after others", returns.returns),
    "a4k": ("the same with 4,000 tokens", returns.long_returns),
    "a2": ("the same after kill -9 of everything", returns.killed),
    "b": ("200 turns in a full context", turns.full),
    "b4k": ("the same in a context of 4,096", turns.long_full),
    "c": ("retry, edit, narrate, suggest, lore", turns.kinds),
    "d": ("1, 2, 4, 8 users at once", many.users),
    "e": ("one user against the bare loop", many.alone),
    "d1": ("1, 4 users at once, a core free", many.users_with_a_core_free),
    "e1": ("one user against the bare loop, a core free", many.alone_with_a_core_free),
    "f": ("saving and loading of cells", memory.states),
    "g": ("chats within a budget", memory.budget),
    "h": ("a story of 2,000 turns", story.long),
    "h2": ("the drift of its perplexity", story.drift),
}
HEAD = ("", "what", "measured", "target", "", "why, and what would be needed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="", help="as a,a2,b; otherwise all (a quick run leaves a4k out)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=Path, default=None, help="a GGUF file; the demo model otherwise")
    parser.add_argument("--dry", action="store_true", help="leave docs/ as it is")
    given = parser.parse_args()
    parts = given.parts.split(",") if given.parts else [part for part in PARTS if not (given.quick and part == "a4k")]
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}: expected some of {','.join(PARTS)}")
    logging.basicConfig(level=logging.ERROR)
    build.programs()
    build.servers_extra()
    setting = Setting(given.model or demo_model(), threads=given.threads)
    for part in parts:
        measure(part, setting, given.quick)
    report(setting.model.stem, dry=given.dry)
    return 0


def measure(part: str, setting: Setting, quick: bool) -> None:
    """Run one part and keep what it found."""
    print(f"== {part}: {PARTS[part][0]}")
    words, began = Words(setting.model), time.monotonic()
    try:
        result = PARTS[part][1](Bench(setting, words, quick))
    finally:
        words.close()
    for row in result.rows:
        print("...", *(str(cell) for cell in row.raw().values()))
    kept = {"rows": [row.raw() for row in result.rows], "tables": result.tables, "raw": result.raw}
    about = {"quick": quick, "date": str(date.today()), "took_s": round(time.monotonic() - began)}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{part}.json").write_text(json.dumps({**kept, **about}, indent=1))


def report(model: str, dry: bool = False, folder: Path = FOLDER) -> None:
    """The tables of everything that lies in the folder, and the plots."""
    found = {part: kept(folder / f"{part}.json") for part in PARTS}
    text = "\n\n".join([f"{machine()}; {model}, context 2048, f16 KV, greedy", *_tables(found)])
    if dry:
        print(text)
        return
    from bench import plots  # matplotlib: nobody else needs it

    publish("side by side", text)
    plots.draw({part: result["raw"] for part, result in found.items() if result})


def kept(file: Path) -> dict[str, Any] | None:
    """What the last run of a part has left."""
    return dict(json.loads(file.read_text())) if file.exists() else None


def _tables(found: dict[str, dict[str, Any] | None]) -> list[str]:
    rows: list[tuple[str, ...]] = []
    for part, result in found.items():
        if result is None:
            rows.append((part, PARTS[part][0], "not measured", "", "", ""))
            continue
        rows += [_shown(Row(**row), bool(result["quick"])) for row in result["rows"]]
    rows.append(("", "all of this on a GPU", "not measured", "", "", "no GPU could be had"))
    return [table(HEAD, rows), *(text for result in found.values() if result for text in result["tables"])]


def _shown(row: Row, quick: bool) -> tuple[str, ...]:
    return (row.part, row.what, row.measured + (" (quick)" if quick else ""), row.target, row.verdict, row.why)


if __name__ == "__main__":
    sys.exit(main())
