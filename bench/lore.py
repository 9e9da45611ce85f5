"""`make bench-lore`: a story of 300 turns with a lorebook of 200 entries: what does a turn read?

Every turn the person speaks of one or two things that the book knows; some entries last, some rest, some wake others,
two are always told. A turn may read its new messages and the entries that woke, and nothing twice. Fails otherwise.
The test of it (tests/worker/test_lore.py) tells 30 turns to the echo engine.
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.story import CARD, Player, new_tokens, play
from bench.tables import machine, publish, table
from engine import Engine, EngineOptions, Framing
from engine.backends.echo import EchoBackend
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.model.hardware import demo_model
from store.db import Database
from store.lore.book import read_book
from store.lore.match import MatchContext, activate
from store.views import Story
from worker.prompt.segments import Limits

THINGS = ("lantern", "harbour", "bell", "whale", "storm", "bakery", "attic", "ferry", "compass", "orchard")
WHOSE = ("red", "old", "northern", "silent", "broken", "golden", "hidden", "third", "stone", "winter")
KINDS = ("tower", "song")


def book() -> dict[str, Any]:
    """200 entries: each has a name of two words, and a sentence or two."""
    names = [f"{whose} {thing} {kind}" for kind in KINDS for thing in THINGS for whose in WHOSE]
    entries = [_entry(number, name) for number, name in enumerate(names)]
    return {"name": "The coast", "recursive_scanning": True, "entries": entries}


def _entry(number: int, name: str) -> dict[str, Any]:
    content = f"The {name} has stood there for {number + 3} years. {{{{user}}}} has heard of it."
    if number % 10 == 3:
        content += f" People often compare it to the {WHOSE[number // 10 % 10]} {THINGS[9 - number // 10 % 10]} song."
    extras = {"sticky": 6 if number % 5 == 0 else 0, "cooldown": 8 if number % 7 == 0 else 0}
    extras["probability"] = 60 if number % 11 == 0 else 100
    entry = {"keys": [name, f"/{name.split()[0]}\\s+{name.split()[1]}s\\b/i"], "content": content, "enabled": True}
    return entry | {"insertion_order": number, "constant": number in (50, 150), "extensions": extras}


def said(number: int) -> str:
    """What the person says in a turn: new things, and now and then what was spoken of before."""
    first = f"{WHOSE[number * 7 % 10]} {THINGS[number * 3 % 10]} {KINDS[number // 5 % 2]}"
    second = f" And the {WHOSE[number % 10]} {THINGS[number // 3 % 10]} tower?" if number % 3 == 0 else ""
    return f"Tell me about the {first}.{second}"


@dataclass(frozen=True)
class Row:
    """Tokens of one turn."""

    messages: int
    lore: int
    evaluated: int
    n_told: int
    evicted: int


class Reader(Player):
    """A person whose story has the book."""

    def story(self) -> Story:
        told = super().story()
        return replace(told, character=replace(told.character, card=CARD | {"character_book": book()}))


def tell(db: Database, engine: Engine, limits: Limits, n_turns: int) -> list[Row]:
    """The story, a row per turn."""
    framing, reader, known, rows = Framing(engine.backend, engine.backend.chat_template), Reader(db), set(), []
    for number in range(n_turns):
        before = set(known)
        played = play(reader, engine, framing, limits, said(number))
        done, request = played.done, played.request
        new = new_tokens(request, known)
        told = [segment for segment in request.wanted if segment.name.startswith("lore:")]
        lore = sum(len(segment.tokens) for segment in told if segment.name not in before)
        window = reader.story().chat.window
        rows.append(Row(new - lore, lore, done.stats.n_evaluated, len(told), window.get("messages", 0)))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--reply", type=int, default=40)
    parser.add_argument("--echo", action="store_true", help="without a model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder), options.turns, options.context, options.reply, options.echo)


def measure(folder: Path, n_turns: int, context: int, reply: int, echo: bool) -> int:
    db = Database(f"sqlite:///{folder}/lore.db")
    db.migrate()
    model = EchoBackend(n_cells=3 * context) if echo else LlamaBackend(demo_model(), LlamaOptions(n_cells=2 * context))
    engine = Engine(model, EngineOptions(context=context, lanes=1, folder=folder / "blocks")).start()
    rows = tell(db, engine, Limits(context, reply, engine.model_key), n_turns)
    engine.close()
    db.close()
    publish("lore", _report(rows, context, "the echo engine" if echo else "SmolLM2-135M"))
    return 0 if all(row.evaluated <= row.messages + row.lore for row in rows) else 1


def _report(rows: list[Row], context: int, model: str) -> str:
    head = ("tokens a turn", "median", "largest", "sum")
    columns = {
        "new messages, reply header": [row.messages for row in rows[1:]],
        "lore that woke": [row.lore for row in rows[1:]],
        "evaluated": [row.evaluated for row in rows[1:]],
        "read twice": [max(0, row.evaluated - row.messages - row.lore) for row in rows[1:]],
        "entries told": [row.n_told for row in rows[1:]],
    }
    lines = [(name, statistics.median(values), max(values), sum(values)) for name, values in columns.items()]
    n_evictions = len({row.evicted for row in rows}) - 1
    about = (
        f"A lorebook of 200 entries, {len(rows)} turns with {model}, context {context}; {n_evictions} evictions. "
        f"The first turn ({rows[0].evaluated} tokens, the persona) is left out. {machine()}."
    )
    return f"{about}\n\n{table(head, lines)}\n\n{_matching()}"


def _matching() -> str:
    """How long it takes to find out which of the 200 entries wake."""
    read, texts, times = read_book(book()), [said(number) * 5 for number in range(8)], {}
    for depth in (2, 4):
        deep, took = {"card": replace(read, scan_depth=depth)}, []
        for _ in range(50):
            began = time.process_time()
            activate(deep, MatchContext(texts, 100))
            took.append((time.process_time() - began) * 1000)
        times[depth] = f"{statistics.median(took):.1f} ms at a scan depth of {depth}"
    return f"Finding out which of the 200 entries wake: {', '.join(times.values())} of processor time (medians of 50)."


if __name__ == "__main__":
    sys.exit(main())
