"""Online backup: a consistent snapshot of every SQL table in one file, while people go on writing.

What it does: reads all tables in one snapshot transaction (SQLite and PostgreSQL alike) into a temporary file beside
the target, verifies it, and renames it; what killed backups have left there is removed first. Pictures and the secret
key are included; KV blocks are not: they are a cache.
What it refuses to know: the meaning of the rows (columns are reflected, so tables of any version can be saved), and the
way back (restore.py).
"""

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import JSON, Connection, LargeBinary, MetaData, Table, select

from store.backup import leftovers
from store.backup.archive import Archive, ArchiveWriter, BackupError
from store.db import Database, tables_version
from store.search.tables import is_derived

VERSIONS = "alembic_version"
_DRAFT = re.compile(r"\..+\.[0-9]+\.[0-9a-f]{8}")  # names that `_draft_of` makes
_ROWS_AT_ONCE = 16  # a picture may have 4 MB


@dataclass(frozen=True)
class BackupSummary:
    """The contents of a finished backup."""

    path: Path
    version: str
    rows: dict[str, int]
    n_bytes: int
    made_at: float


def write_backup(db: Database, path: Path, secret_key: str | None = None, now: float | None = None) -> BackupSummary:
    """Write a backup to `path`, readable for this user only; what is there already is replaced at the very end.

    Raises BackupError where there is nothing to save or the file cannot be written.
    """
    made_at = time.time() if now is None else now
    try:
        leftovers.sweep(path.parent, _DRAFT, begins=b"PK")
        with _draft_of(path) as draft:
            _write(db, draft, secret_key, made_at)
            with Archive(draft) as archive:
                archive.verify()
                rows = {name: facts.rows for name, facts in archive.tables.items()}
                version = archive.version
            make_durable(draft)
            draft.replace(path)
            make_durable(path.parent)
    except OSError as error:
        raise BackupError(
            f"{path} cannot be written ({error.strerror}): name a folder with room enough where this user may write."
        ) from None
    return BackupSummary(path, version, rows, path.stat().st_size, made_at)


@contextmanager
def _draft_of(path: Path) -> Iterator[Path]:
    """A new file beside `path`, held while it is written, removed at the end."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with leftovers.held(draft):
            yield draft
    finally:
        draft.unlink(missing_ok=True)


def reflect_tables(connection: Connection) -> MetaData:
    """The tables of the database but the search index, which is made again from the others. NULL in a JSON column stays
    NULL instead of becoming JSON's null."""
    tables = MetaData()
    tables.reflect(connection, only=lambda name, _: not is_derived(name))
    for table in tables.tables.values():
        for column in table.columns:
            if isinstance(column.type, JSON):
                column.type.none_as_null = bool(column.nullable)
    return tables


def binary_columns(table: Table) -> set[str]:
    """The names of the columns that hold bytes."""
    return {column.name for column in table.columns if isinstance(column.type, LargeBinary)}


def _write(db: Database, draft: Path, secret_key: str | None, made_at: float) -> None:
    writer = ArchiveWriter(draft)
    try:
        with db.snapshot() as connection:
            version = tables_version(connection)
            if version is None:
                raise BackupError("There is nothing to save: this installation has never been started.")
            for table in reflect_tables(connection).sorted_tables:
                if table.name != VERSIONS:
                    writer.table(table.name, [column.name for column in table.columns], _rows(connection, table))
        writer.finish(version, made_at, secret_key)
    finally:
        writer.abandon()


def _rows(connection: Connection, table: Table) -> Iterator[tuple[object, ...]]:
    """The rows of a table, a few at a time."""
    rows = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(select(table))
    with rows:
        yield from map(tuple, rows)


def make_durable(path: Path) -> None:
    """fsync a file, or a folder for the names in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
