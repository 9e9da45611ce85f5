"""People without a screen: a `Browser` with cookies and forms over HTTP, and a `Player` who comes back when cut off.

What it does: signs up by invitation, begins chats, opens sockets; a player keeps one chat and sends again what was not
acknowledged, under the same id, as the page does.
What it refuses to know: how the server was started, and what a reply should say.
"""

import contextlib
import re
import time
import uuid
from html.parser import HTMLParser
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.harness.socket_client import Message, SocketClient

PASSWORD = "a warm seat by the fire"
ANSWER_S = 30.0
COME_BACK_S = 40.0  # how long a player tries to connect again
TRY_EVERY_S = 0.2


class _Form(HTMLParser):
    """The named form fields and buttons of a page: name -> values."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, list[str]] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        if tag in ("input", "button") and (name := fields.get("name")):
            self.values.setdefault(name, []).append(fields.get("value") or "")


class Browser:
    """Signs up, signs in, fills in forms and opens web sockets, over real HTTP."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = requests.Session()
        # The server closes a connection that was idle for two seconds: browsers ask again by themselves, this one, too.
        # An answer is an answer, whatever it says: a 503 with Retry-After is not asked for again.
        again = Retry(
            total=3,
            connect=0,
            read=3,
            redirect=False,
            status=0,
            allowed_methods={"GET"},
            respect_retry_after_header=False,
        )
        self.http.mount("http://", HTTPAdapter(max_retries=again))

    @property
    def cookie(self) -> str:
        """The Cookie header."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies)

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET a path of the server."""
        return self.http.get(self.address + path, timeout=ANSWER_S, **options)

    def post(self, path: str, form: dict[str, str], token: str | None = None, **options: Any) -> requests.Response:
        """POST a form; `token` is its CSRF token."""
        data = {**form, "csrf_token": token} if token is not None else form
        return self.http.post(self.address + path, data=data, timeout=ANSWER_S, **options)

    def submit(self, page: str, form: dict[str, str], action: str | None = None) -> requests.Response:
        """Get the page, fill in its form and send it."""
        token = _Form(self.get(page).text).values.get("csrf_token")
        assert token, f"no form on {page}"
        return self.post(action or page, form, token[0])

    def sign_up(self, invite: str, name: str, password: str = PASSWORD) -> "Browser":
        """Accept an invitation, a path or a whole link."""
        answer = self.submit(invite.removeprefix(self.address), {"name": name, "password": password})
        assert (answer.status_code, answer.url) == (200, self.address + "/"), answer.text
        return self

    def begin_chat(self, character: str) -> str:
        """Begin a chat with a character; its id."""
        answer = self.submit("/", {"character": character}, "/chats")
        assert answer.status_code == 200, answer.text
        return answer.url.rsplit("/", 1)[1]

    def characters(self) -> list[str]:
        """The ids of the characters on the first page."""
        return _Form(self.get("/").text).values["character"]

    def socket(self, **headers: str | None) -> SocketClient:
        """A web socket as this browser would open it; a header given as None is left out."""
        return SocketClient(self.address, **{"Cookie": self.cookie, **headers})


class Player:
    """A person with one chat and one socket, who comes back however often the server goes."""

    def __init__(self, address: str) -> None:
        self.browser = Browser(address)
        self.chat = ""
        self._socket: SocketClient | None = None

    def move_to(self, address: str) -> None:
        """The server has another address now."""
        self.browser.address = address

    def sign_up(self, invite: str, name: str) -> "Player":
        """Accept an invitation."""
        self.browser.sign_up(invite, name)
        return self

    def begin(self, place: int = 0) -> "Player":
        """Begin a chat with the n-th character of the first page."""
        self.chat = self.browser.begin_chat(self.browser.characters()[place])
        assert re.fullmatch(r"[0-9a-f]{32}", self.chat)
        return self

    def open(self) -> Message:
        """A new socket on the chat, however often it takes; the `opened` message."""
        deadline = time.monotonic() + COME_BACK_S
        while True:
            try:
                self.close()
                self._socket = self.browser.socket()
                self._socket.send(type="open", chat=self.chat)
                return self.wait("opened")
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(TRY_EVERY_S)

    def send(self, **message: Any) -> None:
        """Send a message on the open socket."""
        assert self._socket is not None
        self._socket.send(**message)

    def wait(self, *types: str, timeout_s: float = 60.0) -> Message:
        """The next message of one of these types."""
        assert self._socket is not None
        return self._socket.wait(*types, timeout_s=timeout_s)

    def submit(self, text: str, revision: int, turn: str | None = None) -> str:
        """Submit a turn, again with the same id if cut off before the ack; its id."""
        turn = turn or uuid.uuid4().hex
        while True:
            try:
                self.send(type="submit", id=turn, chat=self.chat, kind="chat", revision=revision, text=text)
                answer = self.wait("ack", "refused")
                assert answer["type"] == "ack", answer
                return turn
            except OSError:
                self.open()

    def settle(self, timeout_s: float = 60.0) -> Message:
        """Wait until no turn is under way, coming back when cut off; the last `opened` message."""
        deadline = time.monotonic() + timeout_s
        while True:
            assert time.monotonic() < deadline, "the turn does not end"
            opened = self.open()
            if opened["turn"] is None:
                return opened
            with contextlib.suppress(OSError):
                self.wait("done", "failed", "cancelled", "opened", timeout_s=timeout_s)

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
