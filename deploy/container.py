"""Container entry point: `python -m deploy.container web | worker | downloader | check-...`.

What it does: waits for the Redis password and for the database server, migrates (in one container at a time), then
replaces itself by its program (exec), so that signals reach that directly. The web container first prints an invitation
while there is no admin. The checks are the health checks of compose: exit status 0 or 1.
To add an action: a function, its name in ACTIONS, and its use in docker-compose.yml.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy import room_processes
from deploy.database_check import check_database, database_trouble
from deploy.preflight import DeployError, unusable
from store.db import Database, DatabaseTrouble, sqlite_file
from store.private_files import protect
from store.settings import PREFIX, Settings, SettingsError, load_settings


def web(settings: Settings) -> int:
    """Become the web server."""
    room_processes.migrate(settings)
    if invited := room_processes.admin_invitation(settings):
        print(f"inglenook: first admin: {invited[0].link}", flush=True)
    return become(room_processes.web_command())


def worker(settings: Settings) -> int:
    """Become the worker."""
    room_processes.migrate(settings)
    return become(room_processes.worker_command())


def downloader(settings: Settings) -> int:
    """Become the downloader."""
    room_processes.migrate(settings)
    return become(room_processes.downloader_command())


def check_web(settings: Settings) -> int:
    """0 if the web server in this container answers."""
    return 0 if room_processes.web_answers(settings) else 1


def check_worker(settings: Settings) -> int:
    """0 if the worker of this container sends heartbeats."""
    return 0 if room_processes.worker_answers(settings) else 1


def check_downloader(settings: Settings) -> int:
    """0 if the downloader gives signs of life."""
    return 0 if room_processes.downloader_answers(settings) else 1


PASSWORD_WITHIN_S = 30
DATABASE_WITHIN_S = 60.0  # a server that has just been made, on a slow disk
EXIT_CONFIG = 78  # sysexits.h
Action = Callable[[Settings], int]
ACTIONS: dict[str, Action] = {
    "web": web,
    "worker": worker,
    "downloader": downloader,
    "check-web": check_web,
    "check-worker": check_worker,
    "check-downloader": check_downloader,
}


def main(argv: list[str], database_within_s: float = DATABASE_WITHIN_S) -> int:
    """Do the named action; does not return where the process becomes another program. 78: wrong configuration."""
    if len(argv) != 1 or argv[0] not in ACTIONS:
        print(f"Say one of: {', '.join(ACTIONS)}.", file=sys.stderr)
        return 2
    await_password(os.environ)
    try:
        settings, action = load_settings(), ACTIONS[argv[0]]
        protect(settings.data_dir)
        if action in (web, worker, downloader):
            check_database(settings)
            await_database(settings.database_url, database_within_s)
        return _do(action, settings)
    except (SettingsError, DeployError) as error:
        print(f"inglenook: {error}", file=sys.stderr)
        return EXIT_CONFIG


def _do(action: Action, settings: Settings) -> int:
    """Raises DeployError for a disk or a database that fails meanwhile."""
    try:
        return action(settings)
    except OSError as error:
        raise unusable(Path(error.filename or settings.data_dir), error) from None
    except DatabaseTrouble as error:
        raise database_trouble(settings, error) from None


def await_password(environ: Mapping[str, str]) -> None:
    """Wait up to PASSWORD_WITHIN_S for the password file, which Redis writes at its first start."""
    file = environ.get(f"{PREFIX}REDIS_PASSWORD_FILE")
    deadline = time.monotonic() + PASSWORD_WITHIN_S
    while file and not Path(file).exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def await_database(url: str, within_s: float) -> None:
    """Wait until a database server answers (a SQLite file is always there); `Fault` with its words if it does not."""
    if sqlite_file(url) is not None:
        return
    deadline = time.monotonic() + within_s
    db = Database(url)
    try:
        while trouble := _trouble_with(db):
            if time.monotonic() > deadline:
                raise DeployError(
                    f"The database does not answer ({trouble}): is it there, is INGLENOOK_DATABASE_URL right?"
                )
            time.sleep(0.5)
    finally:
        db.close()


def _trouble_with(db: Database) -> str:
    try:
        db.version()
    except DatabaseTrouble as error:
        return str(getattr(error, "orig", None) or error).splitlines()[0]
    return ""


def become(command: list[str]) -> int:
    """Replace this process."""
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
