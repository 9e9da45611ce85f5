"""A small disk that can be filled up: a tmpfs of its own where this user may mount one, else a limit on file sizes.

What it does: `fill` takes the last byte of the tmpfs (without one: no program of the folder may write to a file any
more, which fails like a full disk); `free` gives it back.
"""

import os
import resource
import subprocess
from contextlib import suppress

from tests.harness import processes

PAGE = b"\0" * 4096


class SmallDisk:
    """Use it in a `with` block: the disk is mounted on `folder`."""

    def __init__(self, folder, n_bytes=48 << 20):
        self.folder, self._n_bytes = folder, n_bytes
        self._filler = folder / "filler"
        self.is_mounted = False

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={self._n_bytes},mode=0755", "tmpfs", str(self.folder)]
        with suppress(FileNotFoundError):
            self.is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        return self

    def __exit__(self, *_error):
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def fill(self, ourselves=False, pids=None):
        """No room from now on; where nothing could be mounted, for this process itself only if `ourselves`, or for
        `pids` alone."""
        if not self.is_mounted:
            self._limit(0, ourselves, pids)
            return
        with suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while True:
                file.write(PAGE)

    def free(self, ourselves=False, pids=None):
        """There is room again."""
        if self.is_mounted:
            self._filler.unlink(missing_ok=True)
        else:
            self._limit(resource.RLIM_INFINITY, ourselves, pids)

    def _limit(self, n_bytes, ourselves, pids):
        for pid in pids or [*processes.of(self.folder), *([os.getpid()] if ourselves else [])]:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))
