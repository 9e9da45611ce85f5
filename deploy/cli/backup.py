"""`inglenook backup` and `inglenook restore`: an installation to one file, and back.

What it does: `-` is standard output or input, for containers whose only writable folder is the data folder.
What it refuses to know: the contents of the file (store/backup).
"""

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from deploy.installation import find_installation, open_database
from deploy.preflight import DeployError
from deploy.stack_paths import StackPaths, exclusive_lock
from store.backup import leftovers
from store.backup.dump import write_backup
from store.backup.restore import restore_backup

TEMPORARY = re.compile(r"\.(backup|restore)-[a-z0-9_]{8}")  # as `tempfile` names them
COUNTED_TABLES = ("users", "characters", "chats", "messages", "pictures")


@click.command("backup")
@click.argument("file", type=click.Path(allow_dash=True, path_type=Path))
@click.option("--overwrite", is_flag=True, help="replace FILE if it is there")
def backup_command(file: Path, overwrite: bool) -> None:
    """Write the whole installation into FILE, while people go on writing.

    FILE may be a folder (the file is named by the time) or - for standard output. It holds every story and the key
    that signs cookies: keep it where only you can read it.
    """
    installation = find_installation()
    with (
        open_database(installation, any_version=True) as db,
        _target(file, overwrite, installation.settings.data_dir) as path,
    ):
        summary = write_backup(db, path, installation.settings.kept_secret_key())
        if str(file) == "-":
            with path.open("rb") as source:
                shutil.copyfileobj(source, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    where = "the backup" if str(file) == "-" else str(path)
    click.echo(f"{where}: {_counts_text(summary.rows)}; {summary.n_bytes / 1e6:.1f} MB, read back and whole.", err=True)


@click.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--replace", is_flag=True, help="even if people live here: what is there is put aside")
def restore_command(file: Path, replace: bool) -> None:
    """Make this installation the one in FILE (- for standard input). It must not be running."""
    settings = find_installation().settings
    with exclusive_lock(StackPaths(settings.data_dir)), _source(file, settings.data_dir) as path:
        restored = restore_backup(settings, path, replace)
    made_at = datetime.fromtimestamp(restored.made_at)
    click.echo(f"The backup of {made_at:%Y-%m-%d %H:%M} is back: {_counts_text(restored.rows)}.")
    if restored.aside is not None:
        click.echo(f"What was here before lies in {restored.aside}.")
    click.echo("Start inglenook now.")


def _counts_text(rows: dict[str, int]) -> str:
    """1 user, 3 chats, ..."""
    counts = [(rows[name], name) for name in COUNTED_TABLES if name in rows]
    return ", ".join(f"{number} {name[:-1] if number == 1 else name}" for number, name in counts)


@contextmanager
def _target(file: Path, overwrite: bool, data_dir: Path) -> Iterator[Path]:
    """The path to write the backup to; a temporary one for standard output."""
    if str(file) == "-":
        leftovers.sweep(data_dir, TEMPORARY)
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=data_dir) as folder, leftovers.held(Path(folder)):
            yield Path(folder) / "backup.zip"
        return
    if file.is_dir():
        file = file / f"inglenook-{time.strftime('%Y%m%d-%H%M%S')}.zip"
    if file.exists() and not overwrite:
        raise DeployError(f"{file} is there already: name another file, or say --overwrite.")
    yield file


@contextmanager
def _source(file: Path, data_dir: Path) -> Iterator[Path]:
    """The file to restore; standard input is copied into a temporary file in the data folder."""
    if str(file) != "-":
        yield file
        return
    leftovers.sweep(data_dir, TEMPORARY)
    with tempfile.NamedTemporaryFile(prefix=".restore-", dir=data_dir) as kept, leftovers.held(Path(kept.name)):
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        yield Path(kept.name)
