"""Following a model on the terminal, and the downloader in the foreground while no other one runs.

What it does: `downloader` runs the same program as the server does (web/downloader), with the same lock on the models
folder, for as long as a command lasts; `follow` looks at the row until it says enough, `Progress` prints it.
What it refuses to know: which commands there are (models.py).
"""

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import click

from deploy.cli import model_words
from deploy.installation import CHECKOUT, Installation
from deploy.preflight import DeployError
from deploy.room_processes import downloader_command
from store.db import Database
from store.errors import NotFound
from store.shelf import reading
from store.shelf.beat import free_bytes, read_beat
from store.shelf.views import ModelFileView

LOOK_S, STOP_S = 0.3, 10


@contextlib.contextmanager
def downloader(installation: Installation) -> Iterator[None]:
    """Have a downloader while this lasts: the server's own, else one that ends with it."""
    if installation.is_running or not _may_fetch(installation):
        yield
        return
    process = subprocess.Popen(downloader_command(), env=dict(installation.environ), cwd=CHECKOUT)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def follow(
    db: Database,
    file: ModelFileView,
    is_enough: Callable[[ModelFileView], bool],
    say: Callable[[ModelFileView], object] = lambda file: None,
) -> ModelFileView:
    """Wait until a model of the shelf is as far as is wanted; each look at it is handed to `say`. Raises
    DeployError."""
    while True:
        say(file)
        if is_enough(file):
            return file
        time.sleep(LOOK_S)
        file = _again(db, file)


class Progress:
    """Prints how far a model is: on a terminal one line that changes, else a line for each tenth and each state."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._said: object = None

    def __call__(self, file: ModelFileView) -> None:
        """Say it, if it is news; how it fails is said by the command."""
        if file.state in ("failed", "listed"):
            return
        words = model_words.progress(file)
        news = words if self._is_terminal else (file.state, dict(file.reason), _tenths(file))
        if news == self._said:
            return
        moves = self._is_terminal and file.state == "fetching"
        click.echo(f"\r\033[K{words}" if self._is_terminal else words, nl=not moves)
        self._said = news


def free_for_models(installation: Installation) -> int | None:
    """Bytes on the disk of the models, as the downloader has told lately, else as seen from here; None where that is
    another container's folder."""
    beat = read_beat(installation.settings.data_dir)
    if beat is not None and beat.free is not None:
        return beat.free
    return free_bytes(_place(installation)) if _may_fetch(installation) else None


def _may_fetch(installation: Installation) -> bool:
    """Whether a downloader of ours could write there: in a container it is another one that may."""
    return os.access(_place(installation), os.W_OK) and importlib.util.find_spec("web") is not None


def _place(installation: Installation) -> Path:
    """The models folder, or where it will be made."""
    folder = installation.settings.models_dir
    return next((one for one in (folder, *folder.parents) if one.exists()), folder)


def _tenths(file: ModelFileView) -> int:
    return 10 * file.done // file.size if file.state == "fetching" and file.size else 0


def _again(db: Database, file: ModelFileView) -> ModelFileView:
    """The row as it is now. A pattern that is found out takes the row of its file, where there is one; of what was
    removed a worker forgets the row."""
    try:
        return reading.get_file(db, file.id)
    except NotFound:
        same = (one for one in reading.list_files(db) if one.repo == file.repo and fnmatchcase(one.path, file.path))
        found = next(same, None)
    if file.wanted == "remove":
        return replace(file, state="gone")
    if found is None:
        raise DeployError(f"{file.name} was taken off the list.")
    return found
