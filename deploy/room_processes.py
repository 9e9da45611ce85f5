"""Start commands and health checks of the web, worker and downloader processes.

`make run` and the containers both use it, so that they cannot differ. It asks the rooms only through `store` and over
HTTP, or runs them as commands; it imports neither web nor worker.
To add a process: its command and its check here; `programs` and `run_stack` in run.py; ACTIONS in container.py and a
service in docker-compose.yml.
"""

import http.client
import socket
import sys
from collections.abc import Callable

import redis

from store.broker import client, registry
from store.db import Database
from store.invitations import first_admin_offers
from store.links.offers import Offer
from store.settings import AUTO, Settings
from store.shelf.beat import read_beat

Check = Callable[[], bool]
LOOPBACK_OF_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def web_command() -> list[str]:
    """The command that serves the pages and the web sockets."""
    return [sys.executable, "-m", "web"]


def worker_command() -> list[str]:
    """The command that owns one GPU and answers turns."""
    return [sys.executable, "-m", "worker"]


def downloader_command() -> list[str]:
    """The command that fetches models."""
    return [sys.executable, "-m", "web.downloader"]


def migrate(settings: Settings) -> None:
    """Bring the database to the newest version; several may do so at the same time."""
    db = Database(settings.database_url)
    try:
        db.migrate()
    finally:
        db.close()


def admin_invitation(settings: Settings) -> tuple[Offer, ...]:
    """The links of a new invitation for the first admin, the likeliest first; none as soon as there is an admin."""
    db = Database(settings.database_url)
    try:
        return first_admin_offers(db, settings)
    finally:
        db.close()


def web_answers(settings: Settings) -> bool:
    """True if /healthz of the web server on this machine answers 200."""
    host = LOOPBACK_OF_ANY.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def redis_answers(settings: Settings) -> bool:
    """True if Redis answers and has loaded its file."""
    try:
        with client.connect(settings.redis_url) as connection:
            return bool(connection.ping())
    except redis.exceptions.RedisError:
        return False


def worker_answers(settings: Settings) -> bool:
    """True if the worker of the settings has its model loaded and sends heartbeats; with `auto`, one of this host."""
    return worker_view(settings) is not None


def worker_view(settings: Settings) -> registry.WorkerView | None:
    """The heartbeat of the worker of the settings; with `auto`, of one of this host. None: it sends none."""
    try:
        with client.connect(settings.redis_url) as connection:
            workers = registry.alive(connection)
    except redis.exceptions.RedisError:
        return None
    if settings.worker_name == AUTO:
        return next((worker for worker in workers.values() if worker.host == socket.gethostname()), None)
    return workers.get(settings.worker_name)


def downloader_answers(settings: Settings) -> bool:
    """True if the downloader of this data folder has given a sign of life lately."""
    return read_beat(settings.data_dir) is not None


def address(settings: Settings) -> str:
    """The address to type into a browser on this machine."""
    return settings.origins[0]
