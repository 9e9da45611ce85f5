"""Blocks by model: whose blocks lie in each folder of `blocks/`, what they take, and their deletion with a model.

What it does: a worker notes the key of each model that it has at work; so what a model takes on disk can be told, and
its blocks can be deleted when somebody has removed it.
What it refuses to know: when that is (keeper.py), and what is in a block (engine/blocks).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from engine import Engine
from engine.model.known_facts import KnownFacts
from store.settings import Settings


class BlockOwners:
    """Which model wrote the blocks of each folder in `blocks/WORKER`: {first letters of its key: its name}."""

    def __init__(self, data_dir: Path, worker: str) -> None:
        self._facts = KnownFacts(data_dir / "model_loads" / f"{worker}-blocks.json", "owners of blocks")
        self._folder = data_dir / "blocks" / worker

    def keep(self, model_key: str, name: str) -> None:
        """The blocks under this key are those of the model `name`."""
        self._facts.keep(folder_of(model_key), name)

    def folders(self, name: str) -> tuple[str, ...]:
        """The folders of a model, there or not."""
        return tuple(key for key, owner in self._facts.all().items() if owner == name)

    def n_bytes(self, name: str) -> int:
        """What a model's blocks take on disk."""
        return sum(map(self.n_bytes_of, self.folders(name)))

    def n_bytes_of(self, folder: str) -> int:
        """What the files of one folder take."""
        return _size(self._folder / folder)


def workers_with_blocks(data_dir: Path) -> tuple[str, ...]:
    """The workers that have blocks on this machine, alive or not."""
    folder = data_dir / "blocks"
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir())) if folder.is_dir() else ()


def folder_of(model_key: str) -> str:
    """The folder of a model's blocks (engine/blocks/store.py)."""
    return model_key[:16]


def delete_blocks(settings: Settings, engine: Engine, name: str) -> int:
    """Delete the blocks of a model on this machine, but not of the one at work; returns the bytes that went.

    Those of this worker go through its engine, which counts them. Another worker finds them missing, as after an
    eviction, and reads the text again.
    """
    n_bytes = 0
    for worker in {*workers_with_blocks(settings.data_dir), settings.worker_name}:
        owners = BlockOwners(settings.data_dir, worker)
        for key in owners.folders(name):
            if key == folder_of(engine.model_key):
                continue
            n_bytes += owners.n_bytes_of(key)
            if worker == settings.worker_name:
                engine.delete_files_of(key)
            shutil.rmtree(settings.data_dir / "blocks" / worker / key, ignore_errors=True)
    return n_bytes


def _size(folder: Path) -> int:
    total = 0
    for path, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):  # evicted meanwhile
                total += os.stat(os.path.join(path, file)).st_size
    return total
