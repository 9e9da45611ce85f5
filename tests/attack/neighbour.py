"""A noisy-neighbour probe: one person who writes and reads pages while somebody else attacks, and how long they wait.

What it does: one thread submits turns over a web socket (send -> ack, and whether each turn is done), another gets
pages; both note seconds. A wait that ends in an error or the time limit counts as the limit.
What it refuses to know: who attacks, and how.
"""

import statistics
import threading
import time

import requests

from tests.harness.socket_client import SocketClient

LIMIT_S = 30.0
PACE_S = 0.25  # between two requests


class Neighbour:
    """`acks` and `pages`: seconds each took; `lost`: turns that were acknowledged and did not end in a reply."""

    def __init__(self, address, person):
        self.address, self.person = address, person
        self.acks, self.pages, self.lost, self.failures = [], [], 0, []
        self._leaving = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._write, self._read)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error):
        self._leaving.set()
        for thread in self._threads:
            thread.join(2 * LIMIT_S)

    def _write(self):
        while not self._leaving.wait(PACE_S):
            began, acked, tab = time.monotonic(), False, None
            try:
                tab = SocketClient(self.address, self.person.cookie)
                opened = tab.open(self.person.chats[-1])
                began = time.monotonic()
                ack = tab.submit(self.person.chats[-1], "How is the fire?", opened["revision"])
                acked = ack["type"] == "ack"
                self.acks.append(time.monotonic() - began if acked else LIMIT_S)
                if not acked:
                    self.failures.append(str(ack))
                    continue
                end = tab.wait("done", "failed", "cancelled", timeout_s=LIMIT_S)
                if end["type"] != "done":
                    self.lost += 1
                    self.failures.append(str(end)[:300])
            except (OSError, TimeoutError) as error:
                self.failures.append(repr(error)[:300])
                if not acked:
                    self.acks.append(LIMIT_S)
            finally:
                if tab is not None:
                    tab.close()

    def _read(self):
        paths = ("/", f"/chat/{self.person.chats[-1]}", "/settings", "/healthz")
        number = 0
        while not self._leaving.wait(PACE_S):
            began = time.monotonic()
            try:
                path = paths[number % len(paths)]
                answer = requests.get(self.address + path, headers={"Cookie": self.person.cookie}, timeout=LIMIT_S)
                good = answer.status_code == 200
            except requests.RequestException:
                good = False
            self.pages.append(time.monotonic() - began if good else LIMIT_S)
            number += 1


def spread(seconds):
    """(median, 95th of a hundred, largest) in ms; the limit where nothing was measured."""
    values = sorted(seconds) or [LIMIT_S]
    p95 = statistics.quantiles(values, n=20, method="inclusive")[18] if len(values) > 1 else values[0]
    return tuple(round(1000 * value) for value in (statistics.median(values), p95, values[-1]))
