"""Jobs: what the downloader does about one row of the shelf, and what it writes into the row.

What it does: looks a model up and fetches its header; fetches, pauses, gives up, removes. A trouble becomes a state and
a reason: `failed` where somebody has to act, else `waiting`, to be tried again.
What it refuses to know: which row comes next, and when a waiting one is tried again (service.py).
To add a wish: store/shelf/asking.py says what else; then a line in `Jobs.do`.
"""

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from store.db import Database
from store.errors import NotFound
from store.shelf import transfers
from store.shelf.names import HEADERS, ModelSource, header_names, part_names
from store.shelf.views import ModelFileView, PartView
from web.downloader import header
from web.downloader.http import Client
from web.downloader.hubs import Hub
from web.downloader.look_up import Found, look_up
from web.downloader.part_file import PartFile, disk_trouble, is_whole
from web.downloader.progress import Progress
from web.downloader.transfer import PAUSE_S, Transfer
from web.downloader.troubles import Final, Passing, Stopped, Trouble

WORKING = ("look", "get")
_ID_LENGTH = 32


class Jobs:
    """What one downloader can do. `on_step` is called often, also while a disk is read; `in_use` gives the names of the
    models that workers run."""

    def __init__(
        self,
        db: Database,
        client: Client,
        hubs: Sequence[Hub],
        models: Path,
        data: Path,
        on_step: Callable[[], None] = lambda: None,
        pause_s: float = PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
        in_use: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._db, self._client, self._hubs = db, client, hubs
        self._models, self._headers = models, data / HEADERS
        self._on_step, self._pause_s, self._clock, self._in_use = on_step, pause_s, clock, in_use

    def do(self, file: ModelFileView) -> Trouble | None:
        """Do what is wanted of a file, and write how it ended; the trouble that it met. A row that is forgotten
        meanwhile is left."""
        try:
            return self._do(file)
        except NotFound:
            return None

    def _do(self, file: ModelFileView) -> Trouble | None:
        try:
            if file.wanted == "remove":
                self._remove(file)
            elif file.wanted == "cancel":
                self._give_up(file)
            elif file.wanted == "pause":
                transfers.record_state(self._db, file.id, "paused")
            elif file.state == "asked" or not file.parts:
                self._look(file)
            else:
                self._get(file)
        except Stopped as stopped:
            self._stopped(file, stopped.wanted)
        except Trouble as trouble:
            self._troubled(file, trouble)
            return trouble
        except SystemExit:
            if file.wanted in WORKING and file.state != "asked":
                transfers.record_state(self._db, file.id, "waiting")
            raise
        return None

    def _stopped(self, file: ModelFileView, wanted: str) -> None:
        """Somebody changed what is wanted; it is the next work."""
        if wanted == "pause":
            transfers.record_state(self._db, file.id, "paused")

    def _troubled(self, file: ModelFileView, trouble: Trouble) -> None:
        state = "waiting" if isinstance(trouble, Passing) else "failed"
        if state == "waiting" and file.state == "asked":
            state = "asked"
        if file.wanted not in WORKING:  # its files cannot be deleted
            transfers.record_kept(self._db, file.id, trouble.failure)
            return
        transfers.record_state(self._db, file.id, state, trouble.failure)

    def sweep_headers(self) -> None:
        """Delete the headers of models that are here by now, or on the shelf no more."""
        owners = transfers.header_owners(self._db)
        for path in self._headers.iterdir() if self._headers.is_dir() else ():
            if path.name.lstrip(".")[:_ID_LENGTH] not in owners:
                path.unlink(missing_ok=True)

    # -- looking -------------------------------------------------------------------------------------------------------

    def _look(self, file: ModelFileView) -> None:
        source = ModelSource(file.repo, file.path, file.url, file.sha256, file.revision)
        found = look_up(self._client, self._hubs, source)
        if not found.parts:
            listing = [{"path": one.path, "size": one.size} for one in found.listing]
            transfers.record_listing(self._db, file.id, listing)
            return
        named = self._named(file, found)
        if named.id != file.id:  # the shelf has this file already: its row has the wish now
            return
        self._fetch_headers(named, _is_same(file, named))
        state = "looked" if transfers.wanted_of(self._db, file.id) == "look" else "waiting"
        transfers.record_state(self._db, file.id, state)

    def _named(self, file: ModelFileView, found: Found) -> ModelFileView:
        return transfers.record_source(self._db, file.id, found.source, found.parts, found.licence)

    def _fetch_headers(self, file: ModelFileView, is_same: bool) -> None:
        progress = Progress(self._db, file, self._clock, self._on_step)
        for part, name in zip(file.parts, header_names(file.id, len(file.parts)), strict=True):
            target = self._headers / name
            if is_same and target.exists():
                continue
            target.unlink(missing_ok=True)
            header.fetch_header(self._client, self._places(file, part), part, target, progress.step)

    def _places(self, file: ModelFileView, part: PartView) -> list[str]:
        if file.url:
            return [file.url]
        return [hub.address(file.repo, file.revision, part.path) for hub in self._hubs]

    # -- fetching ------------------------------------------------------------------------------------------------------

    def _get(self, file: ModelFileView) -> None:
        progress = Progress(self._db, file, self._clock, self._on_step)
        files = [PartFile(self._models, name, part.size, part.sha256) for name, part in self._targets(file)]
        self._make_folder()
        missing = [one for one in zip(file.parts, files, strict=True) if not self._is_here(progress, *one)]
        self._check_room([target for _, target in missing])
        for part, target in missing:
            self._get_part(file, part, target, progress)
        transfers.record_state(self._db, file.id, "installed")
        self._forget_headers(file)

    def _make_folder(self) -> None:
        try:
            self._models.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_trouble(error, self._models, 0) from None

    def _targets(self, file: ModelFileView) -> list[tuple[str, PartView]]:
        return list(zip(part_names(file.name), file.parts, strict=True))

    def _is_here(self, progress: Progress, part: PartView, target: PartFile) -> bool:
        """Whether a part lies in the folder already, whole. Raises Final for another file of this name."""
        try:
            if not target.path.exists():
                return False
            is_known = part.done == part.size == target.path.stat().st_size
            progress.checking()
            if not is_known and not is_whole(target.path, part.size, part.sha256, progress.step):
                raise Final("fetch.name_there", name=target.path.name)
        except OSError as error:
            raise disk_trouble(error, self._models, 0) from None
        target.drop()  # a note that a kill has left
        progress.have(part, part.size)
        return True

    def _check_room(self, missing: list[PartFile]) -> None:
        """Raises Final where not all of them fit onto the disk."""
        left = sum(one.size - one.begun for one in missing)
        for one in missing[:1]:
            one.check_room(left)

    def _get_part(self, file: ModelFileView, part: PartView, target: PartFile, progress: Progress) -> None:
        seed = self._headers / header_names(file.id, len(file.parts))[part.number - 1]
        if target.begun:
            progress.checking()
        try:
            target.begin(progress.step, seed)
            progress.fetching(part, target.offset)
            places = self._places(file, part)
            Transfer(self._client, places, target, lambda n: progress.have(part, n), self._pause_s).run()
        except Final:
            transfers.record_progress(self._db, file.id, {part.number: target.offset})
            raise
        finally:
            target.close()
        progress.have(part, part.size)

    # -- giving up -----------------------------------------------------------------------------------------------------

    def _give_up(self, file: ModelFileView) -> None:
        """Delete what was fetched; a whole part of a split file, too."""
        self._delete(file)
        transfers.record_canceled(self._db, file.id)

    def _remove(self, file: ModelFileView) -> None:
        if file.name in self._in_use():  # as started: no choice in SQL says so
            raise Final("model_in_use", name=file.name)
        self._delete(file)
        transfers.record_removed(self._db, file.id)

    def _delete(self, file: ModelFileView) -> None:
        """Delete the files of a row in the models folder, and its headers. Raises Final."""
        is_whole_model = file.wanted == "remove" and file.state == "installed"
        ours = {name for name, part in zip(part_names(file.name), file.parts, strict=False) if part.done == part.size}
        try:
            for name in part_names(file.name) if _is_in_folder(file.name) else ():
                PartFile(self._models, name, 0, "").drop()
                if is_whole_model or name in ours:
                    (self._models / name).unlink(missing_ok=True)
        except OSError as error:
            raise disk_trouble(error, self._models, 0) from None
        self._forget_headers(file)

    def _forget_headers(self, file: ModelFileView) -> None:
        for name in header_names(file.id, max(1, len(file.parts))):
            (self._headers / name).unlink(missing_ok=True)
            for draft in self._headers.glob(f".{name}.*.part"):
                draft.unlink(missing_ok=True)


def _is_in_folder(name: str) -> bool:
    """Whether a name is that of a file in the models folder: that of a pattern has a slash in it."""
    return name == Path(name).name and name.lower().endswith(".gguf")


def _is_same(before: ModelFileView, now: ModelFileView) -> bool:
    """Whether the headers that are here are those of the file as the hub has it now."""
    return bool(before.parts) and [one.sha256 for one in before.parts] == [one.sha256 for one in now.parts]
