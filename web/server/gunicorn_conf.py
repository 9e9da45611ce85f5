"""Configuration of gunicorn: one process, a thread per request or web socket, graceful shutdown within three seconds.

`post_worker_init` runs in the serving process after the application was loaded. It makes SIGTERM close the web sockets
with 1012 (service restart) first, from a thread because a signal handler must not block; then gunicorn stops as usual.
"""

import gc
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Any

from store.settings import SettingsError, load_settings
from web.live.socket_guard import set_user_timeout

gc.disable()  # until the application is loaded: imports make no garbage, and looking for it takes a fifth of the start
SWITCH_S = 0.001  # a thread that computes gives way after it; a page that waits for it ten times waits 10 ms, not 50
PAGE_THREADS = 32  # threads that web sockets can never take
SEND_BUFFER = 256 * 1024  # bytes, more than nearly every page: no thread waits for who reads slowly
IDLE_CONNECTIONS = 1000  # without a request (new, or kept alive); they hold no thread

try:
    _settings = load_settings()
except SettingsError as error:
    sys.exit(str(error))

bind = f"{_settings.host}:{_settings.port}"
workers = 1
worker_class = "web.server.gunicorn_worker.SlowClientGuardWorker"
threads = max(_settings.web_threads, _settings.sockets + PAGE_THREADS)
worker_connections = threads + IDLE_CONNECTIONS
timeout = 60
graceful_timeout = 2
keepalive = 2  # seconds; a stopping worker waits for kept-alive connections
control_socket_disable = True
loglevel = _settings.log_level.lower()
proc_name = "inglenook-web"


def post_worker_init(worker: Any) -> None:
    """Let accepted sockets drop dead peers, freeze the garbage collector's old objects, and shut down gracefully."""
    for listener in worker.sockets:
        set_user_timeout(listener.sock)  # accepted sockets inherit both
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.enable()
    gc.freeze()  # a full collection over everything that was loaded would pause every tab
    services = worker.wsgi.extensions["inglenook"]
    stop = signal.getsignal(signal.SIGTERM)

    def on_term(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=services.stop, name="close-tabs").start()
        if callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGTERM, on_term)
    signal.siginterrupt(signal.SIGTERM, False)


def worker_exit(_server: Any, worker: Any) -> None:
    """Close the web sockets, whatever stopped the worker (gunicorn's master may have been killed)."""
    app = getattr(worker, "wsgi", None)  # none if it could not be loaded
    if app is not None:
        app.extensions["inglenook"].stop()
