"""`python -m bench.peers.timed_run FILE`: deploy.run, whose worker also writes down when each text left the engine.

A line is "monotonic seconds, chat, characters"; all processes of a machine share that clock.
"""

import os
import runpy
import sys
import time
from functools import partial

from deploy import room_processes, run


def timed_worker(file: str) -> None:
    """The worker, with one line of its engine wrapped."""
    from engine.events import Event, Text
    from engine.ticket import Ticket

    out, put = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), Ticket.put

    def noted(ticket: Ticket, event: Event) -> None:
        if isinstance(event, Text):
            os.write(out, f"{time.monotonic()} {ticket.request.session} {len(event.text)}\n".encode())
        put(ticket, event)

    Ticket.put = noted  # type: ignore[method-assign]
    runpy.run_module("worker", run_name="__main__")


def main() -> int:
    if sys.argv[1] == "worker":
        timed_worker(sys.argv[2])
    command = [sys.executable, "-m", "bench.peers.timed_run", "worker", sys.argv[1]]
    room_processes.worker_command = partial(list, command)
    return run.main()


if __name__ == "__main__":
    sys.exit(main())
