"""Nobody but its own user reads a data folder: new files, files of older versions, restored ones."""

import os
from pathlib import Path

import pytest

from store.backup.dump import write_backup
from store.backup.restore import restore_backup
from store.db import Database
from store.private_files import protect
from store.settings import Settings


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder):
    return [path.name for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


def test_what_an_older_version_made_is_tightened(tmp_path):
    data = tmp_path / "data"
    (data / "blocks").mkdir(parents=True)
    for name in ("inglenook.db", "inglenook.db-wal", "secret_key", "probes.json"):
        (data / name).touch()
    elsewhere = tmp_path / "other.db"
    elsewhere.touch()
    protect(data, elsewhere)
    assert open_to_others(data) == []
    assert elsewhere.stat().st_mode & 0o777 == 0o600
    (data / "new").touch()
    assert open_to_others(data) == []


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_a_folder_that_is_not_ours_alone_is_left_as_it_is(tmp_path, monkeypatch, mode):
    monkeypatch.setenv("HOME", str(tmp_path if mode == 0o755 else tmp_path / "home"))
    (tmp_path / "file").touch()
    tmp_path.chmod(mode)
    protect(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == mode
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_link_is_not_followed(tmp_path):
    data, target = tmp_path / "data", tmp_path / "target"
    data.mkdir()
    target.touch()
    (data / "link").symlink_to(target)
    protect(data)
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_is_not_there_is_no_trouble(tmp_path):
    protect(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_a_new_database_is_private_whatever_the_umask(tmp_path):
    db = Database(f"sqlite:///{tmp_path}/data/inglenook.db")
    db.migrate()
    files = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()}
    db.close()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert {name: mode for name, mode in files.items() if name.startswith("inglenook.db") and "lock" not in name} == {
        "inglenook.db": 0o600,
        "inglenook.db-wal": 0o600,
        "inglenook.db-shm": 0o600,
    }


def test_a_restored_house_is_private_too(tmp_path, migrated_file):
    db = Database(f"sqlite:///{migrated_file}")
    file = write_backup(db, tmp_path / "house.zip", "k" * 64).path
    db.close()
    there = Settings(data_dir=tmp_path / "there")
    restore_backup(there, Path(file))
    restore_backup(there, Path(file), replace=True)
    assert (there.data_dir).stat().st_mode & 0o777 == 0o700
    assert [name for name in open_to_others(there.data_dir) if not name.endswith(".lock")] == []
