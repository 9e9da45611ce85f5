"""Shelf keeper: makes the rows of the shelf agree with the models folder, and writes facts, plans and sizes of blocks.

What it does: `tick` makes the rows agree with the folder, reads at most one header (of a file that is here, or of one
that was only looked at), and writes its facts and what this worker could do with it. Facts and plans are made again
when the file, the settings or the memory that is free without a model change. Of a model that somebody has removed it
has the blocks deleted, of all workers of this machine (model_blocks.py); nothing else is ever deleted here.
What it refuses to know: how files are fetched and deleted (web/downloader), what a plan is (facts.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from engine.errors import ModelError
from engine.model.info import ModelInfo
from store.db import Database
from store.errors import NotFound
from store.settings import Settings
from store.shelf import asking, folder, reading
from store.shelf.names import HEADERS, header_names
from store.shelf.views import ModelFileView
from worker.shelf.choice import OpenedModel
from worker.shelf.facts import ModelHeader, facts_of, plan_of, unusable
from worker.shelf.model_blocks import BlockOwners, delete_blocks
from worker.shelf.models_folder import FoundModel, ModelFolder

log = logging.getLogger(__name__)
SHELF_EVERY_S = 2.0
WEIGH_EVERY_S = 300.0


class ShelfKeeper:
    """Keeps the rows of one worker up to date. Called by a ticker."""

    def __init__(
        self, settings: Settings, db: Database, opened: OpenedModel, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._db, self._engine = settings, db, opened.engine
        self._free = opened.loaded.free
        self._device = opened.loaded.device.name if opened.loaded.device else ""
        self._folder = ModelFolder(settings.models_dir)
        self._clock, self._weigh_at = clock, clock()
        self._versions: dict[str, str] = {}

    def tick(self) -> None:
        """One round."""
        found = self._folder.look()
        if found is None:
            return
        self._record(found)
        files = reading.list_files(self._db)
        self._clean_up()
        if any(self._examine(file, found) for file in files):  # one at the most
            self._weigh_at = min(self._weigh_at, self._clock() + SHELF_EVERY_S)
        if self._clock() >= self._weigh_at:
            self._weigh_at = self._clock() + WEIGH_EVERY_S
            self._weigh(files)

    def _record(self, found: Mapping[str, FoundModel]) -> None:
        """Make the rows agree with the folder. A file that has just been installed is there, and not at rest yet."""
        here = self._folder.present
        installed = {one.name: one.size for one in reading.list_files(self._db) if one.state == "installed"}
        sizes = {name: size for name, size in installed.items() if name in here}
        folder.record_folder(self._db, sizes | {name: one.size for name, one in found.items()})

    # -- facts and plans --------------------------------------------------------------------------------------------

    def _examine(self, file: ModelFileView, found: Mapping[str, FoundModel]) -> bool:
        """Read the header of a file and write what follows; False: there is none, or nothing has changed."""
        known = self._header(file, found)
        if known is None:
            return False
        header, version = known
        if self._versions.get(file.id) == version and file.facts:
            return False
        try:
            facts, plan = self._told(header)
        except OSError as error:
            log.info("%s cannot be looked at now: %s", header.name, error)
            return False
        with suppress(NotFound):  # removed meanwhile
            if dict(file.facts) != facts:
                folder.record_facts(self._db, file.id, facts)
            kept = file.plans.get(self._settings.worker_name)
            blocks = {"block_bytes": kept.plan["block_bytes"]} if kept and "block_bytes" in kept.plan else {}
            if kept is None or dict(kept.plan) != {**plan, **blocks}:
                folder.record_plan(self._db, file.id, self._settings.worker_name, {**plan, **blocks})
        self._versions[file.id] = version
        return True

    def _header(self, file: ModelFileView, found: Mapping[str, FoundModel]) -> tuple[ModelHeader, str] | None:
        """Where the header of a file can be read, and a text that is another one as soon as its answer may be."""
        if here := found.get(file.name):
            return ModelHeader(file.name, here.path), f"whole {here.stamp}"
        if file.state in ("installed", "gone", "listed") or not file.parts:
            return None
        headers = self._settings.data_dir / HEADERS
        paths = [headers / name for name in header_names(file.id, len(file.parts))]
        if not all(path.is_file() for path in paths):
            return None
        sizes = tuple(part.size for part in file.parts)
        stamps = [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
        return ModelHeader(file.name, parts=tuple(zip(paths, sizes, strict=True))), f"header {sizes} {stamps}"

    def _told(self, header: ModelHeader) -> tuple[dict[str, Any], dict[str, Any]]:
        """Facts and plan of a file; a reason in both where it cannot be used. Raises OSError."""
        try:
            model: ModelInfo = header.read()
        except ModelError as error:
            wrong = unusable(header.name, error)
            return wrong, wrong
        return facts_of(model), plan_of(self._settings, header, model, self._free, self._device)

    # -- blocks -----------------------------------------------------------------------------------------------------

    def _weigh(self, files: tuple[ModelFileView, ...]) -> None:
        """Write what the blocks of each model take on this worker's disk, with its plan."""
        owners = BlockOwners(self._settings.data_dir, self._settings.worker_name)
        for file in files:
            kept = file.plans.get(self._settings.worker_name)
            n_bytes = owners.n_bytes(file.name)
            if kept and kept.plan.get("block_bytes", 0) != n_bytes:
                with suppress(NotFound):
                    plan = {**kept.plan, "block_bytes": n_bytes}
                    folder.record_plan(self._db, file.id, self._settings.worker_name, plan)

    def _clean_up(self) -> None:
        """Delete the blocks of the models that somebody has removed, and their rows."""
        for file_id in folder.to_clean_up(self._db):
            with suppress(NotFound):  # another worker was faster
                name = reading.get_file(self._db, file_id).name
                n_bytes = delete_blocks(self._settings, self._engine, name)
                asking.forget(self._db, file_id)
                log.info("%s was removed, with %d bytes of blocks", name, n_bytes)
