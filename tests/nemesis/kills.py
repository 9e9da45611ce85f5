"""`python -m tests.nemesis.kills --n 100`: kill -9 of a worker in mid-reply, and how long until text moves again.

Each time somebody says something, the reply begins, the worker that writes it dies, and the clock runs until the first
new text of the next attempt is heard. Once with two workers, where the other one takes over, and once with one that
is started again. The echo backend has no model to load. Exit status 1 when a word was lost or doubled.
"""

import argparse
import shutil
import signal
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

from tests.nemesis import audit, people
from tests.nemesis.installation import Installation
from tests.nemesis.races import Browser

CHAT_TURNS = 12  # then a new chat: the echo's prompt stays short
TARGET_S = 3.0


def main(arguments=None):
    """Kill, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.nemesis.kills", description=__doc__)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--workers", type=int, choices=(1, 2), action="append")
    options = parser.parse_args(arguments)
    bad = 0
    for n_workers in options.workers or (2, 1):
        folder = Path(tempfile.mkdtemp(prefix="inglenook-kills-"))
        installation = Installation(folder, n_workers, echo_delay_ms=20)
        try:
            installation.start()
            waits, lost, doubled = kill_again_and_again(installation, options.n)
        finally:
            installation.stop()
        shutil.rmtree(folder, ignore_errors=True)
        sys.stdout.write(sentence(n_workers, waits, lost, doubled) + "\n")
        bad += lost + doubled
    return 1 if bad else 0


def sentence(n_workers, waits, lost, doubled):
    """The result on one line."""
    ordered = sorted(waits)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)) - 1)]
    how = "another worker is up" if n_workers > 1 else "the supervisor starts it again"
    return (
        f"{n_workers} worker{'s' * (n_workers > 1)} ({how}): {len(waits)} kills in mid-reply, text moves again after "
        f"p50 {statistics.median(waits):.2f} s, p99 {p99:.2f} s, max {ordered[-1]:.2f} s "
        f"(target p99 {TARGET_S:.0f} s); {lost} lost, {doubled} doubled"
    )


def kill_again_and_again(installation, n):
    """(seconds until text moved again, how many replies were lost, how many doubled)."""
    person, waits, said = people.sign_up(installation, 0), [], {}
    browser = Browser(installation, person, person.chats[-1])
    for number in range(n):
        if number % CHAT_TURNS == CHAT_TURNS - 1:
            browser.close()
            browser = Browser(installation, person, people.begin_chat(installation, person))
        turn = uuid.uuid4().hex
        said[turn] = f"This is number {number} of {n}."
        browser.submit(turn, said[turn])
        waits.append(kill_once(installation, browser, turn))
        browser.wait("done", "failed", where=lambda event, turn=turn: event["turn"] == turn)
        browser.settle()
        installation.wait_for(installation.is_well, "worker")
        _settle_down(installation)
    browser.close()
    return waits, *count(installation, person, said)


def kill_once(installation, browser, turn):
    """Kill the worker that writes the turn; seconds until the next attempt's first text was heard."""
    first = browser.wait("text", where=lambda event: event["turn"] == turn and event["offset"] > 4)
    writing = {program.name: program for program in installation.workers}
    at = next(worker for one, worker, _ in audit.running(installation.sqlite_file) if one == turn)
    writing[at].signal_all(signal.SIGKILL)
    began = time.monotonic()
    browser.wait("text", where=lambda event: event["attempt"] > first["attempt"])
    return time.monotonic() - began


def count(installation, person, said):
    """How many replies are missing, and how many are there twice."""
    found = {turn: {"user": 0, "character": 0} for turn in said}
    for messages in audit.messages(installation.sqlite_file, person.chats).values():
        for message in messages:
            for alternative in message["alternatives"]:
                if (turn := alternative["turn_id"]) in found and said[turn] in alternative["text"]:
                    found[turn][message["role"]] += 1
    lost = sum(0 in one.values() for one in found.values())
    doubled = sum(max(one.values()) > 1 for one in found.values())
    return lost, doubled


def _settle_down(installation):
    """Let the new worker run for as long as a supervisor wants to see before it starts one again at once."""
    for worker in installation.workers:
        installation.wait_for(lambda worker=worker: worker.settled, worker.name)


if __name__ == "__main__":
    sys.exit(main())
