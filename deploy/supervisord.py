"""Supervisord with logs that may fail: `python -m deploy.supervisord -c FILE`, as supervise.py starts it.

What it does: supervisord itself ends when a line of a log cannot be written (a full disk) and would take every program
along; here such a line is lost and nothing else. The exit statuses of programs, which supervisord has in its log only,
are kept in memory and asked for by RPC (`inglenook.exits`).
What it refuses to know: what the programs are for.
"""

import contextlib
import re
import sys
from collections import deque
from typing import Any

from supervisor import loggers, supervisord  # type: ignore[import-untyped]

KEPT_EXITS = 500
_EXIT = re.compile(r"exited: (\w+) \(exit status (\d+);")
_LOG_FAILURES = (OSError, ValueError)  # ValueError: the file was closed by a rotation that failed half way


class FailingLog(loggers.RotatingFileHandler):  # type: ignore[misc]
    """A rotating log file. A line that finds no room is dropped."""

    def emit(self, record: Any) -> None:
        """Write a line; open the file again where its rotation has failed."""
        try:
            super().emit(record)
        except _LOG_FAILURES:
            with contextlib.suppress(OSError):
                self.stream = open(self.baseFilename, "ab")  # noqa: SIM115 (kept open for the next lines)

    def handleError(self) -> None:
        """Drop the line: standard error is a file on the same disk."""


class ExitMemory(loggers.Handler):  # type: ignore[misc]
    """The exit statuses in supervisord's own log lines, the newest KEPT_EXITS."""

    def __init__(self) -> None:
        super().__init__()
        self.exits: deque[tuple[str, int]] = deque(maxlen=KEPT_EXITS)

    def emit(self, record: Any) -> None:
        """Keep what a line says about the end of a program."""
        if found := _EXIT.search(str(record.msg)):
            self.exits.append((found[1], int(found[2])))

    def reopen(self) -> None:
        """There is no file."""

    def close(self) -> None:
        """There is no file."""


class ExitsInterface:
    """The RPC interface `inglenook`."""

    def __init__(self, memory: ExitMemory) -> None:
        self._memory = memory

    def exits(self) -> list[list[str | int]]:
        """(program, exit status) of those that ended unasked, oldest first."""
        return [list(one) for one in self._memory.exits]


def make_exits_interface(daemon: Any, **_options: str) -> ExitsInterface:
    """The factory that the configuration names."""
    memory = ExitMemory()
    daemon.options.logger.addHandler(memory)
    return ExitsInterface(memory)


def main() -> None:
    """Run supervisord; returns at its end."""
    loggers.RotatingFileHandler = FailingLog
    supervisord.main(sys.argv[1:])


if __name__ == "__main__":
    main()
