"""Killed (SIGKILL) at chosen moments of a backup, of a migration and of a first start: nothing is lost, nothing half is
taken for whole, and the next try ends what was begun. `make check-crashes` has the moments of a turn's life."""

import gzip
import json
import os
import shutil
import signal
import sqlite3
import traceback
from contextlib import closing

import pytest
from click.testing import CliRunner

from deploy.cli.main import cli
from deploy.database_check import check_database, newest_backup
from store import accounts, chats
from store.backup import dump, leftovers
from store.backup.archive import Archive
from store.backup.restore import restore_backup
from store.db import Database, known_versions
from store.settings import Settings
from tests.nemesis.crashes import IN_A_BACKUP, IN_A_MIGRATION, Failpoints
from tests.nemesis.injected import failpoints
from tests.store.test_old_databases import OLD, stories_of

OLDEST = sorted(OLD.glob("*.db.gz"))[0]


@pytest.fixture
def die_at(tmp_path):
    """`die_at(moment, work)`: a child of this process does the work, and has to die there."""
    armed = Failpoints(tmp_path / "failpoints")

    def run(moment, work):
        armed.arm(moment)
        child = os.fork()
        if not child:
            try:
                failpoints.install(armed.folder)
                work()
            except BaseException:  # noqa: BLE001 (the child must not become a second pytest)
                traceback.print_exc()
            os._exit(1)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, f"nobody came to {moment}"
        assert armed.disarm(moment)

    return run


def old_file(path):
    """A database that an older version wrote."""
    with gzip.open(OLDEST) as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return Settings(data_dir=path.parent)


def what_it_had(database):
    """Stories by their owners, as the older version read them."""
    expected = json.loads(OLDEST.with_name(OLDEST.name.replace(".db.gz", ".json")).read_text(encoding="utf-8"))
    here = {name: sorted(stories_of(database, accounts.find_user(database, name)), key=str) for name in expected}
    return here, {name: then["stories"] for name, then in expected.items()}


def migrate(settings):
    database = Database(settings.database_url)
    database.migrate()
    database.close()


@pytest.mark.parametrize("moment", IN_A_BACKUP)
def test_killed_in_a_backup_the_last_one_stays_and_the_next_is_whole(tmp_path, die_at, moment):
    settings = old_file(tmp_path / "inglenook.db")
    migrate(settings)
    backups = tmp_path / "backups"
    backups.mkdir()
    file = backups / "inglenook-1.zip"

    def back_up():
        database = Database(settings.database_url)
        dump.write_backup(database, file, "a key that is long enough", now=6.0)

    database = Database(settings.database_url)
    dump.write_backup(database, file, "a key that is long enough", now=5.0)
    mine = backups / ".notes.2026.0badcafe"
    mine.write_text("not a backup")
    die_at(moment, back_up)
    assert newest_backup(settings) == file
    with Archive(file) as archive:
        archive.verify()
        assert archive.made_at in (5.0, 6.0)
    assert [path.name for path in backups.iterdir() if path.suffix == ".zip"] == [file.name]
    dump.write_backup(database, file, "a key that is long enough", now=7.0)
    database.close()
    assert set(backups.iterdir()) == {file, mine}, "what the killed one left is swept up"
    elsewhere = Settings(data_dir=tmp_path / "elsewhere")
    elsewhere.data_dir.mkdir()
    restore_backup(elsewhere, file, replace=False)
    again = Database(elsewhere.database_url)
    here, then = what_it_had(again)
    again.close()
    assert here == then


def test_killed_backups_and_restores_of_standard_streams_leave_no_copy(tmp_path, die_at, monkeypatch):
    settings = old_file(tmp_path / "inglenook.db")
    migrate(settings)
    monkeypatch.setenv("INGLENOOK_DATA_DIR", str(tmp_path))
    before = {path.name for path in tmp_path.iterdir()}
    die_at("store.backup.archive:Archive.verify@before", lambda: cli(["backup", "-"], standalone_mode=False))
    (left,) = tmp_path.glob(".backup-*")
    (tmp_path / ".restore-abcd_123").write_bytes(b"a house")
    held = tmp_path / ".backup-held0000"
    held.mkdir()
    with leftovers.held(held):
        done = CliRunner().invoke(cli, ["backup", "-"])
        assert done.exit_code == 0, done.output
        assert {path.name for path in tmp_path.iterdir()} == before | {held.name}, f"{left} holds everything"


@pytest.mark.parametrize("moment", IN_A_MIGRATION)
def test_killed_in_a_migration_it_begins_again_and_everything_is_there(tmp_path, die_at, moment):
    settings = old_file(tmp_path / "inglenook.db")
    die_at(moment, lambda: migrate(settings))
    check_database(settings)
    migrate(settings)
    database = Database(settings.database_url)
    assert database.version() == known_versions()[-1]
    here, then = what_it_had(database)
    database.close()
    assert here == then
    with closing(sqlite3.connect(tmp_path / "inglenook.db")) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("moment", IN_A_MIGRATION)
def test_killed_in_the_first_start_the_next_one_makes_the_house(tmp_path, die_at, moment):
    settings = Settings(data_dir=tmp_path)
    die_at(moment, lambda: migrate(settings))
    check_database(settings)
    migrate(settings)
    database = Database(settings.database_url)
    _, token = accounts.create_invite(database, "admin")
    user = accounts.sign_up(database, token, "Ada", "not-a-real-hash")
    assert chats.list_chats(database, user.id) == ()
    database.close()
