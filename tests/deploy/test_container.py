"""The containers' entry point: what it waits for, and what it says when that does not come."""

import os
import socket
import threading

import pytest

from deploy.container import EXIT_CONFIG, await_database, await_password, main
from deploy.preflight import DeployError
from deploy.room_processes import migrate
from store.settings import Settings


@pytest.fixture
def closed_door():
    """The address of a PostgreSQL that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return f"postgresql+psycopg://inglenook:secret@127.0.0.1:{port}/inglenook"


def test_a_database_that_does_not_come_is_one_sentence_without_its_password(closed_door):
    with pytest.raises(DeployError, match=r"The database does not answer .*refused.*INGLENOOK_DATABASE_URL") as told:
        await_database(closed_door, within_s=0.1)
    assert len(str(told.value).splitlines()) == 1
    assert "secret" not in str(told.value)


def test_a_container_without_its_database_ends_with_that_sentence(closed_door, monkeypatch, capsys):
    monkeypatch.setenv("INGLENOOK_DATABASE_URL", closed_door)
    assert [main([room], database_within_s=0.1) for room in ("web", "worker", "downloader")] == [EXIT_CONFIG] * 3
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert all(line.startswith("inglenook: The database does not answer") for line in said)


def test_a_sqlite_file_is_not_waited_for(tmp_path):
    await_database(f"sqlite:///{tmp_path / 'not-there-yet.db'}", within_s=0.0)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_there_is_not_waited_for_either(database_url):
    migrate(Settings(database_url=database_url))
    await_database(database_url, within_s=0.0)


def test_redis_gets_time_to_make_its_password(tmp_path):
    file = tmp_path / "redis"
    late = threading.Timer(0.3, file.write_text, ["a password"])
    late.start()
    await_password({**os.environ, "INGLENOOK_REDIS_PASSWORD_FILE": str(file)})
    assert file.read_text() == "a password"
    late.join()
