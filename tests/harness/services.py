"""An installation of real processes in a folder that goes away: Redis, a database, workers, and a web server on demand.

What it does: starts and stops them, makes people and chats through the store, submits turns as web/live does.
What it refuses to know: faults (tests/nemesis), `make run` (stack.py), and what is measured.
"""

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from deploy.managed_redis import ManagedRedis
from store import accounts, characters, chats, turns
from store.broker import queue, registry
from store.broker.client import connect
from store.db import Database
from store.views import ChatView, TurnView, UserView
from tests.harness.waiting import wait_for


class ServiceProcesses:
    """Use as a context manager. `settings` are those of all processes (see store/settings.py)."""

    def __init__(self, workers: Sequence[str] = ("gpu0",), **settings: object) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="inglenook-bench-")
        self.folder = Path(self._folder.name)
        self._server = ManagedRedis(self.folder / "redis")
        settings.setdefault("titles", False)  # a bench measures turns, not what the model does between them
        self._names, self._settings = workers, settings
        self._processes: list[subprocess.Popen[bytes]] = []
        self.database_url = str(settings.pop("database_url", "") or f"sqlite:///{self.folder}/inglenook.db")
        self.db = Database(self.database_url)
        self.redis_url = self._server.url
        self.redis = connect(self.redis_url)

    def __enter__(self) -> "ServiceProcesses":
        try:
            return self._start()
        except BaseException:
            self.__exit__()
            raise

    def _start(self) -> "ServiceProcesses":
        self._run(*self._server.command(self.folder / "redis.conf"))
        self.db.migrate()
        wait_for(self._redis_answers, "Redis")
        for name in self._names:
            self._run(sys.executable, "-m", "worker", INGLENOOK_WORKER_NAME=name)
        wait_for(lambda: len(registry.alive(self.redis)) == len(self._names), "the workers")
        return self

    def __exit__(self, *_error: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait(60)
        self.redis.close()
        self.db.close()
        self._folder.cleanup()

    def person(self, name: str) -> UserView:
        """A new account."""
        _, token = accounts.create_invite(self.db, "adult")
        return accounts.sign_up(self.db, token, name, "no password: nobody signs in here")

    def chat(self, person: UserView) -> ChatView:
        """A new chat of theirs with the first of the bundled characters."""
        character = characters.list_characters(self.db, person)[0]
        return chats.create_chat(self.db, person.id, character.id, person.name)

    def send(self, chat: ChatView, text: str, kind: str = "chat") -> TurnView:
        """What the web does with a submitted turn. Raises Refused."""
        revision = chats.get_revision(self.db, chat.id)
        command = turns.TurnCommand(uuid.uuid4().hex, chat.id, kind, revision, text)
        begun = queue.accept(self.db, self.redis, chat.owner_id, command)
        queue.deliver(self.db, self.redis, begun)
        return begun.turn

    def until_ended(self, turn: TurnView, limit_s: float = 600.0, every_s: float = 0.02) -> TurnView:
        """Wait for the end of a turn."""
        wait_for(lambda: turns.get_turn(self.db, turn.id).ended, f"turn {turn.id}", limit_s, every_s)
        return turns.get_turn(self.db, turn.id)

    def _run(self, *command: str, **environ: str) -> None:
        given = {f"INGLENOOK_{name.upper()}": str(value) for name, value in self._settings.items()}
        fixed = {
            "INGLENOOK_DATA_DIR": str(self.folder),
            "INGLENOOK_DATABASE_URL": self.database_url,
            "INGLENOOK_REDIS_URL": self._server.url,
            "INGLENOOK_LOG_LEVEL": "WARNING",
        }
        with (self.folder / "processes.log").open("ab") as log:
            env = {**os.environ, **fixed, **given, **environ}
            env.pop("GOMP_SPINCOUNT", None)  # that of the bench: each process has its own
            self._processes.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))

    def _redis_answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except OSError:
            return False
        except Exception as error:
            if "loading" in str(error).lower() or "connect" in str(error).lower():
                return False
            raise
