"""A database that is damaged or emptied: one sentence that says what is wrong and names the backup, nothing changed."""

import os
import shutil
import sqlite3

import pytest

from deploy import container, database_check
from deploy.database_check import check_database, newest_backup
from deploy.preflight import DeployError
from deploy.run import main
from store.backup.dump import write_backup
from store.backup.restore import restore_backup
from store.db import Database
from store.settings import Settings
from tests.harness.full_disk import SmallDisk

GARBAGE = bytes(range(256)) * 16


@pytest.fixture
def installation(tmp_path, migrated_file):
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(migrated_file, data / "inglenook.db")
    return Settings(data_dir=data)


@pytest.fixture
def run(installation, monkeypatch, capsys):
    """`make run` on this house until it has said its sentence; what it said."""
    umask = os.umask(0o077)

    def start(program=main):
        for name in [name for name in os.environ if name.startswith("INGLENOOK_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("INGLENOOK_DATA_DIR", str(installation.data_dir))
        monkeypatch.setenv("INGLENOOK_BACKEND", "echo")
        monkeypatch.setenv("INGLENOOK_PORT", "0")
        assert program() in (1, container.EXIT_CONFIG)
        said = capsys.readouterr().err
        assert said.startswith("inglenook: ")
        assert len(said.splitlines()) == 1
        return said

    yield start
    os.umask(umask)


def backup_of(installation):
    db = Database(installation.database_url)
    path = write_backup(db, installation.data_dir / "inglenook-20260101-120000.zip").path
    db.close()
    return path


def overwrite(installation, at, n_bytes=4096):
    file = installation.data_dir / "inglenook.db"
    content = bytearray(file.read_bytes())
    content[at : at + n_bytes] = GARBAGE[:n_bytes]
    file.write_bytes(content)


def test_a_good_database_and_a_new_house_may_start(installation, tmp_path):
    check_database(installation)
    check_database(Settings(data_dir=tmp_path / "new"))
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "inglenook.db").touch()  # a first start that was interrupted
    check_database(Settings(data_dir=tmp_path / "begun"))
    check_database(Settings(database_url="postgresql+psycopg://nobody@127.0.0.1:1/none"))


@pytest.mark.parametrize("program", [main, lambda: container.main(["web"]), lambda: container.main(["worker"])])
@pytest.mark.parametrize("at", [0, 18, 4096, 3 * 4096])
def test_a_damaged_header_or_page_is_told_with_the_backup(installation, run, program, at):
    backup = backup_of(installation)
    overwrite(installation, at, 80 if at < 100 else 4096)
    before = (installation.data_dir / "inglenook.db").read_bytes()
    said = run(program)
    assert f"The database {installation.data_dir / 'inglenook.db'} is damaged" in said
    assert f"`inglenook restore {backup} --replace`" in said
    assert (installation.data_dir / "inglenook.db").read_bytes() == before
    restore_backup(installation, backup, replace=True)
    check_database(installation)


def test_a_file_that_was_cut_off_is_damaged(installation, run):
    file = installation.data_dir / "inglenook.db"
    os.truncate(file, file.stat().st_size // 2)
    assert "is damaged" in run()


TRACES = ("a block", "a backup", "a former house")
EMPTIED = [(how, trace) for how in ("removed", "no bytes", "no tables") for trace in TRACES]


@pytest.mark.parametrize(("emptied", "trace"), [*EMPTIED, ("removed", "a log"), ("no bytes", "a log")])
def test_an_emptied_database_is_not_taken_for_a_new_house(installation, run, emptied, trace):
    file = installation.data_dir / "inglenook.db"
    if trace == "a backup":
        backup_of(installation)
    elif trace == "a block":
        (installation.data_dir / "blocks" / "ab").mkdir(parents=True)
    elif trace == "a former house":
        (installation.data_dir / "before-restore-20260101-120000").mkdir()
    file.unlink()
    if emptied == "no bytes":
        file.touch()
    elif emptied == "no tables":
        with sqlite3.connect(file) as empty:
            empty.execute("PRAGMA journal_mode = WAL")
            empty.execute("CREATE TABLE x (y)")
            empty.execute("DROP TABLE x")
        empty.close()
    if trace == "a log":
        file.with_name("inglenook.db-wal").write_bytes(GARBAGE)
    said = run()
    assert f"The database {file} is empty, and yet people have used this installation" in said
    assert "inglenook restore" in said
    if trace == "a log":
        assert file.with_name("inglenook.db-wal").read_bytes() == GARBAGE


def test_a_database_of_a_newer_inglenook_is_told(installation, run):
    with sqlite3.connect(installation.data_dir / "inglenook.db") as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.close()
    assert "was made by a newer inglenook" in run()


@pytest.mark.parametrize("url", ["sqlite://", "house.db"])
def test_an_address_that_is_none_is_told(tmp_path, url):
    with pytest.raises(DeployError, match="INGLENOOK_DATABASE_URL is wrong"):
        check_database(Settings(data_dir=tmp_path, database_url=url))


def test_a_check_that_takes_too_long_is_given_up(installation, monkeypatch):
    monkeypatch.setattr(database_check, "CHECK_LIMIT_S", -1.0)
    monkeypatch.setattr(database_check, "_STEPS", 1)
    check_database(installation)


def test_the_newest_backup_is_named(installation):
    old = backup_of(installation)
    (installation.data_dir / "backups").mkdir()
    new = installation.data_dir / "backups" / "inglenook-20250101-120000.zip"
    shutil.copy(old, new)
    os.utime(old, (1, 1))
    assert newest_backup(installation) == new


def test_a_first_start_on_a_full_disk_is_one_sentence(tmp_path, run, monkeypatch):
    def start():
        monkeypatch.setenv("INGLENOOK_DATA_DIR", str(disk.folder / "data"))
        return main()

    with SmallDisk(tmp_path / "disk", 1 << 20) as disk:
        disk.fill(ourselves=True)
        try:
            assert "is full" in run(start)
        finally:
            disk.free(ourselves=True)
