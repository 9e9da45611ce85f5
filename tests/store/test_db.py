import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from store import bundled, chats, turns
from store.db import Database, is_trouble_of_the_server, rows_changed, will_pass
from store.models import Base, Character, Chat, User
from store.search.tables import is_derived


def test_the_migrations_make_the_tables_of_the_models(database_url):
    engine = create_engine(database_url)
    with engine.connect() as connection:
        options = {"compare_type": True, "include_object": lambda _, name, *__: not is_derived(str(name))}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
        checks = {check["name"] for check in inspect(connection).get_check_constraints("turns")}
    engine.dispose()
    assert checks == {"ck_turns_state", "ck_turns_kind"}


def test_sqlite_is_set_to_lose_nothing(tmp_path):
    with closing(Database(f"sqlite:///{tmp_path / 'new.db'}")) as database, database.session() as session:
        values = [session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")]
        assert values == ["wal", 2, 1]
        assert session.scalar(text("PRAGMA busy_timeout")) == 10_000


def test_the_database_itself_keeps_the_rules(database, user):
    with pytest.raises(IntegrityError), database.session() as session:
        session.add(
            Chat(
                id="0" * 32,
                owner_id="1" * 32,
                character_id="2" * 32,
                title="",
                revision=1,
                user_name="",
                created_at=0.0,
                updated_at=0.0,
            )
        )
    with pytest.raises(IntegrityError), database.session() as session:
        session.get_one(User, user.id).role = "boss"


def test_an_exception_leaves_nothing_behind(database, user):
    def change_and_stumble():
        with database.session() as session:
            session.get_one(User, user.id).name = "Changed"
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_stumble()
    with database.reading() as session:
        assert session.get_one(User, user.id).name == "Ada"


def test_readers_do_not_wait_for_writers_and_see_one_moment(database, user):
    with database.reading() as reader:
        reader.scalar(select(User.name))
        with database.session() as writer:
            writer.get_one(User, user.id).name = "Changed"
            writer.flush()
            with database.reading() as other:
                assert other.scalar(select(User.name)) == "Ada"
        assert reader.scalar(select(User.name)) == "Ada"
    with database.reading() as reader:
        assert reader.scalar(select(User.name)) == "Changed"


def test_a_reading_transaction_leaves_nothing_written(database, user):
    with database.reading() as session:
        session.get_one(User, user.id).name = "Changed"
    with database.reading() as session:
        assert session.get_one(User, user.id).name == "Ada"


def test_writers_in_threads_of_two_databases_do_not_lose_updates(database, database_url, user):
    other = Database(database_url)

    def add(n):
        with (database if n % 2 else other).session() as session:
            row = session.get_one(User, user.id)
            row.session_epoch = row.session_epoch + 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(add, range(64)))
    with database.reading() as session:
        assert session.get_one(User, user.id).session_epoch == 65
    other.close()


MIGRATE = """
import sys
from store.db import Database
db = Database(sys.argv[1])
sys.stdin.read(1)
db.migrate()
"""


def test_processes_that_start_together_migrate_once(tmp_path):
    url = f"sqlite:///{tmp_path / 'new' / 'inglenook.db'}"
    start = [sys.executable, "-W", "error", "-c", MIGRATE, url]
    processes = [subprocess.Popen(start, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        process.stdin.write(b"!")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    db = Database(url)
    with db.reading() as session:
        assert len(session.scalars(select(Character)).all()) == len(list(bundled.read_files()))
    db.close()


def test_threads_that_start_together_migrate_once(tmp_path):
    db = Database(f"sqlite:///{tmp_path / 'inglenook.db'}")
    threads = [threading.Thread(target=db.migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.reading() as session:
        assert len(session.scalars(select(Character)).all()) == len(list(bundled.read_files()))
    db.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url):
    with pytest.raises(ValueError, match="no SQLite file"):
        Database(url)


def test_compare_and_set_counts_rows(database, user):
    with database.session() as session:
        assert rows_changed(session, update(User).where(User.role == "adult").values(theme="dark")) == 1
        assert rows_changed(session, update(User).where(User.role == "child").values(theme="dark")) == 0


def test_the_newest_file_is_what_alembic_takes_for_the_head(database):
    from alembic.script import ScriptDirectory

    from store.db import _newest_revision, migration_config

    with database._engine.connect() as connection:
        assert ScriptDirectory.from_config(migration_config(connection)).get_heads() == [_newest_revision()]


def test_what_an_older_version_wrote_survives_the_migrations(tmp_path):
    """A chat from the time of the first tables is there afterwards, with the new columns at their defaults."""
    from alembic import command

    from store.db import migration_config

    old = Database(f"sqlite:///{tmp_path}/old.db")
    with old._engine.begin() as connection:
        command.upgrade(migration_config(connection), "0001")
        for statement in OLD_STORY:
            connection.exec_driver_sql(statement)
    old.migrate()
    (message,) = chats.transcript(old, "c" * 32)
    assert (message.text, message.pinned, message.chosen.status) == ("Hello", False, None)
    turn = turns.get_turn(old, "a" * 32)
    assert (turn.crashes, turn.result, turn.parts) == (0, {}, ("chat",))
    chat = chats.get_chat(old, "b" * 32, "c" * 32)
    assert (chat.author_note, chat.reference) == ("", "")
    old.close()


OLD_STORY = (
    f"INSERT INTO users VALUES ('{'b' * 32}', 'Ann', 'ann', 'hash', 'adult', 'en', 'auto', 1, 1.0)",
    f"INSERT INTO characters VALUES ('{'d' * 32}', NULL, NULL, 'Mo', '', '{{}}', '', 'everyone', 'en', 1.0)",
    "INSERT INTO chats (id, owner_id, character_id, title, revision, user_name, user_persona, settings, window, "
    "created_at, updated_at) "
    f"VALUES ('{'c' * 32}', '{'b' * 32}', '{'d' * 32}', 'Mo', 2, 'Ann', '', '{{}}', '{{}}', 1, 1)",
    "INSERT INTO messages (id, chat_id, ordinal, role, name, active, created_at) "
    f"VALUES ('{'e' * 32}', '{'c' * 32}', 0, 'character', 'Mo', 0, 1.0)",
    "INSERT INTO alternatives (id, message_id, position, text, stats, created_at) "
    f"VALUES ('{'f' * 32}', '{'e' * 32}', 0, 'Hello', '{{}}', 1.0)",
    "INSERT INTO turns (id, chat_id, owner_id, kind, state, attempt, params, partial, cancel_requested, "
    "created_at, updated_at, stats) "
    f"VALUES ('{'a' * 32}', '{'c' * 32}', '{'b' * 32}', 'chat', 'done', 1, '{{}}', '', 0, 1, 1, '{{}}')",
)


def error_of(database, *statements):
    """What the database raises at the last of them."""
    try:
        with database.session() as session:
            for statement in statements:
                session.connection().exec_driver_sql(statement)
    except SQLAlchemyError as error:
        return error
    raise AssertionError("nothing was refused")


@pytest.mark.parametrize(
    "statements",
    [
        ("UPDATE nowhere SET x = 1",),
        ("INSERT INTO users (id) VALUES ('x')",),
        ("PRAGMA query_only = ON", "UPDATE users SET name = 'x'"),
    ],
    ids=["no such table", "a constraint", "read-only"],
)
def test_what_is_broken_does_not_pass_by_waiting(tmp_path, migrated_file, statements):
    path = tmp_path / "own.db"
    shutil.copy(migrated_file, path)
    database = Database(f"sqlite:///{path}")
    assert not will_pass(error_of(database, *statements))
    database.close()


def test_a_locked_database_passes_by_waiting(tmp_path, migrated_file):
    path = tmp_path / "own.db"
    shutil.copy(migrated_file, path)
    holder, waiter = Database(f"sqlite:///{path}"), Database(f"sqlite:///{path}", busy_timeout_s=0.01)
    with holder.session() as session:
        session.connection()
        assert will_pass(error_of(waiter, "UPDATE users SET name = 'x'"))
    holder.close()
    waiter.close()


@pytest.mark.parametrize(
    ("state", "passes"),
    [
        ("57P01", True),
        ("40001", True),
        ("40P01", True),
        ("53100", True),
        ("55P03", True),
        ("42P01", False),
        ("58030", False),
    ],
)
def test_what_passes_by_waiting_on_postgresql(state, passes):
    cause = Exception("from the server")
    cause.sqlstate = state
    assert will_pass(OperationalError("UPDATE", {}, cause)) is passes
    assert is_trouble_of_the_server(OperationalError("UPDATE", {}, cause))
