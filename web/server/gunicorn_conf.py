"""Configuration of gunicorn: one process, a thread per request or web socket, a stop within three seconds.

`post_worker_init` runs in the serving process after the application was loaded. There SIGTERM is made to close the web
sockets with 1012 first (from a thread: a signal handler must not wait), then gunicorn stops as usual.
"""

import gc
import signal
import sys
import threading
from types import FrameType
from typing import Any

from store.settings import SettingsError, load_settings
from web.live.socket_guard import set_user_timeout

PAGES = 32  # threads that web sockets can never take
WAITING = 1000  # connections that have not asked for anything yet, or not again; they hold no thread

try:
    _settings = load_settings()
except SettingsError as error:
    sys.exit(str(error))

bind = f"{_settings.host}:{_settings.port}"
workers = 1
worker_class = "web.server.gunicorn_worker.SlowClientGuardWorker"
threads = max(_settings.web_threads, _settings.sockets + PAGES)
worker_connections = threads + WAITING
timeout = 60
graceful_timeout = 2
keepalive = 2  # seconds; a stopping worker waits for kept-alive connections
control_socket_disable = True
loglevel = _settings.log_level.lower()
proc_name = "inglenook-web"


def post_worker_init(worker: Any) -> None:
    """Make accepted sockets drop dead peers, and make stopping polite."""
    for listener in worker.sockets:
        set_user_timeout(listener.sock)  # accepted sockets inherit it
    gc.collect()
    gc.freeze()  # what was loaded stays: looking through all of it again and again would hold up every tab
    services = worker.wsgi.extensions["inglenook"]
    stop = signal.getsignal(signal.SIGTERM)

    def on_term(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=services.stop, name="farewell").start()
        if callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGTERM, on_term)
    signal.siginterrupt(signal.SIGTERM, False)


def worker_exit(_server: Any, worker: Any) -> None:
    """Whatever made the worker leave (gunicorn's master may have been killed): no web socket may hold it."""
    app = getattr(worker, "wsgi", None)  # none if it could not be loaded
    if app is not None:
        app.extensions["inglenook"].stop()
