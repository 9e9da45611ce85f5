"""Jobs for the tests of lanes; RQ imports them by name, and they run in threads of the test's own process."""

import threading
import time

done: list[str] = []
arrived = threading.Event()
let_go = threading.Event()


def note(name: str) -> None:
    done.append(name)
    arrived.set()


def hang() -> None:
    arrived.set()
    while True:
        time.sleep(0.01)


def wait_for_me() -> None:
    arrived.set()
    let_go.wait(10)
    done.append("waited")


def reset() -> None:
    done.clear()
    arrived.clear()
    let_go.clear()


def wait_until(true, limit_s: float = 60.0) -> None:
    """Wait until it is true. The limit is for what never comes, however busy the machine is: no promise about time."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
