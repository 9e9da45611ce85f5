"""A person without a browser: signs up over HTTP, talks over the web socket, comes back when cut off."""

import contextlib
import http.cookiejar
import json
import re
import socket
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import uuid
from html.parser import HTMLParser

from simple_websocket import Client, ConnectionClosed
from wsproto.events import AcceptConnection, Request

HANDSHAKE_S = 5
TRIES_S = 40  # how long to knock at a door that is shut


class Fields(HTMLParser):
    """The named form fields and buttons of a page: name -> values."""

    def __init__(self, page):
        super().__init__()
        self.values = {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag in ("input", "button") and found.get("name"):
            self.values.setdefault(found["name"], []).append(found.get("value") or "")


class Tab(Client):
    """The library's client, with a Host header as browsers send it, and no socket left open by a failed handshake."""

    @classmethod
    def connect(cls, *arguments, **options):
        """As the library does, but the socket is closed where nobody listens any more."""
        try:
            return super().connect(*arguments, **options)
        except OSError as error:
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if isinstance(left := frame.f_locals.get("sock"), socket.socket):
                    left.close()
            raise

    def handshake(self):
        try:
            self.sock.settimeout(HANDSHAKE_S)
            host = f"{self.host}:{self.port}"
            request = Request(host=host, target=self.path, extra_headers=self.extra_headeers)
            self.sock.sendall(self.ws.send(request))
            answer = self._answer()
            if not isinstance(answer, AcceptConnection):
                raise OSError(f"the handshake was refused: {answer}")
            self.sock.settimeout(None)
            self.connected = True
        except BaseException:
            self.sock.close()
            raise

    def _answer(self):
        while (event := next(self.ws.events(), None)) is None:
            data = self.sock.recv(4096)
            if not data:
                raise OSError("cut off in the handshake")
            self.ws.receive_data(data)
        return event


class Player:
    """One signed-in person with at most one open socket."""

    def __init__(self, address):
        self.address = address
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )
        self._ws = None
        self.chat = None

    def sign_up(self, link, name, password="a long enough password"):
        form = Fields(self._get(link)[1]).values
        self._post(link, {"csrf_token": form["csrf_token"][0], "name": name, "password": password})
        return self

    def begin(self, place=0):
        """Begin a chat with the n-th character of the first page."""
        form = Fields(self._get(self.address + "/")[1]).values
        token, character = form["csrf_token"][0], form["character"][place]
        url, _ = self._post(self.address + "/chats", {"csrf_token": token, "character": character})
        self.chat = re.fullmatch(r".*/chat/([0-9a-f]{32})", url)[1]
        return self

    def open(self):
        """A new socket on the chat, however often it takes; the `opened` message."""
        deadline = time.monotonic() + TRIES_S
        while True:
            try:
                self._connect()
                self.send({"type": "open", "chat": self.chat})
                return self.wait("opened")
            except (OSError, ConnectionClosed):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def send(self, frame):
        self._ws.send(json.dumps(frame))

    def receive(self, timeout_s=10):
        frame = self._ws.receive(timeout=timeout_s)
        if frame is None:
            raise TimeoutError("the server has said nothing")
        return json.loads(frame)

    def wait(self, *types, timeout_s=20):
        """The next message of one of these types; others are passed over."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            message = self.receive(left_s)
            if message["type"] in types:
                return message
        raise TimeoutError(f"none of {types} within {timeout_s} s")

    def submit(self, text, revision, turn=None):
        """Send a turn, again with the same id if cut off before the ack; its id."""
        turn = turn or uuid.uuid4().hex
        frame = {"type": "submit", "id": turn, "chat": self.chat, "kind": "chat", "revision": revision, "text": text}
        while True:
            try:
                self.send(frame)
                answer = self.wait("ack", "refused")
                assert answer["type"] == "ack", answer
                return turn
            except (OSError, ConnectionClosed):
                self.open()

    def settle(self, timeout_s=60):
        """Wait until no turn is under way, coming back when cut off; the last `opened` message."""
        deadline = time.monotonic() + timeout_s
        while True:
            assert time.monotonic() < deadline, "the turn does not end"
            opened = self.open()
            if opened["turn"] is None:
                return opened
            try:
                self.wait("done", "failed", "cancelled", "opened", timeout_s=timeout_s)
            except (OSError, ConnectionClosed):
                continue

    def close(self):
        if self._ws is not None:
            with contextlib.suppress(OSError, ConnectionClosed):
                self._ws.close()
            self._ws = None

    def _connect(self):
        self.close()
        cookie = "; ".join(f"{one.name}={one.value}" for one in self.cookies)
        url = self.address.replace("http", "ws", 1) + "/ws"
        self._ws = Tab.connect(url, headers={"Origin": self.address, "Cookie": cookie})

    def _get(self, url):
        with self._opener.open(url, timeout=10) as answer:
            return answer.url, answer.read().decode()

    def _post(self, url, fields):
        data = urllib.parse.urlencode(fields).encode()
        request = urllib.request.Request(url, data, {"Origin": self.address, "Referer": url})
        try:
            with self._opener.open(request, timeout=10) as answer:
                return answer.url, answer.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{url}: {error.code} {error.read().decode()[:500]}") from None
