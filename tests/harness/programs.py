"""Programs that are kept running, as deploy/supervise keeps them: what dies is started again, soon and then later.

What it does: starts a command, notices its death, waits as supervisord would (not at all where it had run for a while,
else a little longer with each try) and starts it again; freezes, kills and starves it when told to.
What it refuses to know: what the programs are for.
"""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

SETTLED_S = 5.0  # dying younger than this is a failed start
LONGEST_PAUSE_S = 3.0
LOOK_S = 0.02
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@dataclass
class Program:
    """One command in a process group of its own."""

    name: str
    command: list[str]
    environ: dict[str, str]
    folder: Path
    log: Path
    n_starts: int = 0
    exits: list[tuple[float, int]] = field(default_factory=list)
    process: subprocess.Popen | None = None
    wanted: bool = False
    _started_at: float = 0.0
    _next_start_at: float = 0.0
    _n_young: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def pid(self):
        """The pid of the program; None while it is down."""
        with self._lock:
            return self.process.pid if self.process and self.process.poll() is None else None

    @property
    def settled(self):
        """Whether it has run for a while."""
        return self.pid is not None and time.monotonic() - self._started_at > SETTLED_S

    def look(self):
        """Start it where it should run and does not; called again and again by the keeper."""
        with self._lock:
            if self.process is not None and (status := self.process.poll()) is not None:
                self._died(status)
            if self.process is None and self.wanted and time.monotonic() >= self._next_start_at:
                self._start()

    def _start(self):
        # SIGXFSZ stays ignored (restore_signals): a full disk is an error of `write`, not a death
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*_dying_with_us(), *self.command],
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                restore_signals=False,
            )
        self._started_at = time.monotonic()
        self.n_starts += 1

    def _died(self, status):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGCONT)  # what it leaves behind must not sleep for ever
        young = time.monotonic() - self._started_at < SETTLED_S
        self._n_young = self._n_young + 1 if young else 0
        self._next_start_at = time.monotonic() + min(0.5 * self._n_young, LONGEST_PAUSE_S)
        self.exits.append((time.monotonic(), status))
        self.process = None

    def pids(self):
        """The program and its children."""
        pid = self.pid
        return [] if pid is None else [pid, *children(pid)]

    def signal_all(self, number):
        """Send a signal to the whole process group; nothing happens when it is down."""
        if (pid := self.pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def signal_one(self, number, pid):
        """Send a signal to one of its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def limit_files(self, n_bytes):
        """No file may be written beyond `n_bytes` (None: no limit): every write there fails, as on a full disk."""
        limit = NO_LIMIT if n_bytes is None else (n_bytes, resource.RLIM_INFINITY)
        for pid in self.pids():
            with contextlib.suppress(OSError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)

    def end(self, patience_s=4.0):
        """Ask it to stop; what is left after that is killed."""
        self.wanted = False
        self.signal_all(signal.SIGCONT)
        self.signal_all(signal.SIGTERM)
        deadline = time.monotonic() + patience_s
        while self.pid is not None and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        self.signal_all(signal.SIGKILL)
        with self._lock:
            if self.process is not None:
                self.process.wait()


class Keeper(threading.Thread):
    """Keeps programs running until told to stop."""

    def __init__(self, programs):
        super().__init__(name="keeper", daemon=True)
        self._programs, self._stopped = programs, threading.Event()

    def run(self):
        while not self._stopped.wait(LOOK_S):
            for program in self._programs:
                program.look()
        for program in reversed(self._programs):
            program.end()

    def stop(self):
        """Start nothing any more, and stop what runs, the last one first."""
        self._stopped.set()
        self.join()


def children(pid):
    """The pids of a process' children and theirs."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *children(child)]
    return found


def _dying_with_us():
    """A prefix for commands: the kernel kills them when whoever started them is gone."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
