"""`python -m web.downloader [ID]`: fetches what the shelf wants until it is stopped; with the id of a file only that.

Exit status: 0; 75 (EX_TEMPFAIL) where another downloader is at work in this models folder and an id is given (that one
does it); 78 (EX_CONFIG) for a wrong setting. Without an id it waits for the lock.
"""

import logging
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from redis.exceptions import RedisError

from store.broker import registry
from store.broker.client import connect
from store.db import Database
from store.private_files import protect
from store.settings import HUBS, Settings, SettingsError, load_settings
from store.shelf import transfers
from store.shelf.beat import write_beat
from web.downloader.http import Client, Token, origin
from web.downloader.hubs import MODELSCOPE, Hub, hub_of
from web.downloader.jobs import Jobs
from web.downloader.service import Locked, Service, lock_of
from web.downloader.troubles import Trouble

EXIT_BUSY, EXIT_CONFIG = 75, 78
BEAT_S, LOCK_AGAIN_S = 2.0, 3.0

log = logging.getLogger("web.downloader")


def main(arguments: list[str]) -> int:
    """Run the downloader; the exit status."""
    try:
        settings = load_settings()
        hubs = [hub_of(address) for address in settings.hubs]
    except (SettingsError, ValueError) as error:
        print(f"inglenook: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    protect(settings.data_dir)
    db = Database(settings.database_url)
    try:
        return work(db, settings, hubs, arguments[0] if arguments else "", stop)
    finally:
        db.close()


class Stop:
    """A signal that asks to end: SystemExit at once, and at the next `check` where that was lost.

    Python drops an exception that a signal's handler raises while a finalizer or a callback of a weak reference runs.
    """

    def __init__(self) -> None:
        self.is_asked = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of the signal."""
        self.is_asked = True
        self.check()

    def check(self) -> None:
        """Raises SystemExit if it was asked for."""
        if self.is_asked:
            raise SystemExit(0)


def token_of(settings: Settings) -> Token:
    """The token, and who may see it: huggingface.co, and the first hub where the operator has named one."""
    first = settings.hubs[0].removeprefix(MODELSCOPE)
    return Token(settings.hub_token, frozenset((origin(first), origin(HUBS[0]))))


def models_in_use(settings: Settings) -> frozenset[str]:
    """The names of the models that living workers run; none where Redis is away: then no worker is at work."""
    try:
        with connect(settings.redis_url) as redis:
            return frozenset(worker.engine.model_file for worker in registry.alive(redis).values())
    except RedisError:
        return frozenset()


def work(
    db: Database,
    settings: Settings,
    hubs: list[Hub],
    only: str,
    stop: Stop,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Hold the lock of the models folder and work; the exit status. A folder that cannot be written gets a second try
    before what is wanted fails for it: in containers another one hands it over meanwhile."""
    beat = beat_of(lambda: write_beat(settings.data_dir, settings.models_dir), stop)
    client, folders = Client(token_of(settings)), (settings.models_dir, settings.data_dir)
    jobs = Jobs(db, client, hubs, *folders, beat, in_use=lambda: models_in_use(settings))
    was_tried = False
    while True:
        beat()
        try:
            with lock_of(settings.models_dir):
                Service(db, jobs, beat).run(only)
                return 0
        except Locked:
            if only:
                return EXIT_BUSY
        except Trouble as trouble:
            if only or was_tried:
                transfers.refuse_all(db, trouble.failure)
            if only:
                return 1
            was_tried = True
        sleep(LOCK_AGAIN_S)


def beat_of(write: Callable[[], None], stop: Stop) -> Callable[[], None]:
    """Gives signs of life, every BEAT_S seconds at the most; also ends this process where a stop was asked for and
    lost."""
    last = [0.0]

    def beat() -> None:
        stop.check()
        if time.monotonic() - last[0] >= BEAT_S:
            last[0] = time.monotonic()
            write()

    return beat


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
