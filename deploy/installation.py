"""Installation: which database, Redis and data folder a command means, whether or not they are running.

What it does: without INGLENOOK_DATA_DIR the installation is that of this checkout, wherever the command is called;
while `make run` runs it, settings that are not given are those with which it was started: port, origins, Redis.
What it refuses to know: what the commands do.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.preflight import DeployError
from deploy.stack_paths import StackPaths, is_running, read_running_settings
from store.db import Database, known_versions, sqlite_file
from store.private_files import UMASK
from store.settings import PREFIX, Settings, load_settings

CHECKOUT = Path(__file__).resolve().parents[1]
DATA_DIR, MODELS_DIR, MODEL = PREFIX + "DATA_DIR", PREFIX + "MODELS_DIR", PREFIX + "MODEL"
REDIS_URL = PREFIX + "REDIS_URL"


@dataclass(frozen=True)
class Installation:
    """An installation, running or not. `manages_redis`: `make run` starts a Redis for it."""

    settings: Settings
    environ: Mapping[str, str]
    is_running: bool
    manages_redis: bool

    @property
    def file(self) -> Path | None:
        """Its SQLite file, there or not; None where SQL is a server. Raises Fault where the URL means neither."""
        try:
            return sqlite_file(self.settings.database_url)
        except ValueError as error:
            raise DeployError(str(error)) from None


def find_installation(given: Mapping[str, str] = os.environ) -> Installation:
    """The installation that these variables name. Raises SettingsError."""
    os.umask(UMASK)
    environ = {DATA_DIR: str(CHECKOUT / "data"), **given}
    environ |= {
        name: str(Path(environ[name]).absolute()) for name in (DATA_DIR, MODELS_DIR, MODEL) if environ.get(name)
    }
    paths = StackPaths(load_settings(environ).data_dir)
    running = read_running_settings(paths)
    environ = {**running, **{name: value for name, value in environ.items() if value or name not in running}}
    manages_redis = not given.get(REDIS_URL)
    return Installation(load_settings(environ), environ, is_running(paths), manages_redis)


@contextmanager
def open_database(installation: Installation, any_version: bool = False) -> Iterator[Database]:
    """The database of an installation that was started before. Raises DeployError, also for tables of another
    version."""
    if installation.file is not None and not installation.file.exists():
        raise DeployError(
            f"There is no installation in {installation.settings.data_dir}: start it once, or name its folder in "
            f"{DATA_DIR}."
        )
    db = Database(installation.settings.database_url)
    try:
        version = db.version()
        if version is None:
            raise DeployError(
                "There is no installation in this database: start inglenook once, or correct INGLENOOK_DATABASE_URL."
            )
        if not any_version and version != known_versions()[-1]:
            raise DeployError(
                f"The tables of this database have version {version}, this inglenook works with "
                f"{known_versions()[-1]}: start inglenook again, that brings them up to date (`inglenook backup` "
                "before that does no harm)."
            )
        yield db
    finally:
        db.close()
