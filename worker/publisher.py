"""The publisher: turns what the engine says into live events, a few Redis calls per second and turn.

What it does: one `Feed` per attempt at a turn collects states and text; a helper thread sends what there is, the events
of all feeds in one call, and the next call comes 6 ms later for each feed that had something to say, 40 ms at most. So
what comes after a silence (a first token) leaves at once, and a lane never waits for Redis while it writes. For every
word this thread wakes and computes on the CPUs that decode the next one, so it does as little as it can.
What it refuses to know: SQL, the engine, what a browser does with an event.
When Redis is away nothing is lost and nobody waits: events stay with their feed and are sent when it answers again; a
feed that has ended keeps trying for `KEEP_S`. When Redis came back without its last second, or empty, it takes nothing
of a feed that knows more; the feed then says all its text once more from offset 0, in a stream that begins anew. The
live events are a convenience, the transcript in SQL is the truth.
When extending: a new kind of event needs a line in store/broker/events.py first, then a method of `Feed`.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from store.broker import events

log = logging.getLogger(__name__)

INTERVAL_S = 0.04  # the longest rest between two calls
REST_S = 0.006  # the rest for one feed: shorter than a token takes, so that on its own a chat never waits
GATHER_S = 0.001  # what is said together goes together: a state, and the text behind it
PROGRESS_S = 0.25  # reading progress is sent at most this often
RETRY_S = 0.5
KEEP_S = 60.0

SAID_TYPES = ("part", "text")

Event = dict[str, Any]
Append = Callable[[Sequence[events.Batch]], list[events.Answer]]


class TurnEventBuffer:
    """The live events of one attempt at one turn. Any thread may call any method."""

    def __init__(self, publisher: Publisher, chat_id: str, turn_id: str, attempt: int) -> None:
        self.chat_id, self.turn_id, self.attempt = chat_id, turn_id, attempt
        self.stale = False
        self.ended_at: float | None = None
        self._publisher = publisher
        self._lock = threading.Lock()  # guards the fields below
        self.sending = threading.Lock()  # held during a call to Redis: keeps events in order
        self._pending: list[Event] = []
        self._parts: list[Event] = []
        self._texts: list[str] = [""]
        self._last_state: Event | None = None
        self._last_progress_s = float("-inf")
        self._known = 0  # the last number that Redis gave

    def text(self, piece: str) -> None:
        """Add a piece of the reply."""
        if not piece:
            return
        with self._lock:
            if self._pending and self._pending[-1]["type"] == "text":
                self._pending[-1]["text"] += piece
            else:
                self._pending.append(self._text_event(len(self._texts) - 1, len(self._texts[-1]), piece))
            self._texts[-1] += piece
        self._publisher.wake(self)

    def part(self, part: int, parts: int, kind: str, role: str, name: str, message: str | None) -> None:
        """The next part of the turn begins: who writes what, and about which message."""
        event = {"type": "part", "part": part, "parts": parts, "kind": kind, "role": role, "name": name}
        with self._lock:
            self._parts.append(event | {"message": message})
            self._texts[part:] = [""]
            self._pending.append(self._parts[-1])
        self._publisher.wake(self)

    def state(self, state: str, **details: Any) -> None:
        """Say what the turn is doing now; repetitions and progress that comes too fast are left out."""
        event = {"type": "state", "state": state, **details}
        with self._lock:
            if event == self._last_state or self._too_soon(event):
                return
            if self._pending and self._pending[-1].get("state") == state:
                self._pending.pop()
            self._pending.append(event)
            self._last_state, self._last_progress_s = event, self._publisher.clock()
        self._publisher.wake(self, gather=True)

    def end(self, event: Event | None = None) -> None:
        """Nothing will follow but `event`; it is sent at once when Redis answers, later when it does not."""
        with self._lock:
            if event is not None:
                self._pending.append(event)
            self.ended_at = self._publisher.clock()
        if not self.flush():
            self._publisher.wake(self)

    def flush(self) -> bool:
        """Send now what has gathered; False when Redis did not take it."""
        return self._publisher.send([self])

    def take(self) -> list[Event]:
        """What has gathered, to be sent by the caller, who holds `sending`; nothing when a newer attempt has spoken."""
        with self._lock:
            batch, self._pending = self._pending, []
        return [] if self.stale else batch

    def put_back(self, batch: list[Event]) -> None:
        """What was taken could not be sent."""
        with self._lock:
            self._pending = _joined(batch, self._pending)

    def sent(self, numbers: events.Answer) -> None:
        """Redis gave what was taken these numbers, or did not take it because a newer attempt has spoken."""
        if isinstance(numbers, events.Refusal):
            self.stale = True
        elif numbers:
            self._known = numbers[-1]

    def retry_of(self, batch: list[Event]) -> list[Event]:
        """Redis has lost some of what was said: all of it, and what else is in the batch, for a new stream."""
        with self._lock:
            whole = self._whole()
            self._pending = [event for event in self._pending if event["type"] not in SAID_TYPES]
        self._known = events.BEGIN_ANEW
        rest = [event for event in batch if event["type"] not in SAID_TYPES]
        ends = [event for event in rest if event["type"] in events.LAST_TYPES]
        return [*(event for event in rest if event not in ends), *whole, *ends]

    def batch(self, batch: list[Event]) -> events.Batch:
        """Events as the store takes them."""
        return events.Batch(self.chat_id, self.turn_id, self.attempt, batch, self._known)

    def _too_soon(self, event: Event) -> bool:
        same = self._last_state is not None and self._last_state["state"] == event["state"]
        finished = event.get("done") is not None and event.get("done") == event.get("total")
        return same and not finished and self._publisher.clock() - self._last_progress_s < PROGRESS_S

    def _whole(self) -> list[Event]:
        """Everything that was said, from the first part on. To be called with the lock held."""
        texts = [self._text_event(part, 0, text) for part, text in enumerate(self._texts)]
        parts = [*self._parts, *([None] * (len(texts) - len(self._parts)))]
        said = [event for pair in zip(parts, texts, strict=True) for event in pair]
        return [event for event in said if event and event.get("text") != ""]

    def _text_event(self, part: int, offset: int, text: str) -> Event:
        return {"type": "text", "part": part, "offset": offset, "text": text}


class Publisher:
    """Owns the helper thread and the Redis connection of all feeds."""

    def __init__(
        self, redis: Redis, interval_s: float = INTERVAL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.redis, self.clock = redis, clock
        self._appender = events.Appender(redis)  # the thread's
        self._interval_s = interval_s
        self._woken: queue.SimpleQueue[tuple[TurnEventBuffer, bool] | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._down = False
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Start the helper thread."""
        self._thread.start()

    def open(self, chat_id: str, turn_id: str, attempt: int) -> TurnEventBuffer:
        """A feed for one attempt at a turn."""
        return TurnEventBuffer(self, chat_id, turn_id, attempt)

    def wake(self, feed: TurnEventBuffer, gather: bool = False) -> None:
        """Have `feed` sent soon; `gather`: something is likely to follow at once."""
        self._woken.put((feed, gather))

    def send(self, feeds: Sequence[TurnEventBuffer], append: Append | None = None) -> bool:
        """Send what has gathered in these feeds, in one call; False when Redis did not take all of it.

        Raises what is wrong with an event that cannot be sent: on its own it is dropped, among others nothing is.
        """
        append = append or partial(events.append_all, self.redis)
        with ExitStack() as held:
            for feed in feeds:
                held.enter_context(feed.sending)
            taken = {feed: batch for feed in feeds if (batch := feed.take())}
            try:
                self._append(taken, append)
            except Exception as error:
                if isinstance(error, RedisError) or len(feeds) > 1:
                    for feed, batch in taken.items():
                        feed.put_back(batch)
                if not isinstance(error, RedisError):
                    raise
                self._failed(error)
                return False
        return True

    def _append(self, taken: dict[TurnEventBuffer, list[Event]], append: Append) -> None:
        """Send it, and leave in `taken` what was not sent."""
        if not taken:
            return
        while taken:  # the second time those of whom Redis has lost something: they begin anew, and cannot be refused
            answers = append([feed.batch(batch) for feed, batch in taken.items()])
            for feed, numbers in zip(list(taken), answers, strict=True):
                if numbers is events.Refusal.LOST:
                    taken[feed] = feed.retry_of(taken[feed])
                else:
                    feed.sent(numbers)
                    del taken[feed]
        if self._down:
            log.info("Redis takes live events again")
        self._down = False

    def _failed(self, error: RedisError) -> None:
        """Redis did not answer: say it once."""
        if not self._down:
            log.warning("Redis does not take live events (%s): they wait until it does", error)
        self._down = True

    def close(self, timeout_s: float = 1.0) -> None:
        """Send what is left, if Redis answers, and end the thread."""
        self._closed.set()
        self._woken.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        next_at = 0.0
        while not self._closed.is_set():
            feeds, gather = self._wait_for_work()
            pause_s = max(next_at - time.monotonic(), GATHER_S if gather else 0.0)
            if pause_s > 0:
                self._closed.wait(pause_s)
                feeds |= self._more_work()
            self._send_what_there_is(feeds)
            next_at = time.monotonic() + (RETRY_S if self._down else min(self._interval_s, REST_S * len(feeds)))
        self._send_what_there_is(self._more_work())
        self._appender.close()

    def _wait_for_work(self) -> tuple[set[TurnEventBuffer], bool]:
        """Those who have something to say, and whether more of it is likely to follow at once."""
        first = self._woken.get()
        gather = first is not None and first[1]
        return ({first[0]} if first else set()) | self._more_work(), gather

    def _more_work(self) -> set[TurnEventBuffer]:
        more = set()
        while not self._woken.empty():
            if (woken := self._woken.get()) is not None:
                more.add(woken[0])
        return more

    def _send_what_there_is(self, feeds: set[TurnEventBuffer]) -> None:
        """Send, whatever happens."""
        try:
            sent = self.send(list(feeds), self._appender.append_all)
        except Exception:  # noqa: BLE001 (something that cannot be sent must not take the others along)
            alone = [self._send_alone(feed) for feed in feeds]
            sent = all(alone)
        for feed in feeds:
            if not sent and not self._too_old(feed):
                self.wake(feed)

    def _send_alone(self, feed: TurnEventBuffer) -> bool:
        try:
            return self.send([feed])
        except Exception:
            log.exception("the publisher met an error and goes on")
            return True

    def _too_old(self, feed: TurnEventBuffer) -> bool:
        return feed.ended_at is not None and self.clock() - feed.ended_at > KEEP_S


def _joined(first: list[Event], then: list[Event]) -> list[Event]:
    """Two runs of events as one; text that touches becomes one event again."""
    if first and then and first[-1]["type"] == then[0]["type"] == "text":
        joined = {**first[-1], "text": first[-1]["text"] + then[0]["text"]}
        return [*first[:-1], joined, *then[1:]]
    return [*first, *then]
