"""Which house a command means: the settings, as everything else reads them, and what a running `make run` adds.

What it does: without INGLENOOK_DATA_DIR the house of this checkout, wherever one stands; without INGLENOOK_REDIS_URL
the Redis of its `make run`, while that is running. What it refuses to know: what the commands do.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.layout import Layout, is_running
from deploy.own_redis import running_url
from deploy.preflight import Fault
from store.db import Database, known_versions, sqlite_file
from store.settings import PREFIX, Settings, load_settings

CHECKOUT = Path(__file__).resolve().parents[2]
DATA_DIR, REDIS_URL, MODEL = PREFIX + "DATA_DIR", PREFIX + "REDIS_URL", PREFIX + "MODEL"


@dataclass(frozen=True)
class Place:
    """A house, whether or not it is running. `has_own_redis`: `make run` starts one for it."""

    settings: Settings
    environ: Mapping[str, str]
    is_running: bool
    has_own_redis: bool

    @property
    def file(self) -> Path | None:
        """Its SQLite file, there or not; None where SQL is a server. Raises Fault where the URL means neither."""
        try:
            return sqlite_file(self.settings.database_url)
        except ValueError as error:
            raise Fault(str(error)) from None


def find_place(given: Mapping[str, str] = os.environ) -> Place:
    """The house that these variables mean. Raises SettingsError."""
    environ = {DATA_DIR: str(CHECKOUT / "data"), **given}
    environ |= {name: str(Path(environ[name]).absolute()) for name in (DATA_DIR, MODEL) if environ.get(name)}
    layout = Layout(load_settings(environ).data_dir)
    running, own_redis = is_running(layout), not given.get(REDIS_URL)
    if own_redis and running and (url := running_url(layout.run / "redis.conf")):
        environ[REDIS_URL] = url
    return Place(load_settings(environ), environ, running, own_redis)


@contextmanager
def open_database(place: Place, any_version: bool = False) -> Iterator[Database]:
    """The database of a house that has been started before, its tables of today. Raises Fault."""
    if place.file is not None and not place.file.exists():
        raise Fault(f"There is no house in {place.settings.data_dir}: start it once, or name its folder in {DATA_DIR}.")
    db = Database(place.settings.database_url)
    try:
        version = db.version()
        if version is None:
            raise Fault("There is no house in this database: start inglenook once, or correct INGLENOOK_DATABASE_URL.")
        if not any_version and version != known_versions()[-1]:
            raise Fault(
                f"The tables of this house have version {version}, this inglenook works with {known_versions()[-1]}: "
                "start inglenook again, that brings them up to date (`inglenook backup` before that does no harm)."
            )
        yield db
    finally:
        db.close()
