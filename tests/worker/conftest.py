"""A worker in the test's own process (`make_context`) and workers as real processes (`start_worker`), echoing."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis
from worker_lane_jobs import wait_until

from engine import Engine
from store import chats, turns
from store.broker import queue, registry
from store.broker.client import connect
from store.db import Database
from store.models import Character
from store.settings import Settings
from store.views import ChatView, TurnView, UserView
from worker.context import WorkerContext, open_context
from worker.engine_setup import framing_of, open_engine
from worker.publisher import Publisher

ROOT = Path(__file__).parents[2]


class SettableClock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def make_context(database: Database, redis: Redis, redis_server, tmp_path) -> Iterator[Callable[..., WorkerContext]]:
    """`make_context(**settings)`: a context with an echo engine, open for `run_turn` in this process."""
    opened: list[tuple[Engine, WorkerContext]] = []

    def make(redis_url: str = redis_server.url, **values: object) -> WorkerContext:
        given = {"backend": "echo", "disk_cache_mb": 0, **values}
        settings = Settings(data_dir=tmp_path, models_dir=tmp_path / "models", redis_url=redis_url, **given)
        engine = open_engine(settings)
        publisher = Publisher(connect(redis_url))
        publisher.start()
        context = WorkerContext(
            worker_name=settings.worker_name,
            db=database,
            redis=connect(redis_url),
            engine=engine,
            framing=framing_of(engine, settings.framing),
            piece=engine.backend.piece,
            publisher=publisher,
            context_tokens=engine.options.context,
            max_reply_tokens=settings.max_reply_tokens,
            data_dir=settings.data_dir,
        )
        opened.append((engine, context))
        open_context(context)
        return context

    yield make
    for engine, context in opened:
        context.publisher.close()
        context.publisher.redis.close()
        context.redis.close()
        engine.close()


@pytest.fixture
def make_chat(database: Database) -> Callable[[UserView], ChatView]:
    """`make_chat(user)`: a chat with a character of few words (the echo backend works hard for each)."""

    def make(user: UserView) -> ChatView:
        card = {"system_prompt": "Be {{char}}.", "first_mes": "Hi."}
        texts = {"name": "Mo", "tagline": "", "avatar": "", "rating": "everyone", "locale": "en"}
        with database.session() as session:
            character = Character(id=uuid.uuid4().hex, owner_id=user.id, card=card, created_at=0.0, **texts)
            session.add(character)
        return chats.create_chat(database, user.id, character.id, user.name)

    return make


@pytest.fixture
def say(database: Database) -> Callable[..., TurnView]:
    """`say(chat, text, revision=1)`: a turn that waits."""

    def submit(chat: ChatView, text: str = "Hello", revision: int = 1, kind: str = "chat") -> TurnView:
        command = turns.TurnCommand(uuid.uuid4().hex, chat.id, kind, revision, text if kind == "chat" else "")
        return turns.begin_turn(database, chat.owner_id, command).turn

    return submit


@dataclass
class WorkerProcess:
    """`python -m worker`, echoing."""

    name: str
    environ: dict[str, str]
    redis_url: str
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> "WorkerProcess":
        with self.log.open("ab") as file:
            command = [sys.executable, "-W", "error", "-m", "worker"]
            self.process = subprocess.Popen(command, env=self.environ, cwd=ROOT, stdout=file, stderr=file)
        return self

    def ready(self) -> "WorkerProcess":
        with connect(self.redis_url) as client:
            wait_until(lambda: self.name in registry.alive(client) or self.exit_code() is not None)
        assert self.exit_code() is None, self.log.read_text()
        return self

    def exit_code(self) -> int | None:
        assert self.process is not None
        return self.process.poll()

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, limit_s: float = 60) -> int:
        """Its exit status. The limit is for what never ends: no promise about time."""
        assert self.process is not None
        return self.process.wait(limit_s)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.send(signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def start_worker(database_url: str, redis: Redis, redis_server, tmp_path) -> Iterator[Callable[..., WorkerProcess]]:
    """`start_worker(name="gpu0", redis_url=..., **settings)`: a process, not waited for."""
    workers: list[WorkerProcess] = []

    def start(name: str = "gpu0", redis_url: str = redis_server.url, **values: object) -> WorkerProcess:
        settings = {"backend": "echo", "database_url": database_url, "redis_url": redis_url, "worker_name": name}
        settings |= {
            "data_dir": str(tmp_path),
            "models_dir": str(tmp_path / "models"),
            "disk_cache_mb": "0",
            "titles": "0",
            **{key: str(v) for key, v in values.items()},
        }
        environ = {**os.environ, **{f"INGLENOOK_{key.upper()}": value for key, value in settings.items()}}
        workers.append(WorkerProcess(name, environ, redis_url, tmp_path / f"{name}.log"))
        return workers[-1].start()

    yield start
    for worker in workers:
        with suppress(ProcessLookupError):
            worker.kill()
    if any("Traceback" in worker.log.read_text() for worker in workers):
        print("\n".join(worker.log.read_text() for worker in workers))  # noqa: T201 (pytest shows it with a failure)


@pytest.fixture
def dispatch(database: Database, redis: Redis) -> Callable[[TurnView], None]:
    """Bring a turn into the queue, as the web does; a worker's reconcile may be faster."""

    def send(turn: TurnView) -> None:
        queue.dispatch(database, redis, turn.owner_id)

    return send
