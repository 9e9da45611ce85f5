"""The viewer of a tab: sends the snapshot of a chat, then its live events in order, without gaps.

What it does: 1. the hub watches the chat for this tab; 2. the snapshot is sent; 3. the stream of the running turn is
replayed from the last event that the tab has; 4. live events follow. event_cursor.py judges each event, and what
pub/sub has lost is read from the stream (gap_refill.py). When SQL says that the turn has ended and its stream does not
say so for GRACE_S, or the stream is another one (Redis was emptied), the tab gets a new snapshot.
What it refuses to know: sockets and threads. One thread, the writer of the tab, calls it.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError

from store import chats, message_pages, turns
from store.broker import queue
from store.errors import NotFound, StoreError
from store.views import ChatView, TurnView
from web import serializers
from web.live import snapshot
from web.live.beat_reads import BeatReads, read_stream
from web.live.event_cursor import EventCursor, EventVerdict
from web.live.gap_refill import is_in_snapshot, refill
from web.live.outgoing import LiveMessage
from web.live.protocol.to_tab import Changed, Frame, Memory, Place, SetUp, Titled
from web.serializers import EndedJson
from web.services import Services

WAITING = ("waiting", "queued")
GRACE_S = 1.0  # a worker commits the end of a turn in SQL first and publishes it then


class Viewer:
    """The state of one tab: its chat, its running turn, and which events it has."""

    def __init__(self, services: Services, user_id: str, send: Callable[[Frame], None]) -> None:
        self._services = services
        self._user_id = user_id
        self._send = send
        self._chat_id: str | None = None
        self._turn_id: str | None = None
        self._revision = 0
        self._shown_revision = 0  # of the newest snapshot
        self._end_seen: tuple[str, float] | None = None  # a turn that has ended in SQL, and when a beat first saw it
        self._cursor = EventCursor()
        self._waiting = False  # the turn is still in the queue
        self._place: Place | None = None  # as it was last sent
        self._memory_from = 0

    def open(self, chat_id: str, turn_id: str | None, after_seq: int, stream: str | None = None) -> None:
        """Send the snapshot of a chat that is already being watched, then the events of its running turn.

        `after_seq`: the tab already has the events of `turn_id` up to this one, of this `stream`. When that turn is
        over, the snapshot says how it ended: the tab was waiting for it. Raises NotFound.
        """
        with snapshot.SLOTS:
            shot = snapshot.take(self._services.database, self._user_id, chat_id)
            running = shot.turn.id if shot.turn else None
            after = after_seq if running == turn_id else 0
            opened = shot.opened(after, self._ended(chat_id, turn_id, running))
            replay = read_stream(self._services.redis, running, after) if running else ()
        self._chat_id, self._turn_id, self._revision = chat_id, running, shot.revision
        self._shown_revision = shot.revision
        self._cursor = EventCursor()
        self._waiting, self._place = bool(shot.turn and shot.turn.state in WAITING), None
        self._memory_from = opened["memory"]["from"]
        self._send(opened)
        if shot.turn and running:
            self._cursor.resume(running, after, stream if after else None)
            self._fill_gap(replay)
            self._send_place(shot.turn)

    def _ended(self, chat_id: str, turn_id: str | None, running: str | None) -> EndedJson | None:
        """How the turn that the tab was waiting for has ended; None if it waits for none, or the turn is not over."""
        if turn_id is None or turn_id == running:
            return None
        try:
            waited = turns.get_turn(self._services.database, turn_id)
        except NotFound:  # the command never arrived: the tab sends it again
            return None
        return serializers.ended_json(waited) if waited.chat_id == chat_id and waited.ended else None

    def event(self, event: Mapping[str, Any]) -> None:
        """A live message of a chat, from the hub."""
        if event.get("chat") != self._chat_id:
            return
        live = event if isinstance(event, LiveMessage) else LiveMessage(event)
        if "seq" not in live:
            self._notice(live)
            return
        verdict = self._cursor.judge(live)
        if verdict is EventVerdict.GAP:
            turn_id = str(live["turn"])
            after = self._cursor.last_seq(turn_id)
            self._fill_gap(live.once(("after", after), lambda: read_stream(self._services.redis, turn_id, after)))
        else:
            self._act(verdict, live)

    def titled(self, event: Mapping[str, Any]) -> None:
        """A story of the person, whichever it is, has another title: send the one that it has now."""
        user_id, chat_id = self._user_id, str(event["story"])
        live = event if isinstance(event, LiveMessage) else LiveMessage(event)
        with contextlib.suppress(StoreError):  # it was deleted meanwhile, or is not for their age
            chat = live.once("titled", lambda: chats.get_chat(self._services.database, user_id, chat_id))
            self._send(Titled(type="titled", story=chat.id, title=chat.title))

    @property
    def busy(self) -> bool:
        """Whether a turn is under way, so that events may get lost. Safe from any thread."""
        return self._turn_id is not None

    @property
    def waiting(self) -> bool:
        """Whether the turn is still in the queue. Safe from any thread."""
        return self._waiting

    def beat(self, reads: BeatReads) -> None:
        """Every two seconds: find what pub/sub has lost: events, the whole stream, or the end of the turn."""
        self._catch_up(reads, GRACE_S)

    def _catch_up(self, reads: BeatReads, grace_s: float) -> None:
        """Refill a gap at the end of the stream; open the chat again `grace_s` after an end that no stream tells."""
        chat_id, turn_id = self._chat_id, self._turn_id
        if turn_id is None or chat_id is None:
            return
        turn, tail = reads.turn(turn_id), reads.tail(turn_id)
        if tail and not self._cursor.has_all(turn_id, tail.seq, tail.stream):
            after = self._cursor.last_seq(turn_id, tail.stream)
            if not self._fill_gap(reads.missing(turn_id, after)):
                return
        if self._cursor.ended(turn_id):
            return
        if not turn.ended:
            self._send_place(turn)
        elif self._ended_for_s(turn_id, reads.at) >= grace_s:
            self.open(chat_id, turn_id, 0)

    def _ended_for_s(self, turn_id: str, now: float) -> float:
        """Seconds since a beat first saw that this turn has ended in SQL."""
        if self._end_seen is None or self._end_seen[0] != turn_id:
            self._end_seen = turn_id, now
        return now - self._end_seen[1]

    def queues_moved(self) -> None:
        """Send the place of a waiting turn again, if it is another one now."""
        if self._waiting and self._turn_id is not None:
            self._send_place(turns.get_turn(self._services.database, self._turn_id))

    def _notice(self, event: LiveMessage) -> None:
        """A message without a number: `setup`, `memory`, or `changed` (a newer revision, a turn begun or ended)."""
        if event.get("type") == "setup":
            self._send_setup(event)
            return
        if event.get("type") == "memory":
            self._send_memory(event)
            return
        revision, turn_id = int(event.get("revision", 0)), event.get("turn")
        if turn_id is not None and turn_id == self._turn_id and event.get("ended"):
            self._catch_up(event.once("reads", lambda: BeatReads(self._services.database, self._services.redis)), 0.0)
        elif revision > self._revision or (turn_id is not None and turn_id != self._turn_id):
            self._revision = max(revision, self._revision)
            self._send(event)

    def _forward(self, event: LiveMessage) -> None:
        turn_id = str(event["turn"])
        ended = self._cursor.ended(turn_id)
        self._turn_id = None if ended else turn_id
        self._revision = max(self._revision, int(event.get("revision") or 0))
        self._waiting = event.get("state") in WAITING
        self._place = None
        self._send(event)
        if ended:
            self._send_memory(event)

    def _send_setup(self, event: LiveMessage) -> None:
        """Send how the chat is set up now; a notice may be older than that."""
        chat = self._chat_now(event)
        self._send(SetUp(type="setup", chat=chat.id, **serializers.setup_json(chat)))

    def _send_memory(self, event: LiveMessage) -> None:
        """Send where the model's context window begins, if it has moved or a note was written."""
        chat = self._chat_now(event)
        begins = serializers.memory_begins(chat)
        if begins != self._memory_from or event.get("notes"):
            self._memory_from = begins
            forgotten = event.once(
                "forgotten", lambda: message_pages.n_forgotten(self._services.database, chat.id, begins)
            )
            memory: Memory = {"type": "memory", "chat": chat.id, **serializers.memory_json(chat, forgotten)}
            self._send(memory)

    def _chat_now(self, event: LiveMessage) -> ChatView:
        """The chat as it is after this event; the first of its tabs reads it for all of them."""
        user_id, chat_id = self._user_id, str(self._chat_id)
        return event.once(("chat", user_id), lambda: chats.get_chat(self._services.database, user_id, chat_id))

    def _fill_gap(self, missing: Sequence[LiveMessage]) -> bool:
        """Forward the events that the stream has after the cursor. False when the chat was opened again instead."""

        def is_told(event: LiveMessage) -> bool:
            return is_in_snapshot(event, self._turn_id, self._shown_revision)

        return refill(self._cursor, missing, is_told, self._act)

    def _act(self, verdict: EventVerdict, event: LiveMessage) -> bool:
        """False when the chat was opened again: Redis was emptied, and the turn has another stream."""
        if verdict is EventVerdict.FORWARD:
            self._forward(event)
        elif verdict is EventVerdict.STREAM_LOST and self._chat_id is not None:
            self.open(self._chat_id, self._turn_id, 0)
            return False
        return True

    def _send_place(self, turn: TurnView) -> None:
        """While the turn is in the queue: send how many turns are ahead and the estimated wait, if that has changed."""
        if turn.state not in WAITING:
            return
        try:
            place = queue.queue_place(self._services.redis, turn)
        except RedisError:
            return
        eta_s = None if place.eta_s is None else round(place.eta_s, 1)
        frame = Place(type="place", turn=turn.id, chat=turn.chat_id, state=turn.state, ahead=place.ahead, eta_s=eta_s)
        if frame != self._place:
            self._place = frame
            self._send(frame)


def publish_turn_change(services: Services, turn: TurnView, revision: int) -> None:
    """Tell every tab on the chat that a turn began or ended; its stream may be lost, or not be written yet."""
    change = Changed(type="changed", chat=turn.chat_id, revision=revision, turn=turn.id, ended=turn.ended)
    services.hub.publish(turn.chat_id, change)
