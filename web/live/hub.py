"""The hub: fans out live messages from one Redis pub/sub connection per process to the tabs that watch a chat.

What it does: subscribes to the channels of all chats by one pattern and delivers each message to the tabs on that chat.
What is for all tabs of one person goes to every tab, which knows whose it is (tab_session.py).
A second thread beats every two seconds, so that each tab can look for events that pub/sub has lost. When the queue of a
worker moves, the hub tells all tabs, five times per second at most.
Delivery never blocks: a tab that is too slow is dropped.
What it refuses to know: what a message means (viewer.py), web sockets, SQL.
A new live message needs nothing here: web/live/protocol/__init__.py has the recipe.
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
from web.live.protocol.to_tab import Frame

BEAT_S = 2.0
MOVED_S = 0.2
RETRY_S = 0.5
RESTARTS = marked("The server restarts. This page comes back by itself.")
log = logging.getLogger(__name__)


class Tab(Protocol):
    """What the hub needs of an open tab. Every method returns at once."""

    def deliver(self, frame: Frame) -> None:
        """A live message of the chat that the tab watches, or one for every tab."""

    def beat(self, reads: BeatReads) -> None:
        """Look for what may have been lost; `reads` has what is the same for all tabs."""

    def queues_moved(self) -> None:
        """The places of waiting turns may have changed."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame with this code."""

    def abort(self) -> None:
        """End the connection now."""


class Hub:
    """The open tabs of this process, the chat that each watches, and the threads that serve them."""

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
        """Start the threads. Call once, in the process that serves."""
        for name, target in (("hub", self._run), ("hub-beat", self._beat)):
            thread = threading.Thread(target=target, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Close every tab with 1012 (service restart); abort the tabs that are not closed within `timeout_s`."""
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
        """Whether the subscription is active within `timeout_s`."""
        return self._listening.wait(timeout_s)

    @property
    def listening(self) -> bool:
        """Whether the subscription is active."""
        return self._listening.is_set()

    def join(self, tab: Tab) -> None:
        """Add a tab that was opened; it gets beats, and live messages once it watches a chat."""
        with self._lock:
            self._tabs[tab] = None
        if self._stopping.is_set():
            tab.close(1012, RESTARTS)

    def leave(self, tab: Tab) -> None:
        """Remove a tab that was closed."""
        self.watch(tab, None)
        with self._lock:
            self._tabs.pop(tab, None)
            self._lock.notify_all()

    def watch(self, tab: Tab, chat_id: str | None) -> None:
        """Let the tab get the live messages of this chat from now on, and of no other."""
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

    def publish(self, chat_id: str, frame: Frame) -> None:
        """Deliver to every tab on this chat, in all processes; while Redis is down, to those of this process."""
        try:
            events.publish_unnumbered(self._redis, chat_id, frame)
        except RedisError:
            self._fan_out(chat_id, frame)

    def publish_titled(self, person_id: str, chat_id: str) -> None:
        """Tell every tab of this person, in all processes, that their story has another title; see `publish`."""
        try:
            events.publish_titled(self._redis, person_id, chat_id)
        except RedisError:
            self.broadcast(events.titled(person_id, chat_id))

    def broadcast(self, frame: Frame) -> None:
        """Deliver to every tab of this process."""
        live = LiveMessage(frame)
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
            pubsub.subscribe(keys.queues_channel(), keys.people_channel())
            while not self._stopping.is_set():
                message = pubsub.get_message(timeout=0.25)
                if message is not None:
                    self._handle(message)
                self._announce_moves()

    def _handle(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "psubscribe":  # also after a silent reconnect: messages sent meanwhile are lost
            self._listening.set()
            self._beat_now.set()
        elif message["type"] == "message" and message["channel"] == keys.queues_channel().encode():
            self._moved = True
        elif message["type"] in ("message", "pmessage"):
            frame = _decode(message["data"])
            if frame is not None and "chat" in frame:
                self._fan_out(str(frame["chat"]), frame, message["data"])
            elif frame is not None:
                self.broadcast(frame)

    def _fan_out(self, chat_id: str, frame: Frame, raw_json: bytes = b"") -> None:
        with self._lock:
            tabs = list(self._chats.get(chat_id, ()))
        live = LiveMessage(frame, raw_json)
        for tab in tabs:
            tab.deliver(live)

    def _announce_moves(self, clock: Callable[[], float] = time.monotonic) -> None:
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
        frame = json.loads(data)
    except ValueError:
        log.warning("A live message that is not JSON was ignored: %r", data[:80])
        return None
    return frame if isinstance(frame, dict) else None
