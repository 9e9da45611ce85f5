"""Health check of database, Redis and workers, for start-up checks and health pages."""

from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from store.broker import registry
from store.db import Database


@dataclass(frozen=True)
class Health:
    """Which parts answer: the database, Redis, and the names of the living workers."""

    database: bool
    redis: bool
    workers: tuple[str, ...]

    @property
    def well(self) -> bool:
        """Whether turns can be accepted and done."""
        return self.database and self.redis and bool(self.workers)


def ping(db: Database, redis: Redis) -> Health:
    """Ask database and Redis; never raises if one of them is away."""
    workers = _workers(redis)
    return Health(database=_reads(db), redis=workers is not None, workers=workers or ())


def _reads(db: Database) -> bool:
    try:
        with db.reading() as session:
            session.execute(text("SELECT 1 FROM users LIMIT 1"))
    except SQLAlchemyError:
        return False
    return True


def _workers(redis: Redis) -> tuple[str, ...] | None:
    try:
        return tuple(registry.alive(redis))
    except RedisError:
        return None
