"""The installation under attack: a real Redis behind a password, gunicorn (one or several), and workers that echo.

What it does: makes the data folder, starts everything as deploy/ does it, says who owns which process, and measures
what each process and Redis hold.
What it refuses to know: faults and players.
"""

import base64
import contextlib
import os
import shutil
import signal
import struct
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from deploy import room_processes
from deploy.managed_redis import ManagedRedis
from deploy.run import prepare
from store.broker import registry
from store.broker.client import connect
from store.db import Database
from tests.harness.processes import free_port
from tests.harness.programs import Keeper, Program
from tests.nemesis import audit

ROOT = Path(__file__).resolve().parents[2]
READY_S = 120
WIPE = 'if [ -e "$1" ]; then rm -rf "$2" "$1"; mkdir -p "$2"; fi; shift 2; exec "$@"'
ECHO = {"backend": "echo", "context": 2048, "echo_delay_ms": 8, "max_reply_tokens": 160, "threads": 1}
SMOLLM2 = {"backend": "llama", "context": 2048, "max_reply_tokens": 40, "threads": 1}
MODELS = {"echo": ECHO, "smollm2": SMOLLM2}


class Installation:
    """Redis, `n_webs` web servers and `n_workers` workers on a folder of their own."""

    def __init__(self, folder, n_workers=2, model="echo", n_webs=1, environ=None, **settings):
        self.folder, self.data = Path(folder), Path(folder) / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.model, self._more = model, environ or {}
        self.clock_file = self.folder / "clock"
        self.clock_file.write_bytes(struct.pack("d", 0.0))
        ports = [free_port() for _ in range(n_webs)]
        self.addresses = [f"http://127.0.0.1:{port}" for port in ports]
        named = {"port": ports[0], "sockets": 300, "web_threads": 330, "max_waiting_turns": 3}
        named |= {"public_origins": ",".join(self.addresses)} if n_webs > 1 else {}
        named |= {"lanes": 2, "secret_key": base64.b64encode(os.urandom(24)).decode(), **MODELS[model], **settings}
        self._server = ManagedRedis(self.data / "redis")
        given = {name: value for name, value in os.environ.items() if not name.startswith("INGLENOOK_")}
        given |= {f"INGLENOOK_{name.upper()}": str(value) for name, value in named.items()}
        given |= {"INGLENOOK_DATA_DIR": str(self.data), "INGLENOOK_REDIS_URL": self._server.url}
        self.environ, self.settings, _ = prepare(given)
        self.address = room_processes.address(self.settings)
        self.redis = self._program("redis", self._redis_command())
        self.webs = [self._web(port, number) for number, port in enumerate(ports)]
        self.web = self.webs[0]
        self.workers = [self._worker(f"gpu{number}") for number in range(n_workers)]
        self.programs = [self.redis, *self.webs, *self.workers]
        self._of_web = [self.settings.model_copy(update={"port": port}) for port in ports]
        self._keeper = Keeper(self.programs)
        self.client = connect(self._server.url)
        self.hurry = Redis.from_url(self._server.url, socket_timeout=1, socket_connect_timeout=1)  # for the nemesis
        self.db = None

    def start(self):
        """Start everything and wait until it answers."""
        self._keeper.start()
        self.redis.wanted = True
        self.wait_for(lambda: room_processes.redis_answers(self.settings), "Redis")
        room_processes.migrate(self.settings)
        self.db = Database(self.settings.database_url)
        audit.install(self.sqlite_file)
        for program in (*self.webs, *self.workers):
            program.wanted = True
        self.wait_for(self.is_well, "web and workers")
        return self

    def stop(self):
        """Stop everything."""
        for program in self.programs:
            program.wanted = False
        if self._keeper.is_alive():
            self._keeper.stop()
        self.client.close()
        self.hurry.close()
        if self.db is not None:
            self.db.close()

    def is_well(self):
        """Whether everything is there and answers."""
        with contextlib.suppress(RedisError):
            alive = registry.alive(self.client)
            return {worker.name for worker in self.workers} <= set(alive) and all(
                map(room_processes.web_answers, self._of_web)
            )
        return False

    @property
    def sqlite_file(self):
        """Where the database lies."""
        return self.data / "inglenook.db"

    def wipe_redis_at_next_start(self):
        """Whatever Redis has is gone when it comes back: the supervisor's start finds an empty folder."""
        (self.folder / "wipe").touch()

    def clock(self, seconds):
        """Set the wall clock of web and workers this much ahead of (or behind) the true one."""
        with self.clock_file.open("r+b") as file:
            file.write(struct.pack("d", seconds))

    def said(self, *words):
        """How many lines of all logs have one of these words."""
        logs = [program.log.read_text(encoding="utf-8", errors="replace") for program in self.programs]
        return sum(any(word in line for word in words) for log in logs for line in log.splitlines())

    def swap_blocks(self, away):
        """Put a file in the place of the folder of the KV blocks, where nothing can be written; or take it away."""
        blocks, aside = self.data / "blocks", self.folder / "blocks-aside"
        if away and blocks.is_dir() and not aside.exists():
            blocks.rename(aside)
            blocks.touch()
        elif not away and aside.exists():
            if blocks.is_dir():
                shutil.rmtree(blocks, ignore_errors=True)
            blocks.unlink(missing_ok=True)
            aside.rename(blocks)

    def heal(self):
        """Withdraw whatever somebody may have done to it, and forgotten."""
        self.clock(0.0)
        self.swap_blocks(away=False)
        for program in self.programs:
            program.limit_files(None)
            program.signal_all(signal.SIGCONT)

    def wait_for(self, check, what, timeout_s=READY_S):
        """Wait until a check passes; AssertionError otherwise."""
        deadline = time.monotonic() + timeout_s
        while not check():
            assert time.monotonic() < deadline, f"no {what} within {timeout_s} s: see {self.folder}"
            time.sleep(0.05)

    def _redis_command(self):
        command = self._server.command(self.folder / "redis.conf")
        return ["/bin/sh", "-c", WIPE, "redis", str(self.folder / "wipe"), str(self.data / "redis"), *command]

    def _web(self, port, number):
        return self._program(f"web{number or ''}", room_processes.web_command(), INGLENOOK_PORT=str(port))

    def _worker(self, name):
        return self._program(name, room_processes.worker_command(), INGLENOOK_WORKER_NAME=name)

    def _program(self, name, command, **more):
        path = f"{ROOT}{os.pathsep}{Path(__file__).with_name('injected')}"
        environ = {**self.environ, "PYTHONPATH": path, "NEMESIS_CLOCK": str(self.clock_file), **self._more, **more}
        return Program(name, command, environ, ROOT, self.folder / f"{name}.log")
