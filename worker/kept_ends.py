"""Kept ends: what a turn wrote and the database refuses, in a file of the data folder until a later attempt saves it.

What it does: one file for each turn, whole or not there, for this user only. The next attempt at the turn, after a
restart of the worker too, saves what is in it and writes nothing anew. `sweep` removes those of turns that have ended
or are gone.
What it refuses to know: when an end is given up (endings.py), and what follows (attempt.py).
"""

import hashlib
import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from store import turns
from store.db import Database
from store.errors import NotFound
from store.messages import Reply
from store.turns import Outcome

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptEnd:
    """How a turn was to end. `cancelled`: its owner had pressed stop."""

    turn_id: str
    cancelled: bool
    outcome: Outcome
    window: dict[str, Any] | None


class KeptEnds:
    """The files of one data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "kept_ends"

    def keep(self, end: KeptEnd) -> None:
        """Write a file, on the disk when this returns. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(end.turn_id)
        draft = path.with_suffix(".new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            json.dump(asdict(end), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def find(self, turn_id: str) -> KeptEnd | None:
        """The kept end of a turn; None where there is none, or none that can be read."""
        return _read(self._path(turn_id))

    def forget(self, turn_id: str) -> None:
        """The end is saved, or counts no more."""
        with suppress(OSError):
            self._path(turn_id).unlink(missing_ok=True)

    def begin(self) -> None:
        """At the start of a worker: remove what another one had not written to its end."""
        for draft in list(self._folder.glob("*.new")):
            draft.unlink(missing_ok=True)

    def sweep(self, db: Database) -> None:
        """Remove what no attempt will come for. Raises DatabaseTrouble."""
        for path in list(self._folder.glob("*.json")):
            end = _read(path)
            if end is None or _is_over(db, end.turn_id):
                path.unlink(missing_ok=True)

    def _path(self, turn_id: str) -> Path:
        return self._folder / f"{hashlib.sha256(turn_id.encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> KeptEnd | None:
    try:
        kept = json.loads(path.read_text(encoding="ascii"))
        outcome = kept["outcome"]
        outcome["replies"] = tuple(_reply(reply) for reply in outcome["replies"])
        return KeptEnd(kept["turn_id"], kept["cancelled"], Outcome(**outcome), kept["window"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read, its turn is written anew: %s", path, error)
        return None


def _reply(values: dict[str, Any]) -> Reply:
    tokens = values.pop("tokens")
    return Reply(tokens=None if tokens is None else tuple(tokens), **values)


def _is_over(db: Database, turn_id: str) -> bool:
    try:
        return turns.get_turn(db, turn_id).ended
    except NotFound:
        return True
