"""The doctor's checks of clock, Redis and database: facts of store/diagnostics.py as findings with advice.

What it refuses to know: how the facts are found, and every other part of the machine.
To add a check: a field in store/diagnostics.py, a function here, and its call in `examine_stores`; see doctor.py.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from deploy.database_check import check_database, restore_command
from deploy.doctor_finding import FAIL, OK, WARN, DoctorFinding
from deploy.installation import Installation
from deploy.managed_redis import find_redis
from deploy.preflight import DeployError, Disk
from store import diagnostics
from store.broker import client
from store.db import Database, DatabaseTrouble
from store.diagnostics import DatabaseDiagnosis, RedisDiagnosis

WARN_APART_S, FAIL_APART_S = 0.5, 2.0
MB = 1_000_000


def examine_stores(installation: Installation, disk: Disk | None) -> Iterator[DoctorFinding]:
    """Clock, Redis, database."""
    redis = _redis_facts(installation)
    database = _database_facts(installation)
    yield _clock(disk, redis, database)
    yield from _redis(installation, redis)
    yield _database(installation, database)


def _redis_facts(installation: Installation) -> RedisDiagnosis | None:
    """None: there is none yet, `make run` will start one."""
    if installation.manages_redis and not installation.is_running:
        return None
    try:
        with client.connect(installation.settings.redis_url) as redis:
            return diagnostics.diagnose_redis(redis)
    except ValueError as error:  # a URL that is none
        return RedisDiagnosis(str(error))


def _database_facts(installation: Installation) -> DatabaseDiagnosis | None:
    """None: there is none yet, the first start will make it."""
    try:
        if installation.file is not None and not installation.file.exists():
            return None
        db = Database(installation.settings.database_url)
    except (DeployError, ImportError, ValueError, OSError, DatabaseTrouble) as error:
        return DatabaseDiagnosis(str(error))
    try:
        return diagnostics.diagnose_database(db)
    finally:
        db.close()


# -- the clock ---------------------------------------------------------------------------------------------------------


def _clock(disk: Disk | None, redis: RedisDiagnosis | None, database: DatabaseDiagnosis | None) -> DoctorFinding:
    """This machine's clock against those of the disk, Redis and the database."""
    advice = "Set the clock (`timedatectl set-ntp true`): leases, invitations and quiet hours go by it."
    apart = {"the disk": disk.ahead_s} if disk else {}
    if redis and not redis.trouble:
        apart["Redis"] = redis.ahead_s
    for name, ahead_s in apart.items():
        if abs(ahead_s) > WARN_APART_S:
            way = "behind" if ahead_s > 0 else "ahead of"
            state = FAIL if abs(ahead_s) > FAIL_APART_S else WARN
            return DoctorFinding("clock", state, f"this machine is {_span(abs(ahead_s))} {way} {name}", advice)
    if database and database.newest_at - time.time() > FAIL_APART_S:
        words = f"the last turn in the database is {_span(database.newest_at - time.time())} in the future"
        return DoctorFinding("clock", FAIL, words, advice)
    if Path(__file__).stat().st_mtime - time.time() > FAIL_APART_S:
        return DoctorFinding(
            "clock", FAIL, "this machine's stands before the day on which inglenook was installed", advice
        )
    return DoctorFinding(
        "clock", OK, f"{time.strftime('%Y-%m-%d %H:%M:%S %Z')}, as {' and '.join(apart) or 'nothing else'} has it"
    )


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


# -- Redis -------------------------------------------------------------------------------------------------------------


def _redis(installation: Installation, facts: RedisDiagnosis | None) -> Iterator[DoctorFinding]:
    if facts is None:
        try:
            yield DoctorFinding("redis", OK, f"`make run` starts its own, {find_redis()}")
        except DeployError as fault:
            yield DoctorFinding("redis", FAIL, str(fault))
        return
    where = _address(installation.settings.redis_url)
    if facts.trouble:
        yield _no_redis(where, facts.trouble, installation.manages_redis)
        return
    yield DoctorFinding("redis", OK, f"{facts.version} at {where} answers")
    yield _persistence(facts)
    yield _memory(facts)


def _address(url: str) -> str:
    """Host and port, never the password."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return f"{parts.hostname or parts.path}:{parts.port or 6379}"
    return "an address that cannot be read"


def _no_redis(where: str, trouble: str, own: bool) -> DoctorFinding:
    if trouble == "password":
        advice = "Correct it in INGLENOOK_REDIS_URL (redis://:PASSWORD@host:6379/0) or INGLENOOK_REDIS_PASSWORD_FILE."
        return DoctorFinding("redis", FAIL, f"Redis at {where} refuses the password", advice)
    if trouble == "permission":
        return DoctorFinding(
            "redis", FAIL, f"the user of Redis at {where} may not do enough", "Give it the ACL ~* &* +@all."
        )
    if trouble == "loading":
        return DoctorFinding("redis", WARN, f"Redis at {where} is still reading its file", "Wait a moment.")
    advice = "Look into data/logs/redis.log." if own else "Start it, or correct INGLENOOK_REDIS_URL."
    return DoctorFinding("redis", FAIL, f"nobody answers at {where} ({trouble})", advice)


def _persistence(facts: RedisDiagnosis) -> DoctorFinding:
    if facts.write_failed:
        return DoctorFinding("redis file", FAIL, "Redis cannot write its append-only file", "Make room on its disk.")
    if not facts.append_only:
        advice = "Set `appendonly yes`: without it the places in the queue are lost when Redis ends (no text is)."
        return DoctorFinding("redis file", WARN, "Redis keeps nothing on disk", advice)
    return DoctorFinding("redis file", OK, "every write goes to its append-only file")


def _memory(facts: RedisDiagnosis) -> DoctorFinding:
    used = f"{facts.used_bytes / MB:.0f} MB used"
    if facts.policy != "noeviction":
        state = FAIL if facts.max_bytes else WARN
        advice = "Set `maxmemory-policy noeviction`."
        return DoctorFinding("redis memory", state, f"a full Redis would throw jobs away ({facts.policy})", advice)
    if facts.max_bytes and facts.used_bytes > 0.9 * facts.max_bytes:
        return DoctorFinding("redis memory", WARN, f"{used} of {facts.max_bytes / MB:.0f}", "Raise `maxmemory`.")
    return DoctorFinding("redis memory", OK, f"{used}, nothing is ever thrown away")


# -- the database ------------------------------------------------------------------------------------------------------


def _database(installation: Installation, facts: DatabaseDiagnosis | None) -> DoctorFinding:
    if facts is None or (facts.version is None and not facts.trouble):
        try:
            check_database(installation.settings)
        except DeployError as emptied:
            return DoctorFinding("database", FAIL, str(emptied))
    if facts is None:
        return DoctorFinding("database", OK, "there is none yet, the first start makes it")
    restore = restore_command(installation.settings)
    if facts.version is None and facts.trouble:
        advice = f"If it is damaged, {restore} brings the last backup back."
        if installation.environ.get("INGLENOOK_DATABASE_URL"):
            advice = "Start it, install its driver (`.[postgres]`), or correct INGLENOOK_DATABASE_URL."
        return DoctorFinding("database", FAIL, f"it cannot be read ({_short(facts.trouble)})", advice)
    if facts.trouble:
        advice = f"Stop inglenook, then bring the last backup back, {restore}."
        return DoctorFinding("database", FAIL, f"it is damaged ({_short(facts.trouble)})", advice)
    if facts.is_newer:
        words = f"its tables have version {facts.version}, this inglenook knows them up to {facts.newest_version}"
        return DoctorFinding("database", FAIL, words, "Update inglenook, or restore a backup from before.")
    if facts.version != facts.newest_version:
        needed = f"its tables have version {facts.version or 'none'}, {facts.newest_version} is needed"
        words = f"a migration is missing: {needed}"
        return DoctorFinding(
            "database", FAIL, words, "Save it (`inglenook backup`), then start inglenook again: that migrates."
        )
    return DoctorFinding(
        "database", OK, f"{installation.file or 'the server'} answers, its tables have version {facts.version}"
    )


def _short(trouble: str) -> str:
    return trouble.strip().splitlines()[0][:200]
