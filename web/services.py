"""The service container of one web process: what its routes and tabs share, built once, started and stopped together.

What it does: holds settings, database, Redis, hub, periodic maintenance, cleaning, indexing, and the limits of sockets,
uploads, processor time and tries to sign in; `services()` finds them from inside a request.
What it refuses to know: routes and pages.
To add a service: a field of `Services`, its making in `build_services`, its threads in `start` and `stop`.
"""

from dataclasses import dataclass
from typing import cast

from flask import current_app
from redis import Redis

from store.broker.sign_in_tries import SignInTries
from store.db import Database
from store.settings import Settings
from web.live.beat_reads import BeatReads
from web.live.gate import PER_PERSON as SOCKETS_PER_PERSON
from web.live.hub import Hub
from web.pace import Pace
from web.person_limiter import PersonLimiter
from web.server.cleaning import Cleaning
from web.server.indexing import Indexing
from web.server.maintenance import PeriodicMaintenance

UPLOADS, UPLOADS_PER_PERSON = 8, 2  # each holds a thread of the web server while it is read


@dataclass(frozen=True)
class Services:
    """Made once in each process."""

    settings: Settings
    database: Database
    redis: Redis
    hub: Hub
    maintenance: PeriodicMaintenance
    socket_limiter: PersonLimiter
    upload_limiter: PersonLimiter
    sign_in_tries: SignInTries
    cleaning: Cleaning
    indexing: Indexing
    pace: Pace

    def start(self) -> None:
        """Start the threads. Call once, in the process that serves (after any fork)."""
        self.hub.start()
        self.maintenance.start()
        self.cleaning.start()
        self.indexing.start()

    def stop(self) -> None:
        """Close every web socket with 1012 and stop the threads; takes 3 s at most."""
        self.hub.stop()
        self.maintenance.stop()
        self.cleaning.stop()
        self.indexing.stop()


def build_services(settings: Settings, database: Database, redis: Redis) -> Services:
    """Make the services of this process; no thread runs before `Services.start`."""
    hub = Hub(redis, lambda: BeatReads(database, redis))
    return Services(
        settings,
        database,
        redis,
        hub,
        PeriodicMaintenance(database, redis, hub.broadcast),
        PersonLimiter(settings.sockets, SOCKETS_PER_PERSON),
        PersonLimiter(UPLOADS, UPLOADS_PER_PERSON),
        SignInTries(redis),
        Cleaning(settings, database, redis),
        Indexing(database, redis),
        Pace(settings.pace_percent / 100, settings.pace_burst_s),
    )


def services() -> Services:
    """The services of the application that serves the current request."""
    return cast(Services, current_app.extensions["inglenook"])
