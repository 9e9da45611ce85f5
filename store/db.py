"""The database: connection pools, transactions (one writer at a time), migrations, compare-and-set.

What it does: `Database(url).session()` is one transaction that writes, `.reading()` one that only reads, `.migrate()`
brings the tables to the newest version and loads the bundled characters. `.snapshot()` and `.rebuilding()` are for
copies of the whole database (backup/dump.py, backup/restore.py).
What it refuses to know: what the records mean.

SQLite is set up to be durable, and to wait instead of failing:
- write-ahead log with synchronous=FULL: a commit that returned survives the power cut;
- every writing transaction is BEGIN IMMEDIATE: it takes the write lock first and never has to upgrade a read, which is
  the one case that SQLite refuses at once instead of waiting;
- threads of one process queue for the write lock here, in fair order; processes wait in SQLite's busy handler.
PostgreSQL is made to behave alike: a writing transaction takes one advisory lock first, so writers come one after the
other there, too, and no code has to think of two worlds; a reading one is REPEATABLE READ.
A process that is killed leaves either all of a transaction or nothing of it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import URL, Connection, CursorResult, Engine, Update, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from store import bundled
from store.full_disk import is_full

if TYPE_CHECKING:
    from alembic.config import Config

Row = TypeVar("Row")
DatabaseTrouble = SQLAlchemyError
"""What the database raises when it is busy, full or away: trying again may help."""
_MIGRATIONS = Path(__file__).parent / "migrations"

BUSY_TIMEOUT_S = 10
_PASSING = ("08", "40", "53", "55P03", "57P")  # PostgreSQL: no connection, rolled back, no room, locked, restarting
_UNSEEN = {"synchronize_session": False}
_MIGRATION_LOCK = 0x494E474C  # any constant will do, as long as every process uses the same
_WRITE_LOCK = 0x494E474D
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
)


class Database:
    """One per process, for all its threads. `url` is a SQLAlchemy URL, SQLite file or PostgreSQL.

    `busy_timeout_s`: how long a transaction on SQLite waits for a writer in another process before it fails.
    """

    def __init__(self, url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._url = make_url(url)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        if self._sqlite:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._engine = _engine(url, self._sqlite, busy_timeout_s)
        self._writers = threading.Lock() if self._sqlite else nullcontext()
        self.large_write = threading.Lock()
        """Held through all transactions of one large change (batches.py), never inside of one."""

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One writing transaction: commits at the end, rolls back when an exception leaves the block.

        Do not nest: on SQLite the inner one would wait for the outer one.
        """
        with self._writers, Session(self._engine, expire_on_commit=False) as session, session.begin():
            if not self._sqlite:
                session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITE_LOCK})
            yield session

    def wait_to_write(self) -> float:
        """Wait until this process could write; the seconds that it took. Raises DatabaseTrouble."""
        began = time.monotonic()
        with self.session() as session:
            session.connection()  # begins the transaction
            return time.monotonic() - began

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that sees a single moment and must not write; it neither waits for writers nor stops them."""
        with Session(self._engine) as session:
            session.connection(execution_options=self._reading)
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection that sees one single moment, however long it is read, while others go on writing."""
        with self._engine.connect().execution_options(**self._reading) as connection, connection.begin():
            yield connection

    @contextmanager
    def rebuilding(self) -> Iterator[Connection]:
        """A transaction on a bare connection, for making the tables and all rows in them."""
        with self._migrating(), self._engine.begin() as connection:
            yield connection

    @property
    def file(self) -> Path | None:
        """The SQLite file; None where the database is a server."""
        return self._file if self._sqlite else None

    def version(self) -> str | None:
        """The version of the tables; None before the first migration."""
        with self.snapshot() as connection:
            return tables_version(connection)

    def migrate(self) -> None:
        """Bring the tables to the newest version and load the bundled characters. Safe to call in racing processes."""
        with self._migrating(), self._engine.begin() as connection:
            if not self._sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            if tables_version(connection) != _newest_revision():
                upgrade_tables(connection)
        with self.session() as session:
            bundled.load_characters(session)

    @property
    def _reading(self) -> dict[str, Any]:
        """The options of a connection that only reads, and sees one moment."""
        postgres = {} if self._sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return {"inglenook_reading": True, **postgres}

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()

    @property
    def _file(self) -> Path:
        return _file_of(self._url)

    @contextmanager
    def _migrating(self) -> Iterator[None]:
        """Hold the migration lock: a locked file beside a SQLite file (its end releases it, however it comes)."""
        if not self._sqlite:
            yield  # PostgreSQL: an advisory lock inside the transaction
            return
        with self._file.with_name(f"{self._file.name}.migrate.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.close(os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600))  # SQLite would make it readable for others
            yield


def will_pass(error: BaseException) -> bool:
    """Whether the same change succeeds if one only waits: somebody else writes, the disk is full, the server restarts,
    or chose us as the victim of a deadlock or of a serialization failure."""
    if isinstance(error, PoolTimeout) or is_full(error):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    state = getattr(error.orig, "sqlstate", None) or ""
    lost = error.connection_invalidated or isinstance(error, InterfaceError)
    return lost or state.startswith(_PASSING) or (isinstance(error, OperationalError) and not state)


def is_trouble_of_the_server(error: BaseException) -> bool:
    """Whether it is the database that does not work, and not the change that is wrong."""
    return isinstance(error, OperationalError | InterfaceError) or will_pass(error)


def sqlite_file(url: str) -> Path | None:
    """The file of a URL, existing or not; None if the database is a server."""
    parsed = make_url(url)
    return _file_of(parsed) if parsed.get_backend_name() == "sqlite" else None


def _file_of(url: URL) -> Path:
    if not url.database or url.database == ":memory:":
        raise ValueError(f"{url} is no SQLite file: use sqlite:///path/to/file.db, processes share it.")
    return Path(url.database)


def rows_changed(session: Session, statement: Update) -> int:
    """Execute an UPDATE and return how many rows met its conditions: compare-and-set.

    Objects that the session has loaded before are not refreshed.
    """
    return cast(CursorResult[Any], session.execute(statement, execution_options=_UNSEEN)).rowcount


def changed_row(session: Session, statement: ReturningUpdate[Row]) -> Row | None:
    """The same for one row, which comes back as it is now; None when it did not meet the conditions."""
    return session.execute(statement, execution_options=_UNSEEN).scalar_one_or_none()


def upgrade_tables(connection: Connection, version: str = "head") -> None:
    """Run the migrations. Alembic is imported only here: it would take a third of the start of every process."""
    from alembic import command

    command.upgrade(migration_config(connection), version)


def tables_version(connection: Connection) -> str | None:
    """The version of the tables; None before the first migration."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def known_versions() -> tuple[str, ...]:
    """Every version that the tables ever had, the newest last: the names of the files in migrations/versions."""
    return tuple(sorted(path.name.split("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")))


def _newest_revision() -> str:
    """The version of the newest file in migrations/versions: its name begins with it."""
    return known_versions()[-1]


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration, without a file: the scripts are in this package, the connection is handed over."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _engine(url: str, sqlite: bool, busy_timeout_s: float) -> Engine:
    if not sqlite:
        return create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=32)
    engine = create_engine(url, pool_size=8, max_overflow=120, connect_args={"timeout": busy_timeout_s})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver opens no transactions by itself: _on_begin does
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    reading = connection.get_execution_options().get("inglenook_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
