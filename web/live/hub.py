"""Fans live messages out: one Redis subscriber thread per process, many tabs.

What it does: listens to the channels of all chats with one pattern subscription and posts every message to the tabs
that watch the chat. A thread of its own beats every two seconds, so that each tab can look for what pub/sub may have
lost. When the queue of a worker moves it tells all tabs, five times per second at most.
What it refuses to know: what a message means, web sockets, SQL. Posting never blocks: a slow tab is dropped.
To extend: another kind of live message needs nothing here, only a channel that matches the pattern.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from redis import Redis
from redis.exceptions import RedisError

from store.broker import events, keys
from web.i18n.language import marked
from web.live.beat_reads import BeatReads
from web.live.outgoing import LiveMessage

BEAT_S = 2.0
MOVED_S = 0.2
RETRY_S = 0.5
RESTARTS = marked("The house restarts. This page comes back by itself.")
log = logging.getLogger(__name__)
Payload = Mapping[str, Any]


class Tab(Protocol):
    """What the hub needs of an open tab. Every method returns at once."""

    def deliver(self, payload: Payload) -> None:
        """A message of the chat that the tab watches."""

    def beat(self, reads: BeatReads) -> None:
        """Look for what may have been lost; `pulse` has what is the same for all tabs."""

    def queues_moved(self) -> None:
        """Places in the queues may be others now."""

    def close(self, code: int, reason: str) -> None:
        """Say goodbye with this web socket close code."""

    def abort(self) -> None:
        """End it now."""


class Hub:
    """Which tab watches which chat, and the thread that listens to Redis for them."""

    def __init__(self, redis: Redis, reads: Callable[[], BeatReads], beat_s: float = BEAT_S) -> None:
        self._redis = redis
        self._new_reads = reads
        self._beat_s = beat_s
        self._lock = threading.Condition()
        self._chats: dict[str, set[Tab]] = {}
        self._tabs: dict[Tab, str | None] = {}
        self._stopping = threading.Event()
        self._listening = threading.Event()
        self._threads: list[threading.Thread] = []
        self._beat_now = threading.Event()
        self._moved = False
        self._next_moved = 0.0

    def start(self) -> None:
        """Begin to listen. Call once, in the process that serves."""
        for name, target in (("hub", self._run), ("hub-beat", self._beat)):
            thread = threading.Thread(target=target, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Close every tab with 1012 (service restart), those that do not answer in time the hard way."""
        self._stopping.set()
        self._beat_now.set()
        for tab in self.tabs():
            tab.close(1012, RESTARTS)
        with self._lock:
            self._lock.wait_for(lambda: not self._tabs, timeout_s)
        for tab in self.tabs():
            tab.abort()
        for thread in self._threads:
            thread.join(timeout_s)

    def wait_until_listening(self, timeout_s: float) -> bool:
        """Whether the subscription stands within the time given."""
        return self._listening.wait(timeout_s)

    @property
    def listening(self) -> bool:
        """Whether live messages arrive at the moment."""
        return self._listening.is_set()

    def join(self, tab: Tab) -> None:
        """A tab was opened; it gets beats, and messages once it watches a chat."""
        with self._lock:
            self._tabs[tab] = None
        if self._stopping.is_set():
            tab.close(1012, RESTARTS)

    def leave(self, tab: Tab) -> None:
        """A tab was closed."""
        self.watch(tab, None)
        with self._lock:
            self._tabs.pop(tab, None)
            self._lock.notify_all()

    def watch(self, tab: Tab, chat_id: str | None) -> None:
        """From now on the tab gets the messages of this chat and of no other."""
        with self._lock:
            before = self._tabs.get(tab)
            if before is not None:
                self._chats[before].discard(tab)
                if not self._chats[before]:
                    del self._chats[before]
            if tab in self._tabs:
                self._tabs[tab] = chat_id
                if chat_id is not None:
                    self._chats.setdefault(chat_id, set()).add(tab)

    def tabs(self) -> list[Tab]:
        """Every open tab."""
        with self._lock:
            return list(self._tabs)

    def publish(self, chat_id: str, payload: Payload) -> None:
        """Tell every tab on this chat, in all processes; without Redis, at least those of this process."""
        try:
            events.publish(self._redis, chat_id, payload)
        except RedisError:
            self._fan_out(chat_id, payload)

    def broadcast(self, payload: Payload) -> None:
        """Tell every tab of this process."""
        live = LiveMessage(payload)
        for tab in self.tabs():
            tab.deliver(live)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except RedisError as error:
                if self._listening.is_set():
                    log.warning("Live messages stopped: Redis does not answer (%s). Trying again.", error)
                self._listening.clear()
                self._stopping.wait(RETRY_S)

    def _listen(self) -> None:
        with self._redis.pubsub() as pubsub:  # type: ignore[no-untyped-call]
            pubsub.psubscribe(keys.chat_channel("*"))
            pubsub.subscribe(keys.queues_channel())
            while not self._stopping.is_set():
                message = pubsub.get_message(timeout=0.25)
                if message is not None:
                    self._handle(message)
                self._tell_if_moved()

    def _handle(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "psubscribe":  # also after a silent reconnect: whatever was sent meanwhile is lost
            self._listening.set()
            self._beat_now.set()
        elif message["type"] == "message":
            self._moved = True
        elif message["type"] == "pmessage":
            payload = _decode(message["data"])
            if payload is not None:
                self._fan_out(str(payload.get("chat", "")), payload, message["data"])

    def _fan_out(self, chat_id: str, payload: Payload, as_it_came: bytes = b"") -> None:
        with self._lock:
            watchers = list(self._chats.get(chat_id, ()))
        live = LiveMessage(payload, as_it_came)
        for tab in watchers:
            tab.deliver(live)

    def _tell_if_moved(self, clock: Callable[[], float] = time.monotonic) -> None:
        if self._moved and clock() >= self._next_moved:
            self._moved = False
            self._next_moved = clock() + MOVED_S
            for tab in self.tabs():
                tab.queues_moved()

    def _beat(self) -> None:
        while not self._stopping.is_set():
            self._beat_now.wait(self._beat_s)
            self._beat_now.clear()
            reads = self._new_reads()
            for tab in self.tabs():
                tab.beat(reads)


def _decode(data: bytes | str) -> dict[str, Any] | None:
    try:
        payload = json.loads(data)
    except ValueError:
        log.warning("A live message that is not JSON was ignored: %r", data[:80])
        return None
    return payload if isinstance(payload, dict) else None
