"""Restore: an installation from a backup, atomically; the former database is moved aside, never overwritten.

What it does: verifies the whole backup, creates tables of its version, fills them, runs the migrations, checks all
foreign keys, and only then switches. SQLite: a new file replaces the old one, which goes to a folder beside it.
PostgreSQL: one transaction, after a backup of the former data.
What it refuses to know: running processes (it only checks that the database has no other connections), and Redis, which
recovers from SQL.
"""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, make_url, text

from store import secret_key as key_file
from store.backup.archive import Archive, BackupError, to_bytes
from store.backup.dump import VERSIONS, binary_columns, make_durable, reflect_tables, write_backup
from store.db import Database, DatabaseTrouble, known_versions, tables_version, upgrade_tables
from store.search.tables import drop_tables, index_again
from store.settings import Settings

_BATCH_BYTES = 4 << 20
_LEAVING_S = 2.0
_MISFITS = (DatabaseTrouble, ValueError, TypeError, KeyError, AttributeError, OverflowError)  # whatever a row may hold
_IN_USE = (
    "Somebody is using this database: stop inglenook first (Ctrl+C, or `docker compose stop web worker downloader`)."
)
_NOT_EMPTY = (
    "People use this installation already: `--replace` puts what is there aside and restores the backup in its place."
)


@dataclass(frozen=True)
class RestoreResult:
    """Rows per table, and the folder of the former installation (None: there was none)."""

    rows: dict[str, int]
    made_at: float
    from_version: str
    aside: Path | None


def restore_backup(settings: Settings, source: Path, replace: bool = False, now: float | None = None) -> RestoreResult:
    """Replace the installation of these settings by the one in `source`. Raises BackupError; then nothing has
    changed."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    with Archive(source) as archive:
        _refuse_newer(archive)
        archive.verify()
        with _new_key(settings, archive.secret_key) as staged:
            aside = _switch(settings, archive, replace, stamp)
            _install_key(settings, staged, aside)
        rows = {name: facts.rows for name, facts in archive.tables.items()}
        return RestoreResult(rows, archive.made_at, archive.version, aside)


def _switch(settings: Settings, archive: Archive, replace: bool, stamp: str) -> Path | None:
    """Put the backup in the place of what is there; the folder of what was there."""
    if make_url(settings.database_url).get_backend_name() == "sqlite":
        return _into_file(settings, archive, replace, stamp)
    return _into_server(settings, archive, replace, stamp)


def _refuse_newer(archive: Archive) -> None:
    known = known_versions()
    if archive.version not in known:
        raise BackupError(
            f"This backup has tables of version {archive.version}, this inglenook knows them up to {known[-1]}: "
            "update inglenook first."
        )


# -- SQLite ------------------------------------------------------------------------------------------------------------


def _into_file(settings: Settings, archive: Archive, replace: bool, stamp: str) -> Path | None:
    db = Database(settings.database_url)
    target = db.file
    assert target is not None
    if target.exists():
        try:
            _refuse_accounts(db, replace)
        finally:
            db.close()
        _close_file(target, replace)
    fresh = target.with_name(f".{target.name}.restoring")
    try:
        _remove_file(fresh)
        _build(Database(f"sqlite:///{fresh}"), archive)
        _close_file(fresh, replace=False)
        aside = _put_aside(target, stamp) if target.exists() else None
        fresh.replace(target)
        make_durable(target.parent)
    except OSError as error:
        raise BackupError(
            f"{error.filename} cannot be written ({error.strerror}): make room or name another."
        ) from None
    finally:
        _remove_file(fresh)
    return aside


def _close_file(target: Path, replace: bool) -> None:
    """Merge the write-ahead log into the file, which needs exclusive access. `replace`: ignore damage."""
    connection = sqlite3.connect(target, timeout=1)
    try:
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise BackupError(_IN_USE) from None
        if not replace:
            raise
    except sqlite3.DatabaseError:
        if not replace:
            raise
    finally:
        connection.close()


def _put_aside(target: Path, stamp: str) -> Path:
    folder = _new_folder(target.parent, stamp)
    for path in _files(target):
        if path.exists():
            path.replace(folder / path.name)
    return folder


def _remove_file(target: Path) -> None:
    for path in (*_files(target), target.with_name(f"{target.name}.migrate.lock")):
        path.unlink(missing_ok=True)


def _files(target: Path) -> Iterator[Path]:
    return (target.with_name(target.name + end) for end in ("", "-wal", "-shm"))


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


def _into_server(settings: Settings, archive: Archive, replace: bool, stamp: str) -> Path | None:
    db = Database(settings.database_url)
    try:
        aside = None
        if db.version() is not None:
            _refuse_accounts(db, replace)
            with db.snapshot() as connection:
                _refuse_other_connections(connection)
            aside = _new_folder(settings.data_dir, stamp)
            write_backup(db, aside / "database.zip")
        _build(db, archive)
    finally:
        db.close()
    return aside


def _refuse_other_connections(connection: Connection) -> None:
    """Raise BackupError while other connections are open, after up to _LEAVING_S for those that are closing."""
    if connection.dialect.name != "postgresql":
        return
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + _LEAVING_S
    while connection.scalar(text(others)):
        if time.monotonic() > deadline:
            raise BackupError(_IN_USE)
        time.sleep(0.1)
        connection.execute(text("SELECT pg_stat_clear_snapshot()"))


# -- both --------------------------------------------------------------------------------------------------------------


def _refuse_accounts(db: Database, replace: bool) -> None:
    """Raise BackupError where accounts exist or the database cannot be read, unless `replace`."""
    accounts: Any
    try:
        with db.snapshot() as connection:
            accounts = tables_version(connection) and connection.scalar(text("SELECT count(*) FROM users"))
    except DatabaseTrouble as error:
        accounts = str(error)
    if accounts and not replace:
        raise BackupError(_NOT_EMPTY)


def _new_folder(parent: Path, stamp: str) -> Path:
    """A new folder with the time in its name."""
    names = (f"before-restore-{stamp}{end}" for end in ("", *(f"-{n}" for n in range(2, 100))))
    folder = next(parent / name for name in names if not (parent / name).exists())
    folder.mkdir(mode=0o700, parents=True)
    return folder


def _build(db: Database, archive: Archive) -> None:
    """Tables and rows in one transaction, then the bundled characters of this version."""
    try:
        with db.rebuilding() as connection:
            _refuse_other_connections(connection)
            drop_tables(connection)
            reflect_tables(connection).drop_all(connection)
            upgrade_tables(connection, archive.version)
            _fill(connection, archive)
            upgrade_tables(connection)
            index_again(connection)
            _check_references(connection)
        db.migrate()
    except BackupError:
        raise
    except _MISFITS as error:
        raise BackupError(f"The backup does not fit into this database: {_first_line(error)}") from None
    finally:
        db.close()


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]


def _fill(connection: Connection, archive: Archive) -> None:
    tables = [table for table in reflect_tables(connection).sorted_tables if table.name != VERSIONS]
    if {table.name for table in tables} != set(archive.tables):
        raise BackupError("The tables in this backup are not those of its version: use another copy of it.")
    for table in tables:
        for rows in _batches(archive, table):
            connection.execute(table.insert(), rows)


def _batches(archive: Archive, table: Table) -> Iterator[list[dict[str, Any]]]:
    """The rows of a table, a few megabytes at a time."""
    binary, rows, n_bytes = binary_columns(table), list[dict[str, Any]](), 0
    for line in archive.lines(table.name):
        row = archive.row(table.name, line)
        rows.append(row | {name: to_bytes(row[name]) for name in binary})
        n_bytes += len(line)
        if n_bytes >= _BATCH_BYTES:
            yield rows
            rows, n_bytes = [], 0
    if rows:
        yield rows


def _check_references(connection: Connection) -> None:
    """Check all foreign keys on SQLite; PostgreSQL has checked each row."""
    if connection.dialect.name == "sqlite" and (wrong := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
        raise BackupError(f"{len(wrong)} rows of this backup point to nothing: use another copy of it.")


@contextmanager
def _new_key(settings: Settings, secret_key: str | None) -> Iterator[Path | None]:
    """The key of the backup, written beside its place before anything is switched; None where it is not wanted."""
    if secret_key is None or settings.secret_key:
        yield None
        return
    staged = settings.data_dir / ".secret_key.restoring"
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        key_file.write(staged, secret_key)
        yield staged
    except OSError as error:
        raise BackupError(
            f"{error.filename} cannot be written ({error.strerror}): make room or name another."
        ) from None
    finally:
        with suppress(OSError):
            staged.unlink(missing_ok=True)


def _install_key(settings: Settings, staged: Path | None, aside: Path | None) -> None:
    """Put the key of the backup into its place, so that people stay signed in."""
    if staged is None:
        return
    path = settings.data_dir / "secret_key"
    if path.exists() and aside is not None:
        with suppress(OSError):  # the old installation would ask its people to sign in again
            shutil.copy2(path, aside / path.name)
    staged.replace(path)
