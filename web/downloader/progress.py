"""Progress: writes into the row how far a file is, about once a second, and hears there what is wanted meanwhile.

What it refuses to know: where the bytes come from.
"""

from collections import deque
from collections.abc import Callable

from store.db import Database
from store.shelf import transfers
from store.shelf.views import ModelFileView, PartView
from web.downloader.troubles import Stopped

EVERY_S = 1.0
WINDOW = 10
"""So many of the last writes tell the speed."""


class Progress:
    """Of one file. Its methods raise Stopped when the file is not wanted any more."""

    def __init__(
        self, db: Database, file: ModelFileView, clock: Callable[[], float], on_step: Callable[[], None]
    ) -> None:
        self._db, self._file, self._clock, self._on_step = db, file, clock, on_step
        self._done = {part.number: part.done for part in file.parts}
        self._written_at = clock()
        self._samples: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._state = file.state

    def step(self, _n_bytes: int) -> None:
        """Something goes on."""
        self._on_step()
        if self._clock() - self._written_at >= EVERY_S:
            self._written_at = self._clock()
            self._hear(transfers.wanted_of(self._db, self._file.id))

    def checking(self) -> None:
        """What is here is read again."""
        self._enter("checking")

    def fetching(self, part: PartView, n_bytes: int) -> None:
        """A part is being fetched from this byte on."""
        self._enter("fetching")
        self._done[part.number] = n_bytes
        self._samples.clear()
        self._write()

    def have(self, part: PartView, n_bytes: int) -> None:
        """So many bytes of a part are here."""
        self._on_step()
        self._done[part.number] = n_bytes
        if n_bytes == part.size or self._clock() - self._written_at >= EVERY_S:
            self._write()

    def _enter(self, state: str) -> None:
        if self._state != state:
            self._hear(transfers.wanted_of(self._db, self._file.id))
            transfers.record_state(self._db, self._file.id, state)
            self._state = state

    def _write(self) -> None:
        self._written_at = self._clock()
        self._samples.append((self._written_at, sum(self._done.values())))
        (began, first), (now, last) = self._samples[0], self._samples[-1]
        speed = (last - first) / (now - began) if now > began else 0.0
        self._hear(transfers.record_progress(self._db, self._file.id, self._done, max(0.0, speed)))

    def _hear(self, wanted: str) -> None:
        if wanted not in ("get", "look"):
            raise Stopped(wanted)
