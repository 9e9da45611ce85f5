"""Damage of every kind to a data folder: it starts, or ends with one clear sentence; what SQL holds is never harmed.

What it does: one house with a story, KV blocks, a Redis that has worked, a key and a backup is made once and copied for
each damage. To add a damage: a line in one of the tables below.
"""

import os
import shutil
import sqlite3
import threading
import time
import uuid
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from deploy.database_check import check_database, database_trouble
from deploy.managed_redis import ManagedRedis
from deploy.preflight import DeployError, check_all
from deploy.room_processes import redis_answers
from deploy.run import GROUND, StackWatch
from deploy.stack_paths import StackPaths, exclusive_lock, read_running_settings
from deploy.supervise import Program, Supervisord
from engine import Engine, EngineOptions
from engine.backends.echo import EchoBackend
from store import accounts, chats, turns
from store.backup.archive import BackupError
from store.backup.dump import write_backup
from store.backup.restore import restore_backup
from store.characters import list_characters
from store.db import Database, DatabaseTrouble
from store.settings import Settings, SettingsError, load_settings
from store.turns import Reply, TurnCommand
from tests.engine.engine_stories import Story, settled

GARBAGE = bytes(range(255, -1, -1)) * 16
SAID = [f"Line {number} of a story that nobody wants to lose." for number in range(6)]
BACKUP = "inglenook-20260101-120000.zip"


@dataclass
class DataFolder:
    """A data folder, and what must be true of it."""

    data: Path
    chat_id: str
    transcript: list[str]
    next_reply: tuple[int, ...]  # what the echo backend says next; it computes that from every cell

    def environ(self):
        return {"INGLENOOK_DATA_DIR": str(self.data), "INGLENOOK_BACKEND": "echo", "INGLENOOK_PORT": "0"}

    @property
    def file(self):
        return self.data / "inglenook.db"

    @property
    def settings(self):
        return load_settings(self.environ())


def told(url, chat_id):
    db = Database(url)
    try:
        return [message.text for message in chats.transcript(db, chat_id)]
    finally:
        db.close()


def start(environ):
    """What a start checks and does with the files, before the programs run; its sentence if it cannot."""
    try:
        settings = load_settings(environ)
        paths = StackPaths(settings.data_dir)
        paths.make()
        with exclusive_lock(paths):
            check_all(settings)
            check_database(settings)
            assert len(settings.read_secret_key()) >= 16
            assert isinstance(read_running_settings(paths), dict)
            db = Database(settings.database_url)
            try:
                db.migrate()
            except DatabaseTrouble as error:
                raise database_trouble(settings, error) from None
            finally:
                db.close()
    except (DeployError, SettingsError) as error:
        return str(error)
    return ""


def engine_on(folder):
    options = EngineOptions(context=800, lanes=1, tolerance_s=50.0, park_after_s=0.0, ram_bytes=0, folder=folder)
    return Engine(EchoBackend(n_cells=2000, n_sequences=3, n_batch=64), options).start()


def tell(engine, n_turns):
    """The same story each time, told up to a turn; the tokens of the last reply."""
    story = Story(engine, "chat0", "You are Mira.")
    for number in range(n_turns):
        story.say(SAID[number])
        tokens = story.turn().tokens
    settled(engine, "x")
    return tuple(tokens)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    data = tmp_path_factory.mktemp("stack") / "data"
    db = Database(f"sqlite:///{data / 'inglenook.db'}")
    db.migrate()
    _, token = accounts.create_invite(db, "admin")
    ada = accounts.sign_up(db, token, "Ada", "hash")
    chat = chats.create_chat(db, ada.id, list_characters(db, ada)[0].id, "Ada")
    with sqlite3.connect(data / "inglenook.db") as now:
        now.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the log holds what is said from here on
    now.close()
    for text in SAID:
        command = TurnCommand(uuid.uuid4().hex, chat.id, "chat", chats.get_revision(db, chat.id), text)
        turn = turns.begin_turn(db, ada.id, command).turn
        turns.claim(db, turn.id, "gpu0", 60.0)
        turns.commit(db, turn.id, 1, Reply(f"Answer to: {text}", (1, 2, 3)))
    transcript = [message.text for message in chats.transcript(db, chat.id)]
    settings = load_settings({"INGLENOOK_DATA_DIR": str(data)})
    write_backup(db, data / BACKUP, settings.read_secret_key())
    engine = engine_on(data / "blocks" / "gpu0")
    tell(engine, 3)
    engine.close()
    fresh = engine_on(None)
    installation = DataFolder(data, chat.id, transcript, tell(fresh, 4))
    fresh.close()
    (data / "run").mkdir()
    _fill_redis(ManagedRedis(data / "redis"), data / "run" / "redis.conf")
    yield installation  # the database stays open: its log is not merged, as after a kill
    db.close()


def _fill_redis(redis, config):
    with supervised(config.parents[1], redis), Redis.from_url(redis.url) as client:
        for number in range(60):
            client.set(f"key{number}", "some words " * 3)
        client.bgrewriteaof()
        while client.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.02)
        for number in range(60):
            client.set(f"later{number}", "some words " * 3)


@contextmanager
def supervised(data, redis):
    """The Redis of a house under its supervisord, as `make run` waits for it."""
    paths = StackPaths(data)
    paths.make()
    supervisord, settings = Supervisord(paths), Settings(redis_url=redis.url)
    try:
        command = redis.command(paths.run / "redis.conf")
        supervisord.start([Program("redis", command, GROUND, settle_s=1, stop_s=3)], dict(os.environ))
        supervisord.start_group(GROUND)
        StackWatch(supervisord, paths, threading.Event()).until(lambda: redis_answers(settings), "Redis")
        yield
    finally:
        supervisord.stop(5)


@pytest.fixture
def installation(original, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(original.data, data, ignore=shutil.ignore_patterns("*.sock"))
    return DataFolder(data, original.chat_id, original.transcript, original.next_reply)


# -- the ways to damage a file -----------------------------------------------------------------------------------------


def garbage(offset, n_bytes=4096):
    """Overwrite some bytes, from a part of the file on (0.5: its middle) or from a byte on."""

    def harm(path):
        content = bytearray(path.read_bytes())
        at = int(offset * len(content)) if isinstance(offset, float) else offset
        content[at : at + n_bytes] = GARBAGE[:n_bytes]
        path.write_bytes(content)

    return harm


def cut(part):
    return lambda path: os.truncate(path, int(path.stat().st_size * part))


def becomes(content):
    return lambda path: path.write_bytes(content)


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


def a_folder(path):
    path.unlink()
    path.mkdir()


def no_tables(path):
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink()
    with sqlite3.connect(path) as empty:
        empty.execute("CREATE TABLE x (y)")
        empty.execute("DROP TABLE x")
    empty.close()


def all_of_it(path):
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink()


def newer_tables(path):
    with sqlite3.connect(path) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.close()


DATABASE = {
    "header": garbage(0, 100),
    "first page": garbage(0),
    "second page": garbage(4096),
    "pages in the middle": garbage(0.4, 4 * 4096),
    "cut off": cut(0.5),
    "another file": becomes(b"<html>404 Not Found</html>" * 400),
    "zeros": zeros,
    "no bytes": becomes(b""),
    "no tables": no_tables,
    "gone": all_of_it,
    "gone beside its log": Path.unlink,
    "of a newer version": newer_tables,
}
LOG = {
    "log: head": ("-wal", garbage(0, 32)),
    "log: middle": ("-wal", garbage(0.5)),
    "log: tail": ("-wal", garbage(0.98, 400)),
    "log: cut off": ("-wal", cut(0.7)),
    "log: zeros": ("-wal", zeros),
    "log: gone": ("-wal", Path.unlink),
    "index: garbage": ("-shm", garbage(0, 4096)),
    "index: cut off": ("-shm", cut(0.3)),
    "index: gone": ("-shm", Path.unlink),
}
REDIS = {
    "AOF: head": ("appendonlydir/*.aof", garbage(0, 10)),
    "AOF: middle": ("appendonlydir/*.aof", garbage(0.5, 10)),
    "AOF: tail": ("appendonlydir/*.aof", cut(0.95)),
    "AOF: manifest": ("appendonlydir/*.manifest", becomes(GARBAGE)),
    "RDB: middle": ("appendonlydir/*.rdb", garbage(0.5, 10)),
    "RDB: gone": ("appendonlydir/*.rdb", Path.unlink),
}
BLOCKS = {
    "every file: head": garbage(0, 64),
    "every file: middle": garbage(0.5, 64),
    "every file: cut off": cut(0.5),
    "every file: empty": becomes(b""),
    "every file: zeros": zeros,
    "every file: a folder": a_folder,
    "every file: gone": Path.unlink,
}
KEY = {
    "key: empty": becomes(b""),
    "key: one letter": becomes(b"x"),
    "key: no text": becomes(b"\xff\xfe" * 40),
    "key: gone": Path.unlink,
}
STATE = {
    "the lock: garbage": ("run/lock", becomes(GARBAGE)),
    "the settings that run: garbage": ("run/settings.json", becomes(GARBAGE)),
    "the settings that run: a list": ("run/settings.json", becomes(b"[1]")),
    "the probes: garbage": ("probes.json", becomes(GARBAGE)),
}
SETTINGS = {
    "a name that is none": {"INGLENOOK_LANE": "2"},
    "no number": {"INGLENOOK_LANES": "many"},
    "a number that is none": {"INGLENOOK_VRAM_GB": "nan"},
    "a password file that is not there": {"INGLENOOK_REDIS_PASSWORD_FILE": "/none/at/all"},
    "a model that is not there": {"INGLENOOK_BACKEND": "llama", "INGLENOOK_MODEL": "/none/at/all.gguf"},
    "a key that can be guessed": {"INGLENOOK_SECRET_KEY": "x"},
}
ENTRIES = {
    "backup: a table": ("tables/users.jsonl", lambda data: data.replace(b"Ada", b"Eve")),
    "backup: rows missing": ("tables/messages.jsonl", lambda data: data[: len(data) // 2]),
    "backup: no rows": ("tables/users.jsonl", lambda data: b""),
    "backup: the manifest": ("manifest.json", lambda data: data[:-10]),
    "backup: the key": ("secret_key", lambda data: b"\xff" * 50),
}
BACKUPS = {"backup: cut off": cut(0.5), "backup: head": garbage(0, 64), "backup: another file": becomes(GARBAGE)}


# -- and what must come of it ------------------------------------------------------------------------------------------


def one_sentence(said):
    assert said
    assert len(said.splitlines()) == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("kind", DATABASE)
def test_a_damaged_database_is_told_and_its_backup_comes_back(installation, kind):
    DATABASE[kind](installation.file)
    said = start(installation.environ())
    one_sentence(said)
    assert BACKUP in said or "update inglenook, or restore" in said
    restore_backup(installation.settings, installation.data / BACKUP, replace=True)
    assert start(installation.environ()) == ""
    assert told(installation.settings.database_url, installation.chat_id) == installation.transcript


@pytest.mark.parametrize("kind", LOG)
def test_of_a_damaged_log_what_comes_before_the_damage_is_there(installation, kind):
    """What SQLite had acknowledged last may lie in its log only: it is gone with it, and nothing else is."""
    end, harm = LOG[kind]
    harm(installation.file.with_name(installation.file.name + end))
    assert start(installation.environ()) == ""
    found = told(installation.settings.database_url, installation.chat_id)
    assert found == installation.transcript[: len(found)]
    assert len(found) == len(installation.transcript) or end == "-wal"


@pytest.mark.parametrize("kind", REDIS)
def test_redis_starts_whatever_its_files_are(installation, kind, capsys):
    pattern, harm = REDIS[kind]
    files = sorted((installation.data / "redis").glob(pattern))
    harm(files[-1])
    with supervised(installation.data, ManagedRedis(installation.data / "redis")):
        pass
    said = capsys.readouterr().err
    assert len(said.splitlines()) == len(list(installation.data.glob("redis-damaged-*"))) <= 1
    assert start(installation.environ()) == ""
    assert told(installation.settings.database_url, installation.chat_id) == installation.transcript


@pytest.mark.parametrize("kind", BLOCKS)
def test_damaged_blocks_and_manifests_change_no_reply(installation, kind):
    folder = installation.data / "blocks" / "gpu0"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        BLOCKS[kind](path)
    engine = engine_on(folder)
    try:
        assert tell(engine, 4) == installation.next_reply
    finally:
        engine.close()


@pytest.mark.parametrize("kind", KEY)
def test_a_damaged_key_is_made_anew(installation, kind):
    KEY[kind](installation.data / "secret_key")
    assert start(installation.environ()) == ""
    assert told(installation.settings.database_url, installation.chat_id) == installation.transcript


@pytest.mark.parametrize("kind", STATE)
def test_damaged_files_of_running_programs_mean_nothing(installation, kind):
    name, harm = STATE[kind]
    harm(installation.data / name)
    assert start(installation.environ()) == ""
    assert told(installation.settings.database_url, installation.chat_id) == installation.transcript


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_wrong_setting_is_told(installation, kind):
    one_sentence(start({**installation.environ(), **SETTINGS[kind]}))
    assert told(installation.settings.database_url, installation.chat_id) == installation.transcript


@pytest.mark.parametrize("kind", [*ENTRIES, *BACKUPS])
def test_a_damaged_backup_changes_nothing(installation, kind):
    file = installation.data / BACKUP
    if kind in BACKUPS:
        BACKUPS[kind](file)
    else:
        _change_entry(file, *ENTRIES[kind])
    before = (installation.data / "secret_key").read_bytes()
    with pytest.raises(BackupError) as refused:
        restore_backup(installation.settings, file, replace=True)
    one_sentence(str(refused.value))
    assert start(installation.environ()) == ""
    assert told(installation.settings.database_url, installation.chat_id) == installation.transcript
    assert (installation.data / "secret_key").read_bytes() == before


def _change_entry(file, name, change):
    with zipfile.ZipFile(file) as old:
        entries = {entry: old.read(entry) for entry in old.namelist()}
    assert name in entries
    with zipfile.ZipFile(file, "w") as new:
        for entry, data in entries.items():
            new.writestr(entry, change(data) if entry == name else data)
