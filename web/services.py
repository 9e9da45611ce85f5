"""What the parts of one web process share, and how they start and stop.

What it does: holds settings, database, Redis, hub and housekeeping; `house()` finds them from inside a request.
What it refuses to know: routes and pages.
"""

from dataclasses import dataclass
from typing import cast

from flask import current_app
from redis import Redis

from store.db import Database
from store.settings import Settings
from web.live.beat_reads import Pulse
from web.live.gate import Seats
from web.live.hub import Hub
from web.server.housekeeping import Housekeeping


@dataclass(frozen=True)
class House:
    """One per process."""

    settings: Settings
    database: Database
    redis: Redis
    hub: Hub
    housekeeping: Housekeeping
    seats: Seats

    def start(self) -> None:
        """Start the threads. Call once, in the process that serves (after any fork)."""
        self.hub.start()
        self.housekeeping.start()

    def stop(self) -> None:
        """Close every web socket with 1012 and stop the threads; takes 3 s at most."""
        self.hub.stop()
        self.housekeeping.stop()


def furnish(settings: Settings, database: Database, redis: Redis) -> House:
    """Put the parts together; nothing runs yet."""
    hub = Hub(redis, lambda: Pulse(database, redis))
    return House(settings, database, redis, hub, Housekeeping(database, redis, hub.announce), Seats(settings.sockets))


def house() -> House:
    """The house of the current request."""
    return cast(House, current_app.extensions["inglenook"])
