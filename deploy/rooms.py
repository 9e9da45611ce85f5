"""What deploying has to know of the rooms: how web and worker are started, and how to see that they are well.

`make run` and the containers both go through here, so that they cannot differ. It asks the rooms only through `store`
and over HTTP, or runs them as commands; it imports neither web nor worker.
"""

import http.client
import subprocess
import sys
from collections.abc import Callable, Mapping

import redis

from deploy.preflight import Fault
from store import registry, wire
from store.db import Database
from store.settings import Settings

Check = Callable[[], bool]
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def web_command() -> list[str]:
    """The command that serves the pages and the web sockets."""
    return [sys.executable, "-m", "web"]


def worker_command() -> list[str]:
    """The command that owns one GPU and answers turns."""
    return [sys.executable, "-m", "worker"]


def migrate(settings: Settings) -> None:
    """Bring the database to the newest version; several may do so at the same time."""
    db = Database(settings.database_url)
    try:
        db.migrate()
    finally:
        db.close()


def admin_invitation(environ: Mapping[str, str]) -> str:
    """The link of a new invitation for the first admin; empty as soon as there is an admin."""
    command = [sys.executable, "-m", "web.invite"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, start_new_session=True)
    if done.returncode != 0:
        raise Fault(f"No invitation could be made: {done.stderr.strip()}")
    return done.stdout.strip()


def web_answers(settings: Settings) -> bool:
    """True if the web server on this machine says that it is well."""
    host = EVERYWHERE.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def redis_answers(settings: Settings) -> bool:
    """True if Redis is there and has read its file."""
    try:
        with wire.connect(settings.redis_url) as client:
            return bool(client.ping())
    except redis.exceptions.RedisError:
        return False


def worker_answers(settings: Settings) -> bool:
    """True if the worker named in the settings has its model loaded and sends heartbeats."""
    try:
        with wire.connect(settings.redis_url) as client:
            return settings.worker_name in registry.alive(client)
    except redis.exceptions.RedisError:
        return False


def address(settings: Settings) -> str:
    """The address to type into a browser on this machine."""
    return settings.origins[0]
