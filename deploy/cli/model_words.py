"""Lines of the terminal about models: a row of the shelf, its progress, its plans, an entry of the catalogue.

What it refuses to know: commands (models.py). The admin's page says the same in templates/_models.html.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from store.error_texts import english
from store.shelf import room
from store.shelf.catalogue import Entry
from store.shelf.views import ChoiceView, ModelFileView, PlanView

KINDS = {"window": "sliding window"}


def size_text(n_bytes: float) -> str:
    """640 MB, 5.6 GB; "?" where it is not known."""
    return room.size_text(n_bytes) if n_bytes else "?"


def time_text(seconds: float) -> str:
    """A duration: 12 s, 3 min, 2.5 h."""
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def table(files: Iterable[ModelFileView], choices: Iterable[ChoiceView]) -> Iterator[str]:
    """One line for each model of the shelf; a star before those that a worker runs."""
    used = {choice.name for choice in choices}
    rows = [("*" if file.name in used else " ", file.name, *_facts(file)) for file in files]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    for row in rows:
        yield "  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip()


def room_line(one: room.ModelRoom) -> str:
    """What is free and what is taken, in one line."""
    known = (
        ("free for models", one.free if one.free is not None else 0),
        ("models", one.models),
        ("memory of stories", one.stories),
        ("still to be fetched", one.to_come),
    )
    told = [f"{name}: {size_text(n_bytes)}" for name, n_bytes in known if n_bytes]
    return " · ".join(told) + ("" if one.is_enough else " (no room for all of it)")


def progress(file: ModelFileView) -> str:
    """How far a file is, or why it does not go on."""
    if file.state == "fetching" and file.size:
        speed = f", {size_text(file.speed)} a second" if file.speed else ""
        left = f", about {time_text(file.seconds_left)} left" if file.seconds_left is not None else ""
        share = f"{100 * file.done // file.size} % of {size_text(file.size)}"
        return f"{file.name}: {share}{speed}{left}{_because(file)}"
    return f"{file.name}: {_STATES.get(file.state, file.state)}{_because(file)}"


def plan(one: PlanView) -> str:
    """What a worker could do with a model, or why not."""
    told = one.plan
    if told.get("reason"):
        return f"{one.worker}: {failure_text(told['reason'])}"
    on_card, layers = told.get("gpu_layers", 0), told.get("layers", 0)
    where = f"{on_card} of {layers} layers on the card" if told.get("card") else "the CPU computes"
    parts = (
        where,
        f"{told.get('lanes')} at once",
        f"{told.get('context', 0):,} tokens each",
        f"about {told.get('stories_in_ram', 0):,} sleeping stories in RAM, {told.get('stories_on_disk', 0):,} on disk",
    )
    return f"{one.worker}: fits: {', '.join(parts)}"


def suggestion(entry: Entry) -> Iterator[str]:
    """Two lines about an entry of the catalogue."""
    cards = ", ".join(f"{size} GB" for size in entry.cards)
    facts = (KINDS.get(entry.kind, entry.kind), entry.licence, ", ".join(entry.languages))
    yield f"{entry.id:<16}{entry.title} · for {cards} · {' · '.join(facts)}"
    yield f"{'':<16}{entry.sentence('en')}"


def failure_text(failure: Any) -> str:
    """The sentence of a reason as a row or a plan keeps it."""
    if not isinstance(failure, dict) or not failure.get("reason"):
        return "it cannot be used"
    return english(str(failure["reason"]), dict(failure.get("values") or {}))


_STATES = {
    "asked": "asks the hub",
    "looked": "its header is here",
    "waiting": "waits for its turn",
    "checking": "is checked",
    "installed": "is here",
    "paused": "paused",
    "failed": "failed",
    "canceled": "canceled",
    "gone": "is not in the models folder any more",
    "listed": "several files, or none, have such a name",
}


def _facts(file: ModelFileView) -> tuple[str, str, str]:
    kind = str(file.facts.get("kind") or "")
    state = f"{100 * file.done // file.size} %" if file.state == "fetching" and file.size else file.state
    return state, size_text(file.size), KINDS.get(kind, kind)


def _because(file: ModelFileView) -> str:
    return f": {failure_text(dict(file.reason))}" if file.reason else ""
