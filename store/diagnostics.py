"""Diagnostics of database and Redis for `inglenook doctor`: facts only, the advice is in deploy/doctor_stores.py.

What it does: reads, changes nothing, and returns failures as values. health.py answers the same question within
milliseconds for health pages; this may take longer (all pages of a SQLite file are read once).
To add a check of the doctor: a fact here (or in deploy/preflight.py, worker/diagnose.py); see deploy/doctor.py.
"""

import time
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError, RedisError
from sqlalchemy import func, select

from store.db import Database, DatabaseTrouble, known_versions, tables_version
from store.models import Turn

_REFUSED = ("NOAUTH", "WRONGPASS", "invalid password", "invalid username-password")


@dataclass(frozen=True)
class DatabaseDiagnosis:
    """`trouble`: why it cannot be read, or the first damage found. `version` None: it has no tables yet.

    `newest_at` is when the last turn was changed, by the clock of the process that changed it.
    """

    trouble: str = ""
    version: str | None = None
    newest_version: str = ""
    newest_at: float = 0.0

    @property
    def is_newer(self) -> bool:
        """Whether its tables come from a later inglenook."""
        return self.version is not None and self.version not in known_versions()


@dataclass(frozen=True)
class RedisDiagnosis:
    """`trouble`: "" (it answers), "password", "permission", "loading" or the reason why it does not answer.

    `ahead_s` is how far its clock is before ours; `policy` what it does when its memory is full.
    """

    trouble: str = ""
    version: str = ""
    ahead_s: float = 0.0
    append_only: bool = False
    write_failed: bool = False
    policy: str = ""
    max_bytes: int = 0
    used_bytes: int = 0


def diagnose_database(db: Database) -> DatabaseDiagnosis:
    """Version, damage, and the time of the newest turn. A database that is down is a value, not an exception."""
    newest = known_versions()[-1]
    try:
        with db.snapshot() as connection:
            version = tables_version(connection)
            damage = ""
            if connection.dialect.name == "sqlite":
                damage = "; ".join(map(str, connection.exec_driver_sql("PRAGMA quick_check(3)").scalars()))
            at = connection.scalar(select(func.max(Turn.updated_at))) if version else 0.0
    except DatabaseTrouble as error:
        return DatabaseDiagnosis(str(getattr(error, "orig", None) or error), newest_version=newest)
    return DatabaseDiagnosis("" if damage in ("", "ok") else damage, version, newest, at or 0.0)


def diagnose_redis(redis: Redis) -> RedisDiagnosis:
    """Clock, memory and persistence of Redis. A Redis that is down is a value, not an exception."""
    try:
        before = time.time()
        seconds, microseconds = _answer(redis.time())
        ahead_s = seconds + microseconds / 1e6 - (before + time.time()) / 2
        info = _answer(redis.info())
    except NoPermissionError:
        return RedisDiagnosis("permission")
    except BusyLoadingError:
        return RedisDiagnosis("loading")
    except (RedisError, OSError) as error:
        wrong = isinstance(error, AuthenticationError) or any(word in str(error) for word in _REFUSED)
        return RedisDiagnosis("password" if wrong else str(error))
    failed = info.get("aof_enabled") and info.get("aof_last_write_status") != "ok"
    return RedisDiagnosis(
        version=str(info.get("redis_version", "")),
        ahead_s=ahead_s,
        append_only=bool(info.get("aof_enabled")),
        write_failed=bool(failed),
        policy=str(info.get("maxmemory_policy", "")),
        max_bytes=int(info.get("maxmemory", 0)),
        used_bytes=int(info.get("used_memory", 0)),
    )


def _answer(answer: Any) -> Any:
    """The reply of a command: redis-py types it as if it might be awaitable."""
    return answer
