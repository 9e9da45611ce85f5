"""Fixtures of the web tests: the real application on a real port, real Redis, real SQLite, real sockets."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from argon2 import PasswordHasher
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from redis import Redis
from scripted_worker import ScriptedWorker
from werkzeug.routing import Rule
from werkzeug.serving import WSGIRequestHandler, make_server

from store import accounts
from store.broker import client
from store.bundled import character_id
from store.db import Database
from store.settings import Settings
from tests.harness.people import Browser
from tests.harness.processes import free_port
from web import create_app
from web.auth import passwords

POLL_S = (
    0.01  # werkzeug's server looks so often whether it shall stop; its default of 0.5 s is waited for in every test
)


class QuietHandler(WSGIRequestHandler):
    def log_request(self, *_args: object) -> None:
        pass


class SharedTemplates(BytecodeCache):
    """Compiled templates, shared by the applications of all tests: each would compile them anew."""

    compiled: ClassVar[dict[str, bytes]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.compiled:
            bucket.bytecode_from_string(self.compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.compiled[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def shared_routes() -> Iterator[None]:
    """Compile the builder of each route's address once: werkzeug takes 0.15 s for those of one application."""
    compile_builder, compiled = Rule._compile_builder, {}

    def shared(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    Rule._compile_builder = shared
    yield
    Rule._compile_builder = compile_builder


@pytest.fixture(scope="session", autouse=True)
def strong_hasher() -> Iterator[PasswordHasher]:
    """Hash with argon2's least work, for 0.3 s of processor time less an account; gives the hasher of production."""
    strong = passwords.HASHER
    passwords.HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    yield strong
    passwords.HASHER = strong


class Site:
    """The application, served by threads of this process."""

    def __init__(self, app: Flask, port: int, database: Database) -> None:
        self.app = app
        app.jinja_env.bytecode_cache = SharedTemplates()
        self.address = f"http://127.0.0.1:{port}"
        self.database = database
        self.services = app.extensions["inglenook"]
        self.mara = character_id("mara")
        self._server = make_server("127.0.0.1", port, app, threaded=True, request_handler=QuietHandler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), daemon=True)

    def start(self) -> None:
        self.services.start()
        assert self.services.hub.wait_until_listening(10)
        self._thread.start()

    def stop(self) -> None:
        self.services.stop()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def invite(self, role: str = "adult") -> str:
        _, token = accounts.create_invite(self.database, role)
        return f"/invite/{token}"

    def browser(self) -> Browser:
        return Browser(self.address)


@pytest.fixture
def make_site(tmp_path: Path, database: Database, redis_server) -> Iterator[Callable[..., Site]]:
    """`make_site(redis_url=..., sockets=...)`: a running site; stopped at the end of the test."""
    sites: list[Site] = []

    def make(**changes: object) -> Site:
        port = free_port()
        values = {"data_dir": tmp_path, "redis_url": redis_server.url, "port": port, **changes}
        settings = Settings(**values)
        site = Site(create_app(settings, database, client.connect(settings.redis_url)), port, database)
        site.start()
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.stop()
        site.services.redis.close()


@pytest.fixture
def site(redis: Redis, make_site: Callable[..., Site]) -> Site:
    """The site on an empty Redis."""
    return make_site()


@pytest.fixture
def tale(database: Database, redis: Redis) -> ScriptedWorker:
    """Somebody who tells the replies."""
    storyteller = ScriptedWorker(database, redis)
    storyteller.present()
    return storyteller


@pytest.fixture
def ada(site: Site) -> Browser:
    return site.browser().sign_up(site.invite(), "Ada")


@pytest.fixture
def bo(site: Site) -> Browser:
    return site.browser().sign_up(site.invite(), "Bo")
