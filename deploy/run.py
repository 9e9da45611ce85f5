"""`make run`: the whole stack on one machine, in the foreground, until Ctrl+C.

Order: settings, one stack per data folder (lock), pre-flight checks, supervisord, Redis, migration, then worker, web
and downloader at once; when the first two answer, the address (and an invitation while there is no admin). After that
it watches: it ends when a program reports a wrong configuration (exit status 78), and restarts programs that
supervisord has given up. What it refuses to know: how programs are kept running (supervise.py) and started
(room_processes.py). To add a program: see room_processes.py.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TextIO

from deploy import room_processes
from deploy.database_check import check_database, database_trouble
from deploy.managed_redis import ManagedRedis, is_damaged, put_aside
from deploy.offers import tell_offers
from deploy.preflight import LEAST_FREE_MB, DeployError, check_all, free_space_mb, unusable
from deploy.stack_paths import StackPaths, exclusive_lock, running_settings
from deploy.start_table import start_table, toy_line
from deploy.supervise import EXIT_CONFIG, RPC_ERRORS, Program, Supervisord
from store.db import DatabaseTrouble
from store.private_files import protect
from store.settings import PREFIX, Settings, SettingsError, load_settings

READY_TIMEOUT_S = 180.0
WORKER_TIMEOUT_S = 900.0
"""A first start tries the model in a child process, and may read it three times from a slow disk."""
STOP_TIMEOUT_S = 9.0
TRIES_AT_START = 3
POLL_S = 0.2
TRY_AGAIN_S = 30.0
FULL_BELOW_MB = 1
GROUND, ROOMS = "ground", "rooms"


class StopRequested(Exception):
    """A signal asked to stop before everything was up."""


def main() -> int:
    """Run the stack; 0 after an orderly stop, 1 after one clear sentence."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _setter(stop))
    try:
        environ, settings, managed_redis = prepare(os.environ)
        _run(environ, settings, managed_redis, stop)
    except (DeployError, SettingsError) as fault:
        say(f"inglenook: {fault}", sys.stderr)
        return 1
    except StopRequested:
        pass
    say("inglenook: stopped.")
    return 0


def _run(
    environ: dict[str, str], settings: Settings, managed_redis: ManagedRedis | None, stop: threading.Event
) -> None:
    """Check everything, then run the stack. Raises DeployError, also for a disk or a database that fails meanwhile."""
    paths = StackPaths(settings.data_dir)
    try:
        protect(settings.data_dir)
        paths.make()
        with exclusive_lock(paths):
            check_all(settings)
            check_database(settings)
            settings.read_secret_key()  # one that is not safe is made anew here, and told in this terminal
            with running_settings(paths, environ):
                run_stack(paths, settings, programs(paths, managed_redis), environ, stop)
    except OSError as error:
        raise unusable(Path(error.filename or settings.data_dir), error) from None
    except DatabaseTrouble as error:
        raise database_trouble(settings, error) from None


def prepare(given: Mapping[str, str]) -> tuple[dict[str, str], Settings, ManagedRedis | None]:
    """Environment of the programs (absolute paths), its settings, and a managed Redis unless a URL is given."""
    environ = {"GGML_NO_BACKTRACE": "1", "PYTHONUNBUFFERED": "1", **given}
    settings = load_settings(environ)
    environ[PREFIX + "DATA_DIR"] = str(settings.data_dir.resolve())
    environ[PREFIX + "MODELS_DIR"] = str(settings.models_dir.resolve())
    if settings.model:
        environ[PREFIX + "MODEL"] = str(Path(settings.model).resolve())
    managed_redis = None
    if not given.get(PREFIX + "REDIS_URL"):
        managed_redis = ManagedRedis(settings.data_dir.resolve() / "redis")
        environ[PREFIX + "REDIS_URL"] = managed_redis.url
    return environ, load_settings(environ), managed_redis


def programs(paths: StackPaths, managed_redis: ManagedRedis | None) -> list[Program]:
    """The programs that supervisord keeps running."""
    rooms_programs = [
        Program("worker", room_processes.worker_command(), ROOMS, settle_s=5, stop_s=6),
        Program("web", room_processes.web_command(), ROOMS, settle_s=5, stop_s=5),
        Program("downloader", room_processes.downloader_command(), ROOMS, settle_s=5, stop_s=5),
    ]
    if managed_redis is None:
        return rooms_programs
    command = managed_redis.command(paths.run / "redis.conf")
    return [Program("redis", command, GROUND, settle_s=1, stop_s=3), *rooms_programs]


def run_stack(
    paths: StackPaths, settings: Settings, listed: list[Program], environ: Mapping[str, str], stop: threading.Event
) -> None:
    """Start all programs, print the address, watch until `stop`, and leave no process behind."""
    supervisord = Supervisord(paths)
    try:
        supervisord.start(listed, environ)
        watch = StackWatch(supervisord, paths, stop)
        if GROUND in {program.group for program in listed}:
            supervisord.start_group(GROUND)
        watch.until(lambda: room_processes.redis_answers(settings), "Redis")
        room_processes.migrate(settings)
        supervisord.start_group(ROOMS)
        watch.until(lambda: room_processes.web_answers(settings), "the web server")
        watch.until(lambda: room_processes.worker_answers(settings), "the worker", WORKER_TIMEOUT_S)
        announce(settings)
        watch.until_stopped()
    finally:
        say("inglenook: stopping ...")
        supervisord.stop(STOP_TIMEOUT_S)


def announce(settings: Settings) -> None:
    """Print what the worker has planned, the address, and an invitation while there is no admin."""
    worker = room_processes.worker_view(settings)
    if worker and (table := start_table(worker.engine)):
        say(f"\n{table}")
    say(f"\n  inglenook is at  {room_processes.address(settings)}")
    if invited := room_processes.admin_invitation(settings):
        say(f"  first admin      {invited[0].link}")
        tell_offers(invited, settings, say)
    if worker and (toy := toy_line(worker.engine, room_processes.address(settings))):
        say(toy)
    say("  Ctrl+C stops it.\n")


def say(words: str, where: TextIO | None = None) -> None:
    """Print, whether or not the terminal is still there: everything has to be stopped either way."""
    with contextlib.suppress(OSError):
        print(words, file=where or sys.stdout, flush=True)


class StackWatch:
    """Watches the programs of a started supervisord, during the start and afterwards."""

    def __init__(self, supervisord: Supervisord, paths: StackPaths, stop: threading.Event) -> None:
        self._supervisord = supervisord
        self._paths = paths
        self._stop = stop
        self._given_up_at: dict[str, float] = {}
        self._has_room = True

    def until(
        self,
        is_ready: "room_processes.Check",
        what: str,
        limit_s: float = READY_TIMEOUT_S,
        patience_s: float = 60.0,
    ) -> None:
        """Wait until a check passes, and say so after `patience_s`. Raises DeployError if a program gives up or time
        runs out, StopRequested if asked to."""
        start, is_told = time.monotonic(), False
        while not is_ready():
            self._check_programs()
            deaths = Counter(name for name, _ in self._supervisord.exits())
            for name in (name for name, times in deaths.items() if times >= TRIES_AT_START):
                raise DeployError(self._with_tail(name, f"The {name} program does not start"))
            if time.monotonic() - start > limit_s:
                raise DeployError(f"No answer from {what} within {limit_s:.0f} s: look into {self._paths.logs}.")
            if not is_told and time.monotonic() - start > patience_s:
                say(f"inglenook: Still waiting for {what}; what it does is in {self._paths.logs}.")
                is_told = True
            self._pause()

    def until_stopped(self) -> None:
        """Watch until asked to stop; programs that supervisord has given up are restarted after TRY_AGAIN_S seconds."""
        while not self._stop.is_set():
            self._tell_room()
            for name, state in self._check_programs().items():
                if state == "FATAL":
                    self._try_again(name, time.monotonic())
            self._stop.wait(POLL_S * 5)

    def _check_programs(self) -> dict[str, str]:
        try:
            exits, states = self._supervisord.exits(), self._supervisord.states()
        except RPC_ERRORS as error:
            sentence = f"The supervisor has ended or does not answer ({error})"
            raise DeployError(self._with_tail("supervisord", sentence)) from None
        for name in (name for name, status in exits if status == EXIT_CONFIG):
            raise DeployError((self._paths.tail(name, 1) or [f"The {name} program refuses its configuration."])[0])
        if states.get("redis") in ("BACKOFF", "FATAL"):
            self._mend_redis()
        return states

    def _mend_redis(self) -> None:
        """Files that Redis cannot read are put aside, and it starts empty: SQL has the truth."""
        if not is_damaged(self._paths.tail("redis", 400)):
            return
        self._supervisord.stop_program(GROUND, "redis")
        if aside := put_aside(self._paths.data / "redis"):
            say(
                f"inglenook: Redis cannot read its files, they are damaged: they lie in {aside} now, and it starts "
                "empty. No text is lost, and unfinished turns are queued again.",
                sys.stderr,
            )
        self._supervisord.start_program(GROUND, "redis")

    def _try_again(self, name: str, now: float) -> None:
        since = self._given_up_at.setdefault(name, now)
        if now - since < TRY_AGAIN_S:
            return
        say(self._with_tail(name, f"The {name} program keeps failing, starting it again"), sys.stderr)
        del self._given_up_at[name]
        self._supervisord.start_program(GROUND if name == "redis" else ROOMS, name)

    def _tell_room(self) -> None:
        """Say it once when the disk of the data folder is full, and once when there is room again."""
        free_mb = free_space_mb(self._paths.data)
        if self._has_room and free_mb < FULL_BELOW_MB:
            say(
                f"inglenook: The disk of {self._paths.data} is full: make room. Until then pages are shown, and what "
                "people send is refused.",
                sys.stderr,
            )
            self._has_room = False
        elif not self._has_room and free_mb >= LEAST_FREE_MB:
            say("inglenook: There is room on the disk again.", sys.stderr)
            self._has_room = True

    def _with_tail(self, name: str, sentence: str) -> str:
        tail = "".join(f"\n    {line}" for line in self._paths.tail(name))
        return f"{sentence}; the end of {self._paths.log(name)}:{tail}"

    def _pause(self) -> None:
        if self._stop.wait(POLL_S):
            raise StopRequested


def _setter(stop: threading.Event) -> "signal._HANDLER":
    def handler(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    return handler


if __name__ == "__main__":
    sys.exit(main())
