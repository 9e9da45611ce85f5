"""Machine share: how many workers divide the free RAM and disk of one machine, by an flock of each.

What it does: a worker holds {data_dir}/locks/.share-NAME.lock while it lives; whoever wants to know counts those that
are held (an advisory lock ends with its process, however that dies). So it needs no setting: workers of one data folder
find each other, as programs of a supervisor or as containers with one volume. `ShareKeeper` has the share made anew
when one comes or goes.
What it refuses to know: how large a share is (engine/model/budgets.py). Installations with other data folders on the
same machine are not seen: INGLENOOK_RAM_CACHE_MB and INGLENOOK_DISK_CACHE_MB are for those.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from worker.gpu_lock import DataFolderError

log = logging.getLogger(__name__)
SHARE_EVERY_S = 5.0
_BEGINNING = ".share-"


@contextlib.contextmanager
def holding_share(data_dir: Path, worker_name: str) -> Iterator[None]:
    """Inside, this worker counts. Raises DataFolderError."""
    path = data_dir / "locks" / f"{_BEGINNING}{worker_name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise DataFolderError(
            f"{path} cannot be written ({error.strerror}): set INGLENOOK_DATA_DIR to a folder of this user"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)  # shared: whoever counts holds it alone for a moment
        yield


def n_sharing(data_dir: Path) -> int:
    """How many workers live on this data folder."""
    return sum(map(_is_held, (data_dir / "locks").glob(f"{_BEGINNING}*.lock")))


def _is_held(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class ShareKeeper:
    """Calls `divide(n)` when the number of workers is another one than before. Called by a ticker."""

    def __init__(self, data_dir: Path, n_before: int, divide: Callable[[int], None]) -> None:
        self._data_dir, self._n, self._divide = data_dir, n_before, divide

    def tick(self) -> None:
        """Count, and divide anew."""
        n = max(1, n_sharing(self._data_dir))
        if n != self._n:
            log.info("workers that share the free RAM and disk of this machine: %d instead of %d", n, self._n)
            self._divide(n)
            self._n = n
