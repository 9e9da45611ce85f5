"""From the invitation to the first word of a reply: clicks, fields and seconds, on a desktop and on a phone.

`python -m bench.first_words [--before TREE] [--visits 3]`: TREE is a checkout of an earlier version, measured beside
this one. Each visit is a new person in an empty browser who opens the link, signs up, takes the first character of the
page, writes a line and waits. The worker echoes: seconds are those of pages and queue, not of a model, and nobody
thinks or types. Writes docs/benchmarks.md.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.tables import machine, publish, table
from tests.browser.two_browsers import DESKTOP, IDLE, LIVE, PHONE, RESTING, chromium
from tests.harness.processes import environ_of, free_port

ROOT = Path(__file__).parent.parent
VIEWS = {"desktop": DESKTOP, "phone": PHONE}
STEPS = ("link opened", "signed up", "story open", "first word")
FIRST_WORD = f"() => Boolean({LIVE}) || document.querySelectorAll('[data-testid=message]:not([data-live])').length > 2"
UP_S, PATIENCE_MS = 120, 120_000


@dataclass
class Visit:
    """One person's way: what they did, and when each step was reached, in seconds since the link was opened."""

    clicks: int = 0
    fields: int = 0
    reached: list[float] = field(default_factory=list)


class Server:
    """The server of a checkout, as `make run` starts it."""

    def __init__(self, tree: Path, data: Path) -> None:
        self._tree, self._port = tree, free_port()
        environ = environ_of(data_dir=data, port=self._port, backend="echo", max_reply_tokens=40)
        self._environ = {
            name: value for name, value in environ.items() if name != "INGLENOOK_TITLES"
        }  # a later setting
        self._invite = "web.auth.invite" if (tree / "web/auth/invite.py").is_file() else "web.invite"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Started, and ended afterwards."""
        words = (sys.executable, "-m", "deploy.run")
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(words, cwd=self._tree, env=self._environ, text=True, **pipes) as process:
            up = threading.Event()
            reader = threading.Thread(target=self._read, args=(process, up))
            reader.start()
            try:
                assert up.wait(UP_S), "the server does not start"
                yield
            finally:
                process.terminate()
                process.wait()
                reader.join()

    def invite(self) -> str:
        """A new invitation link."""
        words = [sys.executable, "-m", self._invite, "--role", "adult"]
        return subprocess.check_output(words, cwd=self._tree, env=self._environ, text=True).strip()

    @staticmethod
    def _read(process: "subprocess.Popen[str]", up: threading.Event) -> None:
        assert process.stdout
        for line in process.stdout:
            if "Ctrl+C" in line:
                up.set()
        up.set()


def walk(page: Any, link: str, name: str) -> Visit:
    """One visit."""
    page.set_default_timeout(PATIENCE_MS)
    visit, began = Visit(), time.perf_counter()

    def fill(where: str, words: str) -> None:
        page.get_by_test_id(where).fill(words)
        visit.fields += 1

    def click(where: str) -> None:
        page.get_by_test_id(where).first.click()
        visit.clicks += 1

    def reached(where: str) -> None:
        page.get_by_test_id(where).first.wait_for()
        visit.reached.append(time.perf_counter() - began)

    page.goto(link)
    reached("sign-up")
    fill("name", name)
    fill("password", "a long enough password")
    click("sign-up")
    reached("characters")
    click("begin")
    page.locator(f"{RESTING}:has({IDLE})").wait_for(state="attached")
    reached("draft")
    fill("draft", "Good evening. Is the light still burning?")
    click("send")
    page.wait_for_function(FIRST_WORD)
    visit.reached.append(time.perf_counter() - began)
    return visit


def measure(tree: Path, n_visits: int) -> dict[str, list[Visit]]:
    """Visits by the kind of device."""
    found: dict[str, list[Visit]] = {view: [] for view in VIEWS}
    with tempfile.TemporaryDirectory() as data:
        server = Server(tree, Path(data))
        with server.running(), chromium() as browser:
            for number in range(n_visits):
                for view, looks in VIEWS.items():
                    page = browser.new_context(**looks).new_page()
                    found[view].append(walk(page, server.invite(), f"{view} {number}"))
                    page.context.close()
    return found


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.first_words", description=__doc__)
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--visits", type=int, default=3)
    options = parser.parse_args()
    trees = {"before": options.before, "now": ROOT} if options.before else {"now": ROOT}
    rows = [
        (version, view, visits[0].clicks, visits[0].fields, *_medians(visits))
        for version, tree in trees.items()
        for view, visits in measure(tree, options.visits).items()
    ]
    told = f"Median of {options.visits} visits, seconds since the link was opened. {machine()}."
    publish("first-words", f"{told}\n\n{table(('version', 'on a', 'clicks', 'fields', *STEPS), rows)}")
    return 0


def _medians(visits: list[Visit]) -> list[str]:
    return [f"{statistics.median(times):.1f}" for times in zip(*(visit.reached for visit in visits), strict=True)]


if __name__ == "__main__":
    sys.exit(main())
