"""Services with a web server: people who are signed in, and the CPU time and memory that the server uses."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

from store import accounts
from store.views import ChatView, UserView
from tests.harness.processes import free_port
from tests.harness.services import ServiceProcesses
from web.auth import passwords

TICK = 100  # per second, what /proc counts in
PASSWORD = "a warm seat by the fire"
PER_ADDRESS = 15  # sign-ins a minute from one address are limited: each fifteen people come from one of their own


class Person:
    """An account with a chat and a cookie."""

    def __init__(self, user: UserView, chat: ChatView, cookie: str) -> None:
        self.user, self.chat, self.cookie = user, chat, cookie


class WebServices(ServiceProcesses):
    """Without workers: the bench tells the replies (load_teller.py)."""

    def __init__(self, sockets: int, **settings: object) -> None:
        self.port = free_port()
        super().__init__((), port=self.port, sockets=sockets, **settings)
        self.web: subprocess.Popen[bytes] | None = None
        self.redis_url = self._server.url
        self._hash = passwords.hash_password(PASSWORD)

    def open(self) -> float:
        """Start the web server; the seconds until it serves."""
        began = time.monotonic()
        self._run(sys.executable, "-m", "web")
        self.web = self._processes[-1]
        while not self.serves():
            time.sleep(0.02)
        return time.monotonic() - began

    def serves(self) -> bool:
        """Whether pages come."""
        try:
            return self._ask("GET", "/healthz")[0] == 200
        except (OSError, http.client.HTTPException):  # nobody listens; or the port is our own end, and hears itself
            return False

    def stop(self, how: signal.Signals) -> None:
        """Stop the web server: SIGKILL takes all of it at once, as a power cut would."""
        assert self.web
        if how == signal.SIGKILL:
            for child in self.pids()[1:]:
                os.kill(child, how)
        self.web.send_signal(how)
        self.web.wait(30)

    def pids(self) -> list[int]:
        """The web server's processes, the first one first."""
        assert self.web
        children = Path(f"/proc/{self.web.pid}/task/{self.web.pid}/children").read_text().split()
        return [self.web.pid, *map(int, children)]

    def memory_mb(self) -> float:
        """Memory of the web server's processes together (PSS: what they share counts once)."""
        pages = [re.search(r"Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text()) for pid in self.pids()]
        return sum(int(found[1]) for found in pages if found) / 1024

    def n_threads(self) -> int:
        """Threads of the web server."""
        return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in self.pids())

    def log(self) -> str:
        """The log of all processes."""
        return (self.folder / "processes.log").read_text(errors="replace")

    def people(self, n: int) -> list[Person]:
        """`n` people, each with one chat, signed in."""
        return [self._person(f"Person {k}", f"127.0.0.{2 + k // PER_ADDRESS}") for k in range(n)]

    def _person(self, name: str, address: str) -> Person:
        _, token = accounts.create_invite(self.db, "adult")
        user = accounts.sign_up(self.db, token, name, self._hash)
        return Person(user, self.chat(user), self._sign_in(name, address))

    def _sign_in(self, name: str, address: str) -> str:
        _, cookie, page = self._ask("GET", "/login", address=address)
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert token, page
        form = urllib.parse.urlencode({"name": name, "password": PASSWORD, "csrf_token": token[1]})
        status, cookie, page = self._ask("POST", "/login", form, cookie, address)
        assert status == 302, page
        return cookie

    def _ask(
        self, method: str, path: str, body: str | None = None, cookie: str = "", address: str = "127.0.0.1"
    ) -> tuple[int, str, str]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10, source_address=(address, 0))
        headers = {"Cookie": cookie} if cookie else {}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        line.request(method, path, body, headers)
        answer = line.getresponse()
        text = answer.read().decode()
        line.close()
        cookies = [cookie.partition(";")[0] for cookie in answer.headers.get_all("Set-Cookie", [])]
        return answer.status, "; ".join(cookies), text


def cpu_s(pids: list[int]) -> float:
    """CPU seconds that these processes have used so far."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICK
