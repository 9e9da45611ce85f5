"""The worker's part of the load bench, in a process of its own: tells replies at a steady pace, until stdin closes.

    python -m bench.load_teller DATABASE_URL REDIS_URL EVENTS_PER_S REPLY_S CHAT:OWNER...

Everything goes through the store, as a worker does it: turns are submitted, claimed and committed, events appended in
one pipeline for all chats. Every piece of text carries `at`, the machine's monotonic clock in ns when it was told.
"""

import sys
import threading
import time
import uuid
from typing import Any

from redis import Redis

from store import chats, turns
from store.broker import events, registry
from store.broker.client import connect
from store.broker.events import AppendBatch
from store.db import Database
from store.messages import Reply

NAME = "teller"
WORDS = ("The lamp ", "turned once, ", "and the sea ", "answered it. ", "*Rain*, she said, ", "is only visiting. ")


class TurnTeller:
    """One chat, one reply after the other."""

    def __init__(self, db: Database, chat_and_owner: str, n_events: int) -> None:
        self._db, self._n_events = db, n_events
        self._chat_id, self._owner_id = chat_and_owner.split(":")
        self._turn_id, self._attempt, self._told, self._left = "", 0, "", 0

    def next(self) -> AppendBatch:
        """What is told now: a piece of text, with the beginning and the end of a reply where they are due."""
        said: list[dict[str, Any]] = [] if self._left else self._begin()
        piece = WORDS[self._left % len(WORDS)]
        said.append({"type": "text", "part": 0, "offset": len(self._told), "text": piece, "at": 0})
        self._told += piece
        self._left -= 1
        turn_id, attempt = self._turn_id, self._attempt
        if not self._left:
            end = turns.commit(self._db, turn_id, attempt, Reply(self._told), {})
            said.append({"type": "done", **end.as_dict()})
        return AppendBatch(self._chat_id, turn_id, attempt, said)

    def hurry(self) -> bool:
        """The next piece is the last one of its reply; False when there is no reply under way."""
        self._left = min(self._left, 1)
        return bool(self._left)

    def _begin(self) -> list[dict[str, Any]]:
        self._turn_id, self._told, self._left = uuid.uuid4().hex, "", self._n_events
        revision = chats.get_revision(self._db, self._chat_id)
        command = turns.TurnCommand(self._turn_id, self._chat_id, "chat", revision, "Go on.")
        turns.begin_turn(self._db, self._owner_id, command)
        self._attempt = turns.claim(self._db, self._turn_id, NAME, 3600).attempt
        turns.renew(self._db, {self._turn_id: turns.Progress(self._attempt, "writing")}, time.time() + 3600)
        part = {"type": "part", "part": 0, "parts": 1, "kind": "chat", "role": "character", "name": "Mara"}
        return [{"type": "state", "state": "writing"}, {**part, "message": None}]


def tell(redis: Redis, tales: list[TurnTeller], every_s: float, enough: threading.Event) -> None:
    """Tell all of them until it is enough; then each one comes to its end."""
    due, over = time.monotonic(), False
    while not over:
        over = enough.wait(max(0.0, due - time.monotonic()))
        if over:
            tales = [tale for tale in tales if tale.hurry()]
        batches = [tale.next() for tale in tales]
        for event in (event for batch in batches for event in batch.events if "at" in event):
            event["at"] = time.monotonic_ns()
        events.append_all(redis, batches)
        due += every_s


def main() -> int:
    database_url, redis_url, per_s, reply_s, *wanted = sys.argv[1:]
    db, redis, enough = Database(database_url), connect(redis_url), threading.Event()
    tales = [TurnTeller(db, one, int(float(per_s) * float(reply_s))) for one in wanted]
    registry.announce(redis, registry.WorkerView(NAME, "none", len(tales), 0, (), 0.0), ttl_s=3600)
    threading.Thread(target=lambda: (sys.stdin.read(), enough.set()), daemon=True).start()
    tell(redis, tales, 1 / float(per_s), enough)
    return 0


if __name__ == "__main__":
    sys.exit(main())
