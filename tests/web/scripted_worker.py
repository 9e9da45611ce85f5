"""A worker whose part the test plays by hand: it claims a turn, tells it piece by piece, commits it."""

import uuid
from typing import Any

from redis import Redis

from store import chats, turns
from store.broker import events, registry
from store.db import Database
from store.errors import Failure
from store.messages import Reply
from store.views import EndView


def new_turn() -> str:
    return uuid.uuid4().hex


class ScriptedWorker:
    """Announces itself as a worker; `turn_id`, `chat_id` and `attempt` are those of the turn claimed last."""

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
