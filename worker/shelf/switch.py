"""Switch: sees that another model was chosen for this worker, and says when the process has to end for it.

What it does: `watch` (a ticker) compares the choice with the model at work. A choice that cannot work, by its header
and the plan, is refused at once: nobody waits for a restart that would end with the same model. Otherwise it announces
the change and sets `due`; main.py drains and ends with EXIT_SWITCH, a supervisor starts the process again, and
choice.py loads what is chosen then.
What it refuses to know: draining (service.py), loading, and what the pages say of it (web/server/maintenance.py).
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from engine.errors import ModelError
from engine.model.info import read_model_info
from store.broker import switching
from store.db import Database, DatabaseTrouble
from store.error_texts import english
from store.errors import Failure
from store.settings import Settings
from store.shelf import choices
from store.shelf.choices import AS_STARTED
from store.shelf.views import ChoiceView
from store.shelf.views import failure_of as failure_in
from worker.shelf.choice import CannotUse, OpenedModel, path_of
from worker.shelf.facts import ModelHeader, failure_of, plan_of
from worker.shelf.load_notes import LoadTimes

log = logging.getLogger(__name__)
SWITCH_EVERY_S = 0.5


class SwitchWatcher:
    """Watches the choice of one worker. `due`: this process has to end, so that another model can be loaded."""

    def __init__(self, settings: Settings, db: Database, redis: Redis, opened: OpenedModel) -> None:
        self._settings, self._db, self._redis = settings, db, redis
        self._name, self._free = opened.name, opened.loaded.free
        self._worker = settings.worker_name
        self.due = threading.Event()

    def serving(self) -> None:
        """The model is at work: say so to everybody."""
        try:
            choices.record_choice(self._db, self._worker, self._name, "serving")
        except DatabaseTrouble as error:
            log.warning("the choice of a model is not updated: %s", error)
        try:
            switching.end(self._redis, self._worker)
        except RedisError as error:
            log.info("pages learn a little later that the model has changed, Redis does not answer: %s", error)

    def watch(self) -> None:
        """See whether another model was chosen."""
        choice = choices.choice_of(self._db, self._worker)
        if choice is None or choice.state not in ("wanted", "loading") or self.due.is_set():
            return
        if choice.name == self._name:
            self.serving()
        elif refusal := self._refusal(choice):
            log.error("%s", english(refusal.reason, refusal.values))
            choices.fall_back(self._db, self._worker, choice.name, refusal)
        else:
            self._announce(choice)
            self.due.set()

    def _announce(self, choice: ChoiceView) -> None:
        about_s = LoadTimes(self._settings.data_dir, self._worker).about_s(choice.name, self._size(choice.name))
        log.info("the model changes from %r to %r, about %d s", self._name, choice.name, about_s)
        try:
            switching.begin(self._redis, self._worker, choice.name, about_s)
        except RedisError as error:
            log.info("pages do not learn that the model changes, Redis does not answer: %s", error)

    def _size(self, name: str) -> int:
        path = Path(path_of(self._settings, name))
        return path.stat().st_size if name != AS_STARTED and path.is_file() else 0

    def _refusal(self, choice: ChoiceView) -> Failure | None:
        """Why this choice cannot work, as far as that can be told without loading it."""
        if choice.name == AS_STARTED:
            return None
        try:
            path = Path(path_of(self._settings, choice.name))
            model = read_model_info(path)
        except CannotUse as error:
            return error.failure
        except ModelError as error:
            return failure_of(choice.name, error)
        if self._settings.backend == "echo":
            return None
        plan = plan_of(self._settings, ModelHeader(choice.name, path), model, self._free)
        return failure_in(plan.get("reason", {}))
