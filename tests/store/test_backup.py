"""Backup and restore: nothing that was acknowledged is missing, nothing that is there is overwritten."""

import os
import subprocess
import sys
import threading
import tracemalloc
import uuid
import zipfile

import pytest
from alembic import command
from sqlalchemy import create_engine, inspect

from store import accounts, chats, turns
from store.backup.archive import Archive, ArchiveWriter, BackupError
from store.backup.dump import write_backup
from store.backup.restore import restore_backup
from store.db import Database, known_versions, migration_config
from store.models import Picture
from store.settings import Settings
from store.turns import Reply, TurnCommand

N_WRITERS, N_BEFORE = 4, 25
KEY = "the key that signs the cookies of this house"


def settings_in(folder, **values):
    return Settings(data_dir=folder, **values)


def raw(value):
    return bytes(value) if isinstance(value, memoryview) else value


def contents(url):
    """Every row of every table as the database has them, NULLs and all; JSON as the text of it."""
    engine = create_engine(url)
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        found = {}
        for name in names:
            columns = sorted(f'"{column["name"]}"' for column in inspect(connection).get_columns(name))
            rows = connection.exec_driver_sql(f"SELECT {', '.join(columns)} FROM {name}")
            found[name] = sorted((tuple(map(raw, row)) for row in rows), key=repr)
    engine.dispose()
    return found


@pytest.fixture
def there(tmp_path, postgres):
    """The settings of a new machine: a folder that is not there yet, or a database in which nobody lives."""
    values = {} if postgres is None else {"database_url": postgres.new_url()}
    return settings_in(tmp_path / "there", **values)


class Writer(threading.Thread):
    """Somebody who talks without a pause, and keeps what was acknowledged."""

    def __init__(self, database, owner, chat):
        super().__init__()
        self.database, self.owner, self.chat = database, owner, chat
        self.acked = []
        self.warm, self.stop = threading.Event(), threading.Event()

    def run(self):
        while not self.stop.is_set():
            revision = chats.get_revision(self.database, self.chat.id)
            words = TurnCommand(uuid.uuid4().hex, self.chat.id, "chat", revision, f"word {len(self.acked)}")
            turn = turns.begin_turn(self.database, self.owner.id, words).turn
            self.acked.append((turn.user_message_id, words.text))
            claim = turns.claim(self.database, turn.id, "gpu0", 60.0)
            end = turns.commit(self.database, turn.id, claim.attempt, Reply("Hello", tuple(range(200))))
            self.acked.append((end.message.id, "Hello"))
            if len(self.acked) >= N_BEFORE:
                self.warm.set()


def test_a_backup_under_load_misses_nothing_that_was_acknowledged(database, make_user, make_chat, tmp_path, there):
    people = [make_user(f"Ann {n}") for n in range(N_WRITERS)]
    writers = [Writer(database, person, make_chat(person)) for person in people]
    for writer in writers:
        writer.start()
    try:
        assert all(writer.warm.wait(60) for writer in writers)
        acked = [ack for writer in writers for ack in list(writer.acked)]
        written = write_backup(database, tmp_path / "house.zip", KEY)
        assert sum(len(writer.acked) for writer in writers) > len(acked), "people went on writing meanwhile"
    finally:
        for writer in writers:
            writer.stop.set()
        for writer in writers:
            writer.join()

    restore_backup(there, written.path)
    elsewhere = Database(there.database_url)
    found = {
        (message.id, message.text) for writer in writers for message in chats.transcript(elsewhere, writer.chat.id)
    }
    assert [ack for ack in acked if ack not in found] == []
    with elsewhere.snapshot() as connection:
        if elsewhere.file:
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    elsewhere.close()
    key = there.data_dir / "secret_key"
    assert (key.read_text(), key.stat().st_mode & 0o777) == (KEY, 0o600)


def test_every_row_comes_back_as_it_was(database, database_url, user, chat, tmp_path, there):
    with database.session() as session:
        image = bytes(range(256))
        session.add(Picture(id="f" * 32, owner_id=user.id, media_type="image/png", data=image, created_at=0.1))
    turn = turns.begin_turn(
        database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", 1, "中文 \u2028 🦊 \\ \" '")
    ).turn
    turns.claim(database, turn.id, "gpu0", 5)
    turns.commit(database, turn.id, 1, Reply("Hm.", (1, 2, 3)))
    written = write_backup(database, tmp_path / "house.zip")
    assert written.path.stat().st_mode & 0o777 == 0o600
    assert written.version == known_versions()[-1]
    database.close()
    restore_backup(there, written.path)
    assert contents(there.database_url) == contents(database_url)
    copy = Database(there.database_url)
    again = write_backup(copy, tmp_path / "again.zip")
    copy.close()
    with Archive(written.path) as first, Archive(again.path) as second:
        assert {name: facts.rows for name, facts in first.tables.items()} == {
            name: facts.rows for name, facts in second.tables.items()
        }


def test_a_house_with_people_is_not_replaced_unless_asked(database, user, tmp_path, there):
    file = write_backup(database, tmp_path / "house.zip", KEY[::-1]).path
    other = Database(there.database_url)
    other.migrate()
    _, token = accounts.create_invite(other, "admin")
    accounts.sign_up(other, token, "Bea", "hash")
    there.read_secret_key()
    old_key = (there.data_dir / "secret_key").read_text()
    other.close()
    with pytest.raises(BackupError, match="--replace") as refused:
        restore_backup(there, file)
    assert [person.name for person in accounts.list_users(other)] == ["Bea"]
    other.close()
    assert refused.tb, "as long as it is here, so is all that the refused one has left open"
    restored = restore_backup(there, file, replace=True)
    assert [person.name for person in accounts.list_users(other)] == ["Ada"]
    other.close()
    assert (restored.aside / "secret_key").read_text() == old_key
    if other.file is None:
        restore_backup(settings_in(restored.aside), restored.aside / "database.zip")
    aside = Database(f"sqlite:///{restored.aside / 'inglenook.db'}")
    assert [person.name for person in accounts.list_users(aside)] == ["Bea"]
    aside.close()


def test_a_fresh_house_without_people_may_go(database, user, tmp_path, there):
    file = write_backup(database, tmp_path / "house.zip").path
    fresh = Database(there.database_url)
    fresh.migrate()
    fresh.close()
    restore_backup(there, file)
    assert [person.name for person in accounts.list_users(fresh)] == ["Ada"]
    fresh.close()


HOLD = """
import sys
from store import accounts
from store.db import Database
db = Database(sys.argv[1])
accounts.list_users(db)
print("open", flush=True)
sys.stdin.read(1)
"""


def test_a_database_in_use_is_left_alone(database, user, tmp_path, there):
    """Another process that has the database open, and does nothing with it just now."""
    file = write_backup(database, tmp_path / "house.zip").path
    restore_backup(there, file)
    command = [sys.executable, "-c", HOLD, there.database_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(BackupError, match="stop inglenook first"):
            restore_backup(there, file, replace=True)
        other.communicate("!")
    assert restore_backup(there, file, replace=True).aside is not None


def test_a_damaged_database_is_put_aside_when_asked(database, user, tmp_path):
    file = write_backup(database, tmp_path / "house.zip").path
    there = settings_in(tmp_path / "there")
    there.data_dir.mkdir()
    broken = there.data_dir / "inglenook.db"
    broken.write_bytes(b"this was a database once " * 400)
    with pytest.raises(BackupError, match="--replace"):
        restore_backup(there, file)
    restored = restore_backup(there, file, replace=True)
    assert (restored.aside / "inglenook.db").read_bytes().startswith(b"this was")
    db = Database(there.database_url)
    assert accounts.has_admin(db) is False
    assert [person.name for person in accounts.list_users(db)] == ["Ada"]
    db.close()


@pytest.mark.parametrize("version", known_versions()[:-1])
def test_a_backup_of_older_tables_is_brought_up_to_date(version, tmp_path):
    old = Database(f"sqlite:///{tmp_path}/old.db")
    with old.rebuilding() as connection:
        command.upgrade(migration_config(connection), version)
        columns = "id, name, name_key, password_hash, role, locale, theme, session_epoch, created_at"
        values = f"'{'b' * 32}', 'Ann', 'ann', 'hash', 'admin', 'zh', 'auto', 1, 1.5"
        connection.exec_driver_sql(f"INSERT INTO users ({columns}) VALUES ({values})")
    written = write_backup(old, tmp_path / "old.zip")
    old.close()
    assert written.version == version
    there = settings_in(tmp_path / "there")
    assert restore_backup(there, written.path).from_version == version
    db = Database(there.database_url)
    assert db.version() == known_versions()[-1]
    (ann,) = accounts.list_users(db)
    assert (ann.name, ann.locale, ann.created_at, ann.daily_minutes) == ("Ann", "zh", 1.5, None)
    db.close()


def changed(path, change):
    """The same zip with other bytes in one entry."""
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in entries.items():
            new.writestr(name, change.get(name, lambda same: same)(data))
    return path


def break_stored(path, name):
    """One byte of one entry is another one; the index of the zip does not know."""
    changed(path, {})
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo(name).header_offset + 30 + len(name)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.unlink(), "There is no file"),
        (lambda path: path.write_bytes(b"<html>"), "is no backup"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "was cut off"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"PK\x03\x04", b"PK\x03\x05", 2)), "damaged"),
        (lambda path: changed(path, {"tables/users.jsonl": lambda data: data.replace(b"Ada", b"Eve")}), "damaged"),
        (lambda path: changed(path, {"tables/users.jsonl": lambda data: data * 2}), "2 rows of 1"),
        (lambda path: changed(path, {"manifest.json": lambda data: b"{}"}), "is no backup of inglenook"),
        (lambda path: changed(path, {"manifest.json": lambda data: b"[1]"}), "is no backup of inglenook"),
        (lambda path: changed(path, {"manifest.json": lambda data: b"[" * 100_000}), "is no backup of inglenook"),
        (lambda path: changed(path, {"manifest.json": lambda data: b" " * (5 << 20) + data}), "is no backup of inglen"),
        (
            lambda path: changed(
                path, {"manifest.json": lambda data: data.replace(b'"made_at": ', b'"made_at": 9e99')}
            ),
            "is no backup of inglenook",
        ),
        (lambda path: changed(path, {"tables/users.jsonl": lambda data: b"[" * 100_000}), "damaged"),
        (lambda path: changed(path, {"secret_key": lambda data: b"\xff\xfe\xfd"}), "damaged .secret_key"),
        (lambda path: changed(path, {"secret_key": lambda data: data * 100}), "damaged .secret_key"),
        (lambda path: break_stored(path, "secret_key"), "damaged .secret_key: Bad CRC-32"),
        (lambda path: changed(path, {"manifest.json": lambda data: data.replace(b'"users"', b'"loosers"')}), "loosers"),
        (
            lambda path: changed(path, {"manifest.json": lambda data: data.replace(b'"format": 1', b'"format": 2')}),
            "newer inglenook: update",
        ),
        (
            lambda path: changed(
                path, {"manifest.json": lambda data: data.replace(f'"{known_versions()[-1]}"'.encode(), b'"9999"')}
            ),
            "version 9999, this inglenook knows them up to",
        ),
    ],
)
def test_what_is_no_whole_backup_changes_nothing(harm, words, database, user, tmp_path):
    file = write_backup(database, tmp_path / "house.zip", KEY).path
    there = settings_in(tmp_path / "there")
    restore_backup(there, file)
    before = {path.name: path.read_bytes() for path in there.data_dir.iterdir()}
    harm(file)
    with pytest.raises(BackupError, match=words) as refused:
        restore_backup(there, file, replace=True)
    assert len(str(refused.value).splitlines()) == 1
    assert {path.name: path.read_bytes() for path in there.data_dir.iterdir()} == before


def with_rows(old, new, table, rows):
    """A backup in which every hash is right, with other rows in one table."""
    writer = ArchiveWriter(new)
    with Archive(old) as archive:
        for name, facts in archive.tables.items():
            same = (list(archive.row(name, line).values()) for line in archive.lines(name))
            writer.table(name, facts.columns, rows(facts.columns) if name == table else same)
        writer.finish(archive.version, 1.0, KEY)
    return new


def nested(depth):
    return [] if depth == 0 else [nested(depth - 1)]


@pytest.mark.parametrize(
    "value",
    [nested(90), 10**400, 10**30, {"a": [1]}, "not base64 \xff", None, 1.5, float("nan")],
    ids=["deep", "long number", "large number", "object", "text", "null", "number", "nan"],
)
def test_rows_that_no_table_can_hold_are_refused_and_nothing_is_changed(value, database, user, tmp_path):
    old = write_backup(database, tmp_path / "house.zip", KEY).path
    strange = with_rows(old, tmp_path / "strange.zip", "pictures", lambda columns: [[value] * len(columns)])
    there = settings_in(tmp_path / "there")
    restore_backup(there, old)
    before = sorted(there.data_dir.iterdir())
    with pytest.raises(BackupError) as refused:
        restore_backup(there, strange, replace=True)
    assert len(str(refused.value).splitlines()) == 1
    assert sorted(there.data_dir.iterdir()) == before


def test_a_row_of_a_gigabyte_is_refused_and_never_held_in_memory(database, user, tmp_path):
    """160 MB here: what counts is that no more of it is read than a row may have."""
    file = write_backup(database, tmp_path / "house.zip", KEY).path
    with (
        zipfile.ZipFile(file) as old,
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED, True, 1) as new,
    ):
        for name in old.namelist():
            with new.open(name, "w") as entry:
                if name == "tables/users.jsonl":
                    for _ in range(160):
                        entry.write(b" " * (1 << 20))
                entry.write(old.read(name))
    tracemalloc.start()
    try:
        with pytest.raises(BackupError, match="a row of more than 32 MB"):
            restore_backup(settings_in(tmp_path / "there"), tmp_path / "bomb.zip")
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()


def test_the_key_is_written_before_the_database_is_switched(database, user, tmp_path):
    """A place where no key can be written: nothing has changed."""
    file = write_backup(database, tmp_path / "house.zip", KEY).path
    there = settings_in(tmp_path / "there")
    (there.data_dir / ".secret_key.restoring").mkdir(parents=True)
    with pytest.raises(BackupError, match="cannot be written"):
        restore_backup(there, file)
    assert not (there.data_dir / "inglenook.db").exists()


def test_a_key_that_can_be_guessed_is_not_restored(database, user, tmp_path):
    file = write_backup(database, tmp_path / "house.zip", "x").path
    there = settings_in(tmp_path / "there")
    key = there.read_secret_key()
    restore_backup(there, file)
    assert there.read_secret_key() == key


def test_a_backup_that_points_to_nothing_is_refused(database, user, chat, tmp_path, there):
    old = write_backup(database, tmp_path / "house.zip").path
    writer = ArchiveWriter(tmp_path / "wrong.zip")
    with Archive(old) as archive:
        for name, facts in archive.tables.items():
            rows = [list(archive.row(name, line).values()) for line in archive.lines(name)]
            writer.table(name, facts.columns, [] if name == "users" else rows)
        writer.finish(archive.version, 1.0, None)
    with pytest.raises(BackupError, match=r"does not fit|point to nothing"):
        restore_backup(there, tmp_path / "wrong.zip")
    assert not (there.data_dir / "inglenook.db").exists()


FULL = """
import resource, sys
from pathlib import Path
from store.backup.archive import BackupError
from store.backup.dump import write_backup
from store.db import Database
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
db = Database(sys.argv[1])
try:
    write_backup(db, Path(sys.argv[2]))
except BackupError as error:
    print(error)
db.close()
"""


def test_a_disk_that_is_full_leaves_the_last_backup_and_no_half_one(database, database_url, user, tmp_path):
    folder = tmp_path / "backups"
    folder.mkdir()
    file = write_backup(database, folder / "house.zip").path
    before = file.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL, database_url, str(file)], capture_output=True, text=True)
    assert "name a folder with room enough" in done.stdout, done.stderr
    assert os.listdir(folder) == ["house.zip"]
    assert file.read_bytes() == before


def test_nothing_is_saved_of_a_house_that_never_was(tmp_path):
    empty = Database(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(BackupError, match="never been started"):
        write_backup(empty, tmp_path / "house.zip")
    empty.close()
    assert not (tmp_path / "house.zip").exists()
