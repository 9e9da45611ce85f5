"""What one tab is shown: opens a chat for it, forwards events in order, and looks after what pub/sub may have lost.

What it does: watches first, then takes the snapshot, then replays the stream, then forwards what is newer (no hole, no
double). At every beat it looks where the stream of the running turn ends and reads on when that is news, and when SQL
says that the turn has ended and the stream does not tell it for GRACE_S (Redis was emptied), it sends a new snapshot.
A turn that a snapshot shows as ended is not told again.
What it refuses to know: sockets and threads. One thread, the tab's writer, calls it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError

from store import chats, message_pages, turns
from store.broker import queue
from store.errors import NotFound
from store.views import ChatView, TurnView
from web import serializers
from web.live import snapshot
from web.live.beat_reads import BeatReads, read_stream
from web.live.event_cursor import ENDS, EventCursor, EventVerdict
from web.live.outgoing import LiveMessage
from web.services import Services

Event = Mapping[str, Any]
WAITING = ("waiting", "queued")
GRACE_S = 1.0  # a worker commits the end of a turn first, and tells it then


class Viewer:
    """The state of one tab: its chat, its running turn, and how far it has been told."""

    def __init__(self, services: Services, user_id: str, send: Callable[[Mapping[str, Any]], None]) -> None:
        self._services = services
        self._user_id = user_id
        self._send = send
        self._chat_id: str | None = None
        self._turn_id: str | None = None
        self._revision = 0
        self._shown_revision = 0  # of the newest snapshot
        self._overdue: tuple[str, float] | None = None  # a turn that has ended in SQL, and since when we know
        self._cursor = EventCursor()
        self._waiting = False  # the running turn has not begun
        self._place: Mapping[str, Any] | None = None
        self._memory_from = 0

    def open(self, chat_id: str, turn_id: str | None, after_seq: int, stream: str | None = None) -> None:
        """Send the snapshot of a chat that is already being watched, then the events of its running turn.

        `after_seq`: the tab already has the events of `turn_id` up to this one, of this `stream`. When that turn is
        over, the snapshot says how it ended: the tab was waiting for it. Raises NotFound.
        """
        with snapshot.SNAPSHOT_SLOTS:
            shot = snapshot.take(self._services.database, self._user_id, chat_id)
            running = shot.turn.id if shot.turn else None
            after = after_seq if running == turn_id else 0
            opened = {**shot.payload(after), "ended": self._ended(chat_id, turn_id, running)}
            told = read_stream(self._services.redis, running, after) if running else ()
        self._chat_id, self._turn_id, self._revision = chat_id, running, shot.revision
        self._shown_revision = shot.revision
        self._cursor = EventCursor()
        self._waiting, self._place = bool(shot.turn and shot.turn.state in WAITING), None
        self._memory_from = opened["memory"]["from"]
        self._send(opened)
        if shot.turn and running:
            self._cursor.resume(running, after, stream if after else None)
            self._forward_missing(told)
            self._say_place(shot.turn)

    def _ended(self, chat_id: str, turn_id: str | None, running: str | None) -> dict[str, Any] | None:
        """How the turn that a tab was waiting for has ended; None if it waits for none, or that one is not over."""
        if turn_id is None or turn_id == running:
            return None
        try:
            waited = turns.get_turn(self._services.database, turn_id)
        except NotFound:  # it has never come here: the tab sends it again
            return None
        return serializers.ended_json(waited) if waited.chat_id == chat_id and waited.ended else None

    def event(self, event: Event) -> None:
        """A live message of the chat."""
        if event.get("chat") != self._chat_id:
            return
        live = event if isinstance(event, LiveMessage) else LiveMessage(event)
        if "seq" not in live:
            self._unsequenced(live)
            return
        verdict = self._cursor.judge(live)
        if verdict is EventVerdict.GAP:
            turn_id = str(live["turn"])
            after = self._cursor.last_seq(turn_id)
            self._forward_missing(
                live.once(("after", after), lambda: read_stream(self._services.redis, turn_id, after))
            )
        else:
            self._act(verdict, live)

    @property
    def busy(self) -> bool:
        """Whether a turn is under way, so that something may be lost. May be asked from any thread."""
        return self._turn_id is not None

    @property
    def waiting(self) -> bool:
        """Whether that turn has not begun. May be asked from any thread."""
        return self._waiting

    def beat(self, reads: BeatReads) -> None:
        """Look for what may have been lost: events, the whole stream, or the end of the turn."""
        self._look(reads, GRACE_S)

    def _look(self, reads: BeatReads, grace_s: float) -> None:
        chat_id, turn_id = self._chat_id, self._turn_id
        if turn_id is None or chat_id is None:
            return
        turn, tail = reads.turn(turn_id), reads.tail(turn_id)
        if tail and not self._cursor.has_all(turn_id, tail.seq, tail.stream):
            after = self._cursor.known(turn_id, tail.stream)
            if not self._forward_missing(reads.missing(turn_id, after)):
                return
        if self._cursor.ended(turn_id):
            return
        if not turn.ended:
            self._say_place(turn)
        elif self._waited_s(turn_id, reads.at) >= grace_s:
            self.open(chat_id, turn_id, 0)

    def _waited_s(self, turn_id: str, now: float) -> float:
        """How long it is known that this turn has ended."""
        if self._overdue is None or self._overdue[0] != turn_id:
            self._overdue = turn_id, now
        return now - self._overdue[1]

    def say_place(self) -> None:
        """Say where the turn stands, if it waits: queues have moved."""
        if self._waiting and self._turn_id is not None:
            self._say_place(turns.get_turn(self._services.database, self._turn_id))

    def _unsequenced(self, event: LiveMessage) -> None:
        """`setup`, `memory`, or `changed`: a newer revision, a turn begun elsewhere, an end that no stream tells."""
        if event.get("type") == "setup":
            self._say_setup(event)
            return
        if event.get("type") == "memory":
            self._say_memory(event)
            return
        revision, turn_id = int(event.get("revision", 0)), event.get("turn")
        if turn_id is not None and turn_id == self._turn_id and event.get("ended"):
            self._look(event.once("pulse", lambda: BeatReads(self._services.database, self._services.redis)), 0.0)
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
            self._say_memory(event)

    def _say_setup(self, event: LiveMessage) -> None:
        """How the chat is set up now, whatever was said when."""
        chat = self._chat_now(event)
        self._send({"type": "setup", "chat": chat.id, **serializers.setup_json(chat)})

    def _say_memory(self, event: LiveMessage) -> None:
        """Say where the model's memory begins, if the turn that has ended has moved it."""
        chat = self._chat_now(event)
        begins = serializers.memory_begins(chat)
        if begins != self._memory_from:
            self._memory_from = begins
            forgotten = event.once(
                "forgotten", lambda: message_pages.n_forgotten(self._services.database, chat.id, begins)
            )
            self._send({"type": "memory", "chat": chat.id, **serializers.memory_json(chat, forgotten)})

    def _chat_now(self, event: LiveMessage) -> ChatView:
        """The chat as it is after this event: one of its tabs reads it for all of them."""
        whose = self._user_id, str(self._chat_id)
        return event.once(("chat", *whose), lambda: chats.get_chat(self._services.database, *whose))

    def _forward_missing(self, stream: Sequence[LiveMessage]) -> bool:
        """False when the chat was opened anew."""
        if stream and self._is_shown(stream[-1]):
            self._cursor.end(str(stream[-1]["turn"]))
        return all(self._act(self._cursor.judge(event), event) for event in stream)

    def _is_shown(self, event: LiveMessage) -> bool:
        """Whether this ends a turn that was over when the snapshot was taken: the tab has all that came of it."""
        if event["turn"] == self._turn_id or event["type"] not in ENDS:
            return False
        revision = event.get("revision")
        return revision is not None and int(revision) <= self._shown_revision

    def _act(self, verdict: EventVerdict, event: LiveMessage) -> bool:
        """False when the chat was opened anew: Redis was emptied, and the turn has another stream."""
        if verdict is EventVerdict.SEND:
            self._forward(event)
        elif verdict is EventVerdict.LOST and self._chat_id is not None:
            self.open(self._chat_id, self._turn_id, 0)
            return False
        return True

    def _say_place(self, turn: TurnView) -> None:
        """While the turn waits: how many are ahead, and for how long. Not part of the stream, so without a number."""
        if turn.state not in WAITING:
            return
        try:
            place = queue.queue_place(self._services.redis, turn)
        except RedisError:
            return
        eta_s = None if place.eta_s is None else round(place.eta_s, 1)
        whose = {"type": "place", "turn": turn.id, "chat": turn.chat_id, "state": turn.state}
        said = {**whose, "ahead": place.ahead, "eta_s": eta_s}
        if said != self._place:
            self._place = said
            self._send(said)


def announce_change(services: Services, turn: TurnView, revision: int) -> None:
    """Tell every tab on the chat that a turn began or ended, for those that have not heard it from the stream.

    `revision`: the chat's.
    """
    change = {"type": "changed", "chat": turn.chat_id, "revision": revision, "turn": turn.id, "ended": turn.ended}
    services.hub.publish(turn.chat_id, change)
