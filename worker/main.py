"""The worker process: settings, logging, the lock, signals, exit codes. Its parts are in service.py.

Exit codes: 0 stopped as asked; 78 the settings or the model file are wrong (a supervisor should not try again); 70
the engine died (it should); 75 another model was chosen, which the next start loads (shelf/switch.py); 1 stopped the
hard way, by a second signal or because lanes did not end in time.
SIGTERM and SIGINT drain: running turns stop at the next token and are given back, at most about 5 s. A second one
exits at once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType

from engine import EngineError
from store.broker.client import connect
from store.db import Database
from store.private_files import protect
from store.settings import AUTO, Settings, SettingsError, load_settings
from worker.gpu_lock import DataFolderError, WorkerLock, first_free
from worker.machine_share import holding_share
from worker.service import Service, requeue_own_turns
from worker.shelf.choice import open_chosen

log = logging.getLogger("worker")

EXIT_OK, EXIT_HARD, EXIT_ENGINE_DIED, EXIT_SWITCH, EXIT_CONFIG = 0, 1, 70, 75, 78
WATCH_EVERY_S = 0.2
_ENDS = {
    EXIT_OK: "stopping",
    EXIT_ENGINE_DIED: "the engine died",
    EXIT_SWITCH: "stopping, for another model",
}
QUIET = ("rq.worker", "rq.queue", "rq.job", "alembic", "rq.registry")


def main() -> int:
    """Run a worker until a signal stops it; returns the exit code."""
    try:
        settings = load_settings()
    except SettingsError as error:
        return _config_error(error)
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    stop = threading.Event()
    _install_signals(stop)
    protect(settings.data_dir)
    try:
        lock = _lock_of(settings)
    except DataFolderError as error:
        return _config_error(error)
    try:
        settings = settings.model_copy(update={"worker_name": lock.name})
        if not lock.held and not lock.acquire(stop):
            return EXIT_OK
        with holding_share(settings.data_dir, lock.name):
            return _work(settings, stop)
    except (DataFolderError, EngineError) as error:
        return _config_error(error)
    finally:
        lock.release()


def _lock_of(settings: Settings) -> WorkerLock:
    """The lock of the worker's name: not yet taken if the settings name it, taken if the name is `auto`."""
    if settings.worker_name == AUTO:
        return first_free(settings.data_dir)
    return WorkerLock(settings.data_dir, settings.worker_name)


def _work(settings: Settings, stop: threading.Event) -> int:
    """Work with the lock held; returns the exit code. Raises EngineError when the model cannot be used."""
    db = Database(settings.database_url)
    db.migrate()
    with connect(settings.redis_url) as redis:
        requeue_own_turns(db, redis, settings.worker_name)
    opened = open_chosen(settings, db)
    service = Service(opened.settings, db, opened.engine, opened)
    if stop.is_set():
        return EXIT_OK
    service.start()
    while service.alive() and not service.switches() and not stop.wait(WATCH_EVERY_S):
        pass
    code = _exit_code(service, stop)
    log.log(logging.ERROR if code == EXIT_ENGINE_DIED else logging.INFO, _ENDS[code])
    if opened.loaded.failed:
        opened.loaded.failed.note(opened.engine.failure)
    if service.stalled():
        log.error("the engine has been at one step for too long: this process ends, another one goes on")
        os._exit(
            EXIT_ENGINE_DIED
        )  # its thread hangs in the backend, so a drain would hang, too; the lock is free at once
    drained = service.drain()
    service.close()
    return code if drained or code else EXIT_HARD


def _exit_code(service: Service, stop: threading.Event) -> int:
    """Why the loop has ended. A stop wins over a change of the model: nobody starts this process again."""
    if not service.alive():
        return EXIT_ENGINE_DIED
    return EXIT_SWITCH if service.switches() and not stop.is_set() else EXIT_OK


def _install_signals(stop: threading.Event) -> None:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(EXIT_HARD)
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)


def _config_error(error: Exception) -> int:
    sys.stderr.write(f"inglenook worker: {error}\n")
    return EXIT_CONFIG
