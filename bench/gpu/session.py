"""A command in a session of its own, with a time limit: its lines as they come, and at the end nobody of it is left."""

import contextlib
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PATIENCE_S, N_REMEMBERED = 5.0, 40
_ERROR = re.compile(r"^\s*(?:[\w.]*(?:Error|Exception|Refused)\b|fatal|FAILED|CUDA error|ggml)")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `timed_out`: it was stopped at its limit; `said`: its last error, else its last line."""

    status: int
    seconds: float
    timed_out: bool
    said: str


def run(
    command: Sequence[str], cwd: Path, environ: Mapping[str, str], limit_s: float, hear: Callable[[str], None]
) -> Ended:
    """Run it, give each line to `hear`, stop all of its session at the limit."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=cwd, env=dict(environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reader.start()
    said, timed_out = _hear_all(lines, began + limit_s, hear)
    end_session(process)
    reader.join(PATIENCE_S)
    process.stdout.close()
    return Ended(process.returncode, time.monotonic() - began, timed_out, what_counts(said))


def _read(output: IO[str], lines: "queue.SimpleQueue[str | None]") -> None:
    for line in output:
        lines.put(line.rstrip("\n"))
    lines.put(None)


def _hear_all(
    lines: "queue.SimpleQueue[str | None]", deadline: float, hear: Callable[[str], None]
) -> tuple[deque[str], bool]:
    """The last lines that say something, and whether the time was over."""
    said: deque[str] = deque(maxlen=N_REMEMBERED)
    while True:
        try:
            line = lines.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            return said, True
        if line is None:
            return said, False
        hear(line)
        said.extend([line] * bool(line.strip()))
        if time.monotonic() > deadline:
            return said, True


def what_counts(said: Sequence[str]) -> str:
    """The last line that names an error, else the last one."""
    errors = [line for line in said if _ERROR.match(line)]
    return (errors or list(said) or [""])[-1].strip()


def end_session(process: "subprocess.Popen[str]") -> None:
    """Ask all processes of its session to stop, kill who is left after a while, and wait for the command."""
    for number, patience_s in ((signal.SIGTERM, PATIENCE_S), (signal.SIGKILL, PATIENCE_S)):
        with contextlib.suppress(subprocess.TimeoutExpired):
            if number == signal.SIGTERM:
                process.wait(0.5)
        deadline = time.monotonic() + patience_s
        for pid in _members(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while (process.poll() is None or _members(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
    process.wait()


def _members(session: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split() if entry.isdigit() else []
            if fields and fields[0] not in "ZX" and int(fields[3]) == session:
                found.append(int(entry))
    return found
