"""First visits, how heavy and how slow: `python -m bench.pages [--visits 5]`, on a phone with a slow CPU.

Every visit has an empty cache. Contents are counted as they are sent, headers beside them. LCP is when the largest text
or picture stood on the page (PerformanceObserver, largest-contentful-paint), on loopback. Writes docs/benchmarks.md.
"""

import argparse
import statistics
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Page, Request

from bench.tables import machine, publish, table
from store import accounts, messages
from store.models import Chat
from store.views import UserView
from tests.browser.two_browsers import PHONE, chromium
from tests.harness.services import ServiceProcesses
from tests.harness.waiting import wait_for
from web.auth import passwords

SLOWER = 4
LIMIT_BYTES, LIMIT_MS = 150_000, 1500
PORT = 8497
NAME, PASSWORD = "Ada", "a long enough password"
N_MESSAGES = 60
WORDS = (
    "*She turns the lamp.* “The light was out for one night in October.” Rain runs down the glass of the tower. " * 3
)
WATCH = """window.lcp = 0;
  new PerformanceObserver((list) => { for (const one of list.getEntries()) window.lcp = one.startTime; })
    .observe({ type: 'largest-contentful-paint', buffered: true });"""


@dataclass(frozen=True)
class Visit:
    """One first visit."""

    n_bytes: int  # of contents
    n_header_bytes: int
    n_requests: int
    lcp_ms: float


class PagesServices(ServiceProcesses):
    """Services with a web server, and a worker that echoes."""

    address = f"http://127.0.0.1:{PORT}"

    def open(self) -> None:
        """Start the web server and wait for it."""
        self._run(sys.executable, "-m", "web")
        wait_for(self._serves, "the web server")

    def _serves(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:  # refused, or not answered yet
            return False


def newcomer(services: ServiceProcesses) -> UserView:
    """Ada, who can sign in."""
    token = accounts.create_invite(services.db, "adult")[1]
    return accounts.sign_up(services.db, token, NAME, passwords.hash_password(PASSWORD))


def long_chat(services: ServiceProcesses, ada: UserView) -> str:
    """A chat with as many messages as its page shows."""
    chat = services.chat(ada)
    with services.db.session() as session:
        kept = session.get_one(Chat, chat.id)
        for number in range(N_MESSAGES - 1):
            message = messages.add_message(session, kept, ("user", "character")[number % 2], NAME, None, 1.0)
            messages.add_alternative(session, message, messages.Reply(f"{number}. {WORDS}"), None, 1.0)
    return chat.id


def signed_in(browser: Browser, address: str) -> Any:
    """The cookies of Ada's."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/login")
    page.get_by_test_id("name").fill(NAME)
    page.get_by_test_id("password").fill(PASSWORD)
    page.get_by_test_id("sign-in").click()
    page.get_by_test_id("characters").wait_for()
    cookies = context.storage_state()
    context.close()
    return cookies


@contextmanager
def slow_phone(browser: Browser, cookies: Any) -> Iterator[Page]:
    """A window of a slow phone that has never been here."""
    context = browser.new_context(**PHONE, storage_state=cookies)
    context.add_init_script(WATCH)
    page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    yield page
    context.close()


def visit(browser: Browser, address: str, cookies: Any) -> Visit:
    """Open a page for the first time."""
    with slow_phone(browser, cookies) as page:
        answers: list[Request] = []
        page.on("requestfinished", lambda one: answers.append(one))
        page.goto(address)
        page.wait_for_load_state("networkidle")
        if "/chat/" in address:
            page.locator("body[data-line=up]").wait_for(state="attached")
        page.wait_for_function("lcp > 0")
        sizes = [one.sizes() for one in answers]
        contents = sum(one["responseBodySize"] for one in sizes)
        headers = sum(one["responseHeadersSize"] for one in sizes)
        return Visit(contents, headers, len(sizes), float(page.evaluate("lcp")))


def measured(browser: Browser, services: PagesServices, n_visits: int) -> list[list[str]]:
    """The rows of the table."""
    ada = newcomer(services)
    cookies = signed_in(browser, services.address)
    pages = {
        "login": ("/login", None),
        "home": ("/", cookies),
        "a new story": (f"/chat/{services.chat(ada).id}", cookies),
        f"a story of {N_MESSAGES} messages": (f"/chat/{long_chat(services, ada)}", cookies),
    }
    return [
        [name, *row([visit(browser, services.address + path, known) for _ in range(n_visits)])]
        for name, (path, known) in pages.items()
    ]


def row(visits: list[Visit]) -> list[str]:
    """Some first visits of one page."""
    size, lcp = max(one.n_bytes for one in visits), statistics.median(one.lcp_ms for one in visits)
    verdict = "yes" if size < LIMIT_BYTES and lcp < LIMIT_MS else "no"
    headers = max(one.n_header_bytes for one in visits)
    worst = max(one.lcp_ms for one in visits)
    return [
        f"{size / 1000:.1f} kB",
        f"{headers / 1000:.1f} kB",
        str(visits[0].n_requests),
        f"{lcp:.0f} ms",
        f"{worst:.0f} ms",
        verdict,
    ]


def main() -> int:
    """Measure, publish; 1 when one of the pages that people come to first is too heavy or too slow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visits", type=int, default=5)
    options = parser.parse_args()
    with PagesServices(port=PORT, backend="echo") as services, chromium() as browser:
        services.open()
        rows = measured(browser, services, options.visits)
    head = ["first visit", "contents", "headers", "requests", "LCP, median", "worst", "under 150 kB and 1.5 s"]
    publish("pages", f"{table(head, rows)}\n\n{options.visits} visits each. {machine()}")
    return int(any(row[-1] == "no" for row in rows[:3]))


if __name__ == "__main__":
    sys.exit(main())
