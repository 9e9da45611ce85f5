"""Compiling llama.cpp: runs pip and says how far it is, in plain lines that a log can keep.

Ninja numbers its steps ("[12/156] ..."), make counts per cent; either is read from pip's live output. A line is printed
when a twentieth more is done, and every minute in any case, because a single file of CUDA may take longer than that.
"""

import queue
import re
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import IO

from deploy.setup.venv import ROOT, BrokenOff, SetupError, end_of, pip_command, pip_environ, say, write_log

EVERY_S = 60.0
N_LINES, N_LINES_OF_A_COMPLAINT = 20, 8
_STEP = re.compile(r"^\s*\[\s*(\d+)(?:/(\d+)\]|%\])")
_COMPLAINT = re.compile(r"CMake Error|fatal error|\berror: (?!subprocess-exited|metadata-gen)")


class Progress:
    """How far a compilation is, from its output; `words` is None while there is nothing new to say."""

    def __init__(self, what: str) -> None:
        self._what, self._done, self._of, self._told = what, 0, 0, -1

    def read(self, line: str) -> None:
        """Take a line of output."""
        found = _STEP.match(line)
        if found:
            self._done, self._of = int(found[1]), int(found[2] or 100)

    def words(self, elapsed_s: float, asked: bool = False) -> str | None:
        """The line to print: `step n of m` when a twentieth more is done, or when `asked` (a minute has passed)."""
        twentieth = self._done * N_LINES // self._of if self._of else -1
        if twentieth <= self._told and not asked:
            return None
        self._told = twentieth
        minutes = f"{elapsed_s / 60:.0f} min so far"
        step = f"step {self._done} of {self._of}" if self._of else "preparing (compiler, packages for the build)"
        return f"{self._what}: {step}, {minutes}"


def compile_with_pip(what: str, arguments: tuple[str, ...], environ: Mapping[str, str]) -> None:
    """Run pip with these arguments and say how far it is. Raises SetupError with the end of its words, BrokenOff."""
    process = subprocess.Popen(
        pip_command(*arguments),
        cwd=str(ROOT),
        env=pip_environ(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines: queue.Queue[str | None] = queue.Queue()
    assert process.stdout
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    try:
        output = _follow(Progress(what), lines)
        status = process.wait()  # its output has ended
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if status < 0:
        raise BrokenOff(f"the compilation was ended by signal {-status}: the next start goes on where it was.")
    if status != 0:
        raise SetupError(end_of(_without_noise(output)))


def _read(stream: IO[str], lines: "queue.Queue[str | None]") -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _follow(progress: Progress, lines: "queue.Queue[str | None]") -> str:
    """Log every line and print the progress; returns the whole output."""
    output: list[str] = []
    start = last = time.monotonic()
    while True:
        try:
            line = lines.get(timeout=1.0)
        except queue.Empty:
            line = ""
        if line is None:
            return "".join(output)
        if line:
            output.append(line)
            write_log(line)
            progress.read(line)
        now = time.monotonic()
        words = progress.words(now - start, asked=now - last >= EVERY_S)
        if words:
            say(words)
            last = now


def _without_noise(output: str) -> str:
    """The lines that say why, from the compiler's or CMake's first complaint on; without one, everything."""
    lines = output.splitlines()
    wrong = [number for number, line in enumerate(lines) if _COMPLAINT.search(line)]
    return "\n".join(lines[wrong[0] : wrong[0] + N_LINES_OF_A_COMPLAINT]) if wrong else output
