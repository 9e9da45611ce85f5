"""The values of the admin's page of models: files of the shelf, plans and choices of workers, the catalogue for a card.

What it does: joins the shelf's rows, the registry and the catalogue into values for templates.
What it refuses to know: HTML and forms (model_page.py), and how a plan or a fact came to be (the worker's).
To add a fact of a model: the worker writes it (`facts` or a plan); its words in templates/_models.html.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from redis.exceptions import RedisError

from store.broker import registry
from store.broker.registry import WorkerView
from store.messages import clock
from store.shelf import catalogue, choices, reading
from store.shelf.beat import read_beat
from store.shelf.catalogue import Entry
from store.shelf.room import ModelRoom, left_of, room_of
from store.shelf.views import ChoiceView, ModelFileView, PlanView
from web.services import Services

HERE = ("installed", "gone")
ENDED = ("canceled",)
AWAY_S = 120.0
"""A worker that is there sees its choice within a second, and takes some more to end."""


@dataclass(frozen=True)
class Row:
    """A model of the shelf. `entry`: what the catalogue says of it; `plans`: those of workers that are there, or
    come back with another model."""

    file: ModelFileView
    entry: Entry | None
    plans: tuple[PlanView, ...]

    @property
    def title(self) -> str:
        """Its name for people."""
        known = self.file.facts.get("name") or (self.entry.title if self.entry else "")
        return str(known or (self.file.repo if ":" in self.file.name else self.file.name))

    @property
    def kind(self) -> str:
        """dense, window or hybrid; "" while nobody has read its header and the catalogue has none."""
        return str(self.file.facts.get("kind") or (self.entry.kind if self.entry else ""))

    @property
    def licence(self) -> str:
        """As its repository says, else as the catalogue."""
        return self.file.licence or (self.entry.licence if self.entry else "")

    @property
    def block_bytes(self) -> int:
        """What its stories keep on the disks of all workers."""
        return sum(int(plan.plan.get("block_bytes", 0)) for plan in self.file.plans.values())

    @property
    def left(self) -> int:
        """Bytes that are still to be fetched."""
        return left_of(self.file)

    def may_run_on(self, worker: str) -> bool:
        """Whether nothing is known that keeps a worker from running it."""
        plan = self.file.plans.get(worker)
        return not (self.file.facts.get("reason") or (plan and plan.plan.get("reason")))


@dataclass(frozen=True)
class WorkerRow:
    """A worker: what it runs, and the choice that was made for it, if any. `view` is None while it is not there."""

    name: str
    view: WorkerView | None
    choice: ChoiceView | None

    @property
    def is_changing(self) -> bool:
        """Whether it is on its way to another model."""
        return self.choice is not None and self.choice.state in ("wanted", "loading") and not self.is_away

    @property
    def is_away(self) -> bool:
        """Whether it has not even seen its choice: it will when it starts."""
        unseen = self.choice is not None and self.choice.state == "wanted" and self.view is None
        return unseen and self.choice is not None and abs(clock(None) - self.choice.chosen_at) > AWAY_S

    def use_of(self, name: str) -> str:
        """What a model is to this worker: "wanted" or "loading", "serving", "" nothing."""
        if self.choice is not None and self.is_changing:
            return self.choice.state if self.choice.name == name else ""
        return "serving" if self.view is not None and self.view.engine.model_file == name else ""


@dataclass(frozen=True)
class ModelsView:
    """The page. `card`: the size in GB whose suggestions are shown; `own_card`: that of this machine, 0: not known.
    `fetches`: whether the downloader gives signs of life; `room`: on its disk, and what is taken of it."""

    workers: tuple[WorkerRow, ...]
    here: tuple[Row, ...]
    coming: tuple[Row, ...]
    suggested: tuple[tuple[Entry, ModelFileView | None], ...]
    card: int
    own_card: int
    language: str
    fetches: bool
    room: ModelRoom
    cards: tuple[int, ...] = catalogue.CARDS_GB


def read_models(services: Services, language: str, card: int | None = None) -> ModelsView:
    """Everything that the page shows. Where Redis does not answer, no worker is known."""
    files, chosen = reading.list_files(services.database), choices.list_choices(services.database)
    living = _living(services)
    workers = _workers(living, chosen)
    present = {worker.name for worker in workers if worker.view or worker.is_changing}
    rows = tuple(_row(file, present) for file in files if file.state not in ENDED)
    on_cards = (one.engine.budget_bytes for one in living.values() if one.engine.gpu_layers)
    own_card = max(map(catalogue.card_size, on_cards), default=0)
    beat = read_beat(services.settings.data_dir)
    weighed = {name: one.engine.disk_used for name, one in living.items()}
    shown = card if card in catalogue.CARDS_GB else own_card or catalogue.CARDS_GB[0]
    return ModelsView(
        workers,
        tuple(row for row in rows if row.file.state in HERE),
        tuple(sorted((row for row in rows if row.file.state not in HERE), key=lambda row: row.file.added_at)),
        tuple((entry, _file_of_entry(files, entry)) for entry in catalogue.entries() if shown in entry.cards),
        shown,
        own_card,
        language,
        beat is not None,
        room_of(files, beat.free if beat else None, weighed),
    )


def is_toy(services: Services) -> bool:
    """Whether nothing but the demo model answers."""
    living = _living(services).values()
    return bool(living) and all(one.engine.model_why == "demo" for one in living)


def worker_names(services: Services) -> tuple[str, ...]:
    """The workers that may be told to run a model: those that are there, and those that were told before."""
    chosen = (choice.worker for choice in choices.list_choices(services.database))
    return tuple(sorted({*_living(services), *chosen}))


def entry_of(file: ModelFileView) -> Entry | None:
    """What the catalogue has about a file of a repository."""
    return next((one for one in catalogue.entries() if _is_of(file, one)), None)


def _living(services: Services) -> Mapping[str, WorkerView]:
    try:
        return registry.alive(services.redis)
    except RedisError:
        return {}


def _row(file: ModelFileView, present: Container[str]) -> Row:
    return Row(file, entry_of(file), tuple(plan for name, plan in sorted(file.plans.items()) if name in present))


def _workers(living: Mapping[str, WorkerView], chosen: Iterable[ChoiceView]) -> tuple[WorkerRow, ...]:
    by_name: dict[str, Any] = {choice.worker: choice for choice in chosen}
    return tuple(WorkerRow(name, living.get(name), by_name.get(name)) for name in sorted({*living, *by_name}))


def _file_of_entry(files: Iterable[ModelFileView], entry: Entry) -> ModelFileView | None:
    return next((file for file in files if file.state not in ENDED and _is_of(file, entry)), None)


def _is_of(file: ModelFileView, entry: Entry) -> bool:
    return file.repo == entry.repo and (file.path == entry.file or fnmatchcase(file.path, entry.file))
