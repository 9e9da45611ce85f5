"""The check of a SQLite file before a start: damaged, emptied, or from a later version; each is one sentence.

What it does: reads its pages for CHECK_LIMIT_S at most. An empty database is a new installation, unless traces of a
former one lie beside it. Every sentence names the newest backup that lies there.
What it refuses to know: servers (PostgreSQL checks itself), and how a backup is restored (store/backup).
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from deploy.preflight import DeployError, disk_is_full
from store.db import DatabaseTrouble, known_versions, sqlite_file
from store.full_disk import is_full
from store.settings import Settings

CHECK_LIMIT_S = 5.0
_STEPS = 10_000  # of SQLite's virtual machine between two looks at the clock


def check_database(settings: Settings) -> None:
    """Raise DeployError for a database that must be restored before a start."""
    try:
        file = sqlite_file(settings.database_url)
    except (ValueError, DatabaseTrouble) as error:  # a URL that is none
        raise DeployError(f"INGLENOOK_DATABASE_URL is wrong: {str(error).splitlines()[0]}") from None
    if file is None:
        return
    if _is_empty(file):
        _refuse_emptied(settings, file)
        return
    damage, version = _examine(file)
    if damage:
        raise damaged(settings, damage)
    if version is not None and version not in known_versions():
        raise DeployError(
            f"The database {file} was made by a newer inglenook (its tables have version {version}, this one knows "
            f"them up to {known_versions()[-1]}): update inglenook, or restore a backup from before."
        )


def database_trouble(settings: Settings, error: DatabaseTrouble) -> DeployError:
    """The sentence for a database that fails during the start."""
    cause = getattr(error, "orig", None) or error
    if is_full(error):
        return disk_is_full(settings.data_dir, str(cause).splitlines()[0])
    if isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError):
        return damaged(settings, str(cause))
    where = sqlite_file(settings.database_url) or "of INGLENOOK_DATABASE_URL"
    return DeployError(
        f"The database {where} cannot be used ({str(cause).splitlines()[0]}): `inglenook doctor` says more."
    )


def damaged(settings: Settings, what: str) -> DeployError:
    """The sentence for a damaged file."""
    return DeployError(
        f"The database {sqlite_file(settings.database_url)} is damaged ({what.splitlines()[0][:200]}): bring "
        f"the last backup back, {restore_command(settings)}. What is there is put aside."
    )


def newest_backup(settings: Settings) -> Path | None:
    """The newest file that looks like a backup, in the data folder or in a folder `backups` in it or beside it."""
    data = settings.data_dir.absolute()
    folders = (data, data / "backups", data.parent / "backups")
    found = [path for folder in folders for path in _files(folder, "inglenook-*.zip")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def restore_command(settings: Settings) -> str:
    """The command that brings the last backup back."""
    backup = newest_backup(settings)
    return f"`inglenook restore {backup.resolve() if backup else 'FILE'} --replace`"


def _is_empty(file: Path) -> bool:
    """Whether there is no file, no byte, or no table in it."""
    if not file.exists() or file.stat().st_size == 0:
        return True
    try:
        with closing(_open(file)) as connection:
            return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,))
    except sqlite3.DatabaseError:
        return False


def _refuse_emptied(settings: Settings, file: Path) -> None:
    trace = next(_traces(settings, file), None)
    if trace is None:
        return
    raise DeployError(
        f"The database {file} is empty, and yet people have used this installation ({trace} is here): bring the last "
        f"backup back, {restore_command(settings)}. To begin anew without their stories, move the folder "
        f"{settings.data_dir} away."
    )


def _traces(settings: Settings, file: Path) -> Iterator[Path]:
    """What only an installation leaves behind in which something was written."""
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size and not (file.exists() and file.stat().st_size):
        yield log  # beside a file with a page in it, this may be the first migration of another process
    yield from _files(settings.data_dir, "before-restore-*")
    yield from _files(settings.data_dir, "inglenook-*.zip")
    yield from _files(settings.data_dir / "blocks", "*")


def _files(folder: Path, pattern: str) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.glob(pattern))
    return []


def _examine(file: Path) -> tuple[str, str | None]:
    """The first damage found, and the version of the tables."""
    try:
        with closing(_open(file)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            version = None
            if "alembic_version" in names:
                version = (connection.execute("SELECT version_num FROM alembic_version").fetchone() or (None,))[0]
            return _check_pages(connection), version
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "unable to open" in str(error):
            return "", None  # somebody else works with it, or it is not ours: the start itself says which
        return str(error), None
    except sqlite3.DatabaseError as error:
        return str(error), None


def _check_pages(connection: sqlite3.Connection) -> str:
    """The first line of SQLite's own check; empty if all is well, or if time is up."""
    deadline = time.monotonic() + CHECK_LIMIT_S
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return ""
        raise
    return "" if said == "ok" else said


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=5)
