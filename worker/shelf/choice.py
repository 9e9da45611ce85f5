"""The model that a worker runs: the one that was chosen for it, and what it falls back to where that does not load.

What it does: `open_chosen` loads the model of this worker's choice (store/shelf/choices.py). One that cannot be used,
or that has twice taken its process along, gives way to the model before it, then to the one of INGLENOOK_MODEL, then to
the demo model; the choice says why. Where nothing was chosen, or the model of the start has answered since, a wrong
INGLENOOK_MODEL is an error, as ever: whoever typed it is there to read it.
What it refuses to know: when a choice is followed (switch.py), and how a model is loaded (engine_setup.py).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

from engine import Engine, EngineError, ModelError
from store.db import Database, DatabaseTrouble
from store.error_texts import english
from store.errors import Failure
from store.settings import Settings
from store.shelf import choices
from store.shelf.choices import AS_STARTED
from store.shelf.views import ChoiceView
from worker.engine_setup import LoadedModel, load, model_path, open_engine
from worker.shelf.facts import failure_of
from worker.shelf.load_notes import LoadNote, LoadTimes
from worker.shelf.model_blocks import BlockOwners

log = logging.getLogger(__name__)
MOST_DEATHS = 2
"""A first death may have come from outside (no power, no memory for once); a second one is the model's."""


@dataclass(frozen=True)
class OpenedModel:
    """A model at work. `name`: its file in the models folder, "" as started; `settings` name its path.

    `why`: "chosen" on the page or the command line; "started", by INGLENOOK_MODEL; "demo", by nothing; "instead" of one
    that was chosen and cannot be used (`failure`).
    """

    name: str
    why: str
    settings: Settings
    loaded: LoadedModel
    engine: Engine
    failure: Failure | None = None


class CannotUse(Exception):
    """A model that was chosen is not even tried."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def open_chosen(settings: Settings, db: Database) -> OpenedModel:
    """Load the model of this worker and start its engine. Raises EngineError when there is nothing left to try."""
    choice = choices.choice_of(db, settings.worker_name)
    if choice is None or (choice.name, choice.state) == (AS_STARTED, "serving"):
        failure = choice.failure if choice else None
        return _opened(settings, AS_STARTED, "instead" if failure else _why_started(settings), failure)
    note = LoadNote(settings.data_dir, settings.worker_name)
    failure, tried = choice.failure, set[str]()
    while choice.name not in tried:
        tried.add(choice.name)
        try:
            with note.removed_by_signals():
                return _try(settings, db, choice, note, failure)
        except (EngineError, CannotUse) as error:
            failed = _failure(settings, choice.name, error)
        failure = failed if len(tried) == 1 else failure or failed  # the one that was wanted is what people ask about
        log.error("%s", english(failed.reason, failed.values))
        choice = _fall_back(db, choice, failure)
    return _opened(settings.model_copy(update={"model": ""}), AS_STARTED, "instead", failure)


def path_of(settings: Settings, name: str) -> str:
    """The value of `Settings.model` for a choice. Raises CannotUse where the file is not there."""
    if name == AS_STARTED:
        return settings.model
    path = settings.models_dir / name
    if Path(name).name != name or not path.is_file():
        raise CannotUse(Failure("model_gone", {"name": name}))
    return str(path)


def shelf_name(settings: Settings) -> str:
    """The name on the shelf of the model that the settings name; "" where it does not lie in the models folder."""
    path = Path(settings.model)
    return path.name if settings.model and path.parent == settings.models_dir else ""


def _try(settings: Settings, db: Database, choice: ChoiceView, note: LoadNote, failure: Failure | None) -> OpenedModel:
    what = f"{choice.name} chosen at {choice.chosen_at}"
    if note.n_deaths(what) >= MOST_DEATHS:
        note.end()
        raise CannotUse(Failure("model_kills", {"name": choice.name or _title(settings), "times": MOST_DEATHS}))
    chosen = settings.model_copy(update={"model": path_of(settings, choice.name)})
    note.begin(what)
    try:
        choices.record_choice(db, settings.worker_name, choice.name, "loading")
    except DatabaseTrouble as error:
        log.warning("the choice of a model is not updated: %s", error)
    why = "instead" if failure else "chosen" if choice.name else _why_started(settings)
    try:
        return _opened(chosen, choice.name, why, failure)
    finally:
        note.end()


def _failure(settings: Settings, name: str, error: Exception) -> Failure:
    return error.failure if isinstance(error, CannotUse) else failure_of(name or _title(settings), error)


def _fall_back(db: Database, choice: ChoiceView, failure: Failure) -> ChoiceView:
    """What to try next, written down if the database takes it."""
    try:
        return choices.fall_back(db, choice.worker, choice.name, failure) or choice
    except DatabaseTrouble as error:
        log.warning("the choice of a model is not updated: %s", error)
        return replace(choice, name=choice.previous if choice.previous != choice.name else AS_STARTED)


def _opened(settings: Settings, name: str, why: str, failure: Failure | None) -> OpenedModel:
    began = time.monotonic()
    loaded = load(settings)
    try:
        engine = open_engine(settings, loaded)
    except EngineError:
        loaded.backend.close()
        raise
    _learn(settings, name, engine.model_key, time.monotonic() - began)
    return OpenedModel(name, why, settings, loaded, engine, failure)


def _learn(settings: Settings, name: str, model_key: str, took_s: float) -> None:
    """Remember for the next change how long this took, and whose blocks lie under this key."""
    BlockOwners(settings.data_dir, settings.worker_name).keep(model_key, name or shelf_name(settings))
    if settings.backend != "echo":
        n_bytes = model_path(settings).stat().st_size
        LoadTimes(settings.data_dir, settings.worker_name).learn(name, n_bytes, took_s)


def _why_started(settings: Settings) -> str:
    return "started" if settings.model else "demo"


def _title(settings: Settings) -> str:
    """What the model as started is called, in a sentence."""
    try:
        return model_path(settings).name
    except ModelError:
        return "INGLENOOK_MODEL"
