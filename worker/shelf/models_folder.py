"""The models folder: which model files lie in it, complete and at rest.

What it does: lists GGUF files with their sizes; the parts of a split model count as one, under the name of the first,
and only when all of them are there. A file that is still being copied is reported once it has not changed from one look
to the next. Nothing is opened, nothing is followed out of the folder but a link that somebody has put there.
What it refuses to know: rows (store/shelf), what a header says (facts.py), and how files come here.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from store.shelf.names import MAX_NAME, part_names
from store.shelf.reading import MAX_FILES

log = logging.getLogger(__name__)
MAX_ENTRIES = 5_000
Stamp = tuple[tuple[int, int], ...]
"""Of each part its bytes and the time of its last change, in ns: another one, and it is another file."""


@dataclass(frozen=True)
class FoundModel:
    """A model in the folder: `path` is its first part, `size` the bytes of all parts."""

    path: Path
    size: int
    stamp: Stamp


class ModelFolder:
    """Looks into one folder again and again. `look` is not thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: Mapping[str, FoundModel] | None = None
        self._at_rest: dict[str, FoundModel] = {}

    @property
    def present(self) -> frozenset[str]:
        """The names of all models that were there at the last look, at rest or not."""
        return frozenset(self._seen or ())

    def look(self) -> Mapping[str, FoundModel] | None:
        """The models that are at rest, by name; None at the first look, which has nothing to compare with.

        A model that changes under its name stays as it was until it is at rest again. Raises OSError where the folder
        is there and cannot be read.
        """
        before, self._seen = self._seen, scan(self.folder)
        if before is None:
            return None
        still = {name: found for name, found in self._seen.items() if before.get(name) == found}
        changing = {name: found for name, found in self._at_rest.items() if name in self._seen and name not in still}
        self._at_rest = {**changing, **still}
        return self._at_rest


def scan(folder: Path) -> dict[str, FoundModel]:
    """Every model of which all parts lie in the folder, by name. Without a folder there are none."""
    files = _files(folder)
    models = {}
    for name in sorted(files):
        parts = part_names(name)
        if parts[0] == name and all(part in files for part in parts):
            stamp = tuple(files[part] for part in parts)
            models[name] = FoundModel(folder / name, sum(size for size, _ in stamp), stamp)
    if len(models) > MAX_FILES:
        log.warning("%s has %d models, only the first %d are on the shelf", folder, len(models), MAX_FILES)
    return dict(list(models.items())[:MAX_FILES])


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Bytes and time of each file that may be a model or a part of one, by name."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(MAX_ENTRIES), entries, strict=False):
                if _may_be_model(entry):
                    status = entry.stat()
                    found[entry.name] = (status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        return {}
    return found


def _may_be_model(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    readable = name.isprintable() and not name.startswith(".") and len(name) <= MAX_NAME
    return readable and name.lower().endswith(".gguf") and entry.is_file()
