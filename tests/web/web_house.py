"""Helpers of the web tests: a browser without a screen, and a storyteller in the place of the worker."""

import json
import re
import socket
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from redis import Redis
from simple_websocket import Client, ConnectionClosed

from store import chats, turns
from store.broker import events, registry
from store.db import Database
from store.errors import Failure
from store.messages import Reply
from store.views import EndView

PASSWORD = "a warm seat by the fire"
GIVE_UP_S = 10.0
_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def new_turn() -> str:
    return uuid.uuid4().hex


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Browser:
    """Signs up, signs in, fills in forms and opens web sockets, over real HTTP."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.http = requests.Session()

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.http.get(self.base + path, timeout=GIVE_UP_S, **options)

    def post(self, path: str, form: dict[str, str], token: str | None = None, **options: Any) -> requests.Response:
        data = {**form, "csrf_token": token} if token is not None else form
        return self.http.post(self.base + path, data=data, timeout=GIVE_UP_S, **options)

    def submit(self, page: str, form: dict[str, str], action: str | None = None) -> requests.Response:
        """Get the page, fill in its form and send it."""
        token = _TOKEN.search(self.get(page).text)
        assert token, f"no form on {page}"
        return self.post(action or page, form, token.group(1))

    def sign_up(self, invite: str, name: str) -> "Browser":
        answer = self.submit(invite, {"name": name, "password": PASSWORD})
        assert (answer.status_code, answer.url) == (200, self.base + "/"), answer.text
        return self

    def begin_chat(self, character: str) -> str:
        answer = self.submit("/", {"character": character}, "/chats")
        assert answer.status_code == 200, answer.text
        return answer.url.rsplit("/", 1)[1]

    def socket(self, **headers: str | None) -> "Socket":
        """A web socket as this browser would open it; a header given as None is left out."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies)
        wanted = {"Origin": self.base, "Cookie": cookies, **{key.replace("_", "-"): v for key, v in headers.items()}}
        kept = {key: value for key, value in wanted.items() if value is not None}
        return Socket(f"ws://{urlsplit(self.base).netloc}/ws", kept)


class Socket:
    """One open tab."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.client = Client(url, headers=headers)
        self.seen: list[dict[str, Any]] = []

    def say(self, **message: Any) -> None:
        self.client.send(json.dumps(message))

    def hear(self) -> dict[str, Any]:
        """The next message of the server."""
        text = self.client.receive(timeout=GIVE_UP_S)
        assert text is not None, f"nothing came; before that: {self.seen[-5:]}"
        message: dict[str, Any] = json.loads(text)
        self.seen.append(message)
        return message

    def until(self, *types: str, where: Callable[[dict[str, Any]], bool] = lambda message: True) -> dict[str, Any]:
        """Hear until a message of one of these types comes."""
        while True:
            message = self.hear()
            if message["type"] in types and where(message):
                return message

    def ever(self, where: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """A message that has come already, or comes."""
        return next((message for message in self.seen if where(message)), None) or self._next(where)

    def _next(self, where: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while not where(message := self.hear()):
            pass
        return message

    def open(self, chat: str, turn: str | None = None, after: int = 0) -> dict[str, Any]:
        self.say(type="open", chat=chat, turn=turn, after=after)
        return self.until("opened", "refused")

    def submit(
        self,
        chat: str,
        text: str,
        revision: int,
        turn: str | None = None,
        kind: str = "chat",
        then: Sequence[str] = (),
    ) -> dict[str, Any]:
        turn = turn or new_turn()
        self.say(type="submit", id=turn, chat=chat, kind=kind, revision=revision, text=text, then=list(then))
        return self.until("ack", "refused", where=lambda message: message["id"] == turn)

    def farewell(self) -> int:
        """Hear until the server closes; its close code."""
        return self.last_words()[0]

    def last_words(self) -> tuple[int, str]:
        """Hear until the server closes; its close code, and the sentence with it."""
        try:
            while True:
                self.hear()
        except ConnectionClosed as closed:
            return int(closed.reason), closed.message or ""

    def close(self) -> None:
        self.client.close()


class Storyteller:
    """Does a worker's part by hand: claims a turn, tells it piece by piece, commits it."""

    def __init__(self, database: Database, redis: Redis) -> None:
        self.database = database
        self.redis = redis
        self.attempt = 0
        self.turn_id = ""
        self.chat_id = ""
        self.number = 0
        self.told = ""

    def present(self) -> None:
        """Announce a worker, so that turns are queued."""
        registry.announce(self.redis, registry.WorkerView("tale", "none", 2, 0, (), 0.0), ttl_s=60)

    def claim(self, turn_id: str) -> None:
        claim = turns.claim(self.database, turn_id, "tale", 30)
        self.turn_id, self.chat_id, self.attempt = turn_id, claim.turn.chat_id, claim.attempt
        self.number, self.told = 0, ""
        self.append({"type": "state", "state": "waking"})

    def append(self, *pieces: dict[str, Any]) -> list[int]:
        return events.append(self.redis, self.chat_id, self.turn_id, self.attempt, list(pieces))

    def part(self, number: int, kind: str, role: str, name: str, message: str | None = None, parts: int = 1) -> None:
        self.append(
            {"type": "part", "part": number, "kind": kind, "role": role, "name": name, "message": message}
            | {"parts": parts}
        )
        self.number, self.told = number, ""

    def tell(self, *pieces: str) -> None:
        for piece in pieces:
            self.append({"type": "text", "part": self.number, "offset": len(self.told), "text": piece})
            self.told += piece

    def finish(self, outcome: turns.Outcome | None = None) -> EndView:
        end = turns.commit(self.database, self.turn_id, self.attempt, outcome or Reply(self.told), {})
        self.append({"type": "done", **end.as_dict()})
        return end

    def fail(self, reason: str, **values: str) -> None:
        failure = Failure(reason, values)
        turns.fail(self.database, self.turn_id, self.attempt, failure)
        self.append({"type": "failed", "error": failure.as_dict()})

    def texts(self, chat_id: str) -> list[str]:
        return [message.text for message in chats.transcript(self.database, chat_id)]
