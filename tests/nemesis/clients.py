"""Scripted people: each tab is a thread with a web socket that plays, remembers, and comes back when cut off.

What it does: connects with growing pauses, opens its chat, sends turns, sometimes twice, sometimes stops one,
sometimes pulls the plug; keeps what is not acknowledged and sends it again under the same id, as the page does.
Everything sent, heard and acknowledged goes into the history.
What it refuses to know: faults, and what is right or wrong.
"""

import threading
import time
import uuid
from dataclasses import dataclass

from tests.harness.socket_client import SocketClient
from tests.nemesis import people
from tests.nemesis.screen import ENDS, Screen

PAUSES_S = (0.2, 0.4, 0.8, 1.5, 2.5)
SILENT_S, ANSWER_S = 6.0, 12.0
NOT_NOW_S = 2.0
DEFINITE = frozenset({"moved_on", "busy", "too_many_waiting", "nothing_to_retry", "nothing_to_continue", "bad_kind"})
KINDS = (*("chat",) * 6, "retry", "retry", "continue", "continue", "narrate", "suggest", "status")
THEN = (*((),) * 8, ("narrate",), ("suggest",), ("status",), ("narrate", "suggest", "status"))


@dataclass
class Habits:
    """How the people of a run behave; changed by the runner while they play."""

    kinds: tuple[str, ...] = KINDS
    then: tuple[tuple[str, ...], ...] = THEN
    think_s: float = 0.6
    turns_per_chat: int = 10
    p_twice: float = 0.1
    p_old_again: float = 0.05
    p_stop: float = 0.08
    unplug_every_s: float = 25.0
    quiet: bool = False  # nobody begins anything
    leaving: bool = False  # everybody goes home


class Tab(threading.Thread):
    """One window of one person."""

    def __init__(self, installation, person, number, rng, history, habits):
        super().__init__(name=f"{person.number:02d}.{number}", daemon=True)
        self.installation, self.person, self.number = installation, person, number
        self.rng, self.history, self.habits = rng, history, habits
        self.chat = person.chats[-1]
        self.screen, self.unsent, self.line = Screen(), None, 0
        self.trouble = None
        self._socket = None
        self._n_sent, self._n_failures, self._opening = 0, 0, False
        self._acked = []
        self._next_at = self._heard_at = self._pinged_at = self._reopen_at = 0.0
        self._stop_at = None

    # -- for the runner ------------------------------------------------------------------------------------------------

    @property
    def up(self):
        """Whether the line stands and the chat is shown."""
        return self._socket is not None and self.screen.opened

    @property
    def idle(self):
        """Whether this window waits for nothing."""
        return self.up and self.screen.turn is None and self.unsent is None

    def run(self):
        while not self.habits.leaving:
            try:
                self._connect()
                self._n_failures = 0
                self._talk()
            except OSError as error:
                self._note("down", body=f"{type(error).__name__}: {error}")
                self._n_failures += 1
            except Exception as error:  # noqa: BLE001 (a window that breaks is itself a finding)
                self.trouble = f"{type(error).__name__}: {error}"
                self._note("down", body=self.trouble)
                self._n_failures += 1
            self._hang_up()
            self._pause()

    # -- the line ------------------------------------------------------------------------------------------------------

    def _connect(self):
        self._hang_up()
        addresses = self.installation.addresses  # as a proxy would: the next one when this one does not answer
        address = addresses[(self.person.number + self.number + self._n_failures) % len(addresses)]
        self.line += 1
        self._socket = SocketClient(address, self.person.cookie)
        self._note("up")

    def _talk(self):
        now = time.monotonic()
        self._heard_at = self._pinged_at = now
        self._next_at = max(self._next_at, now + self.rng.random() * self.habits.think_s)
        self._opening = False
        self._open()
        unplug_at = now + self.rng.expovariate(1 / self.habits.unplug_every_s)
        while not self.habits.leaving:
            message = self._socket.poll(0.1)
            now = time.monotonic()
            if message is not None:
                self._heard_at = now
                self._hear(message)
            self._look_alive(now)
            if now > unplug_at and not self.habits.quiet:
                raise OSError("unplugged")
            self._act(now)

    def _look_alive(self, now):
        if now - self._heard_at > SILENT_S and now - self._pinged_at > SILENT_S:
            self._pinged_at = now
            self._send({"type": "ping"})
        if now - self._heard_at > SILENT_S + ANSWER_S:
            raise OSError("the server is silent")

    def _hang_up(self):
        connection, self._socket = self._socket, None
        self.screen.opened = False
        if connection is not None:
            connection.cut()

    def _pause(self):
        pause = PAUSES_S[min(self._n_failures, len(PAUSES_S) - 1)]
        deadline = time.monotonic() + pause * (0.5 + self.rng.random())
        while time.monotonic() < deadline and not self.habits.leaving:
            time.sleep(0.05)

    def _send(self, frame):
        self._note("sent", turn=frame.get("id") or frame.get("turn"), body=frame)
        self._socket.send(**frame)

    def _note(self, what, turn=None, body=None):
        self.history.add(what, self.name, self.line, self.chat, turn, body)

    # -- what the server says ------------------------------------------------------------------------------------------

    def _hear(self, message):
        turn = message.get("turn") if "seq" in message else message.get("id")
        self._note("heard", turn=turn if isinstance(turn, str) else None, body=message)
        if message["type"] == "opened" and message["chat"] != self.chat:
            return
        again = self.screen.hear(message)
        if message["type"] in ENDS and self.screen.ended and self.screen.ended[1] is message:
            live, event = self.screen.ended
            self._note("ended", live.id, {"type": event["type"], "live": live, "event": event})
        if message["type"] == "opened":
            self._opening = False
            self._settle_unsent(message)
        elif message["type"] == "ack" and self.unsent and self.unsent["id"] == message["id"]:
            self._acknowledged()
        elif message["type"] == "refused":
            self._refused(message)
        if again:
            self._open()

    def _settle_unsent(self, snapshot):
        if self.unsent is None:
            return
        ids = {message["turn_id"] for message in snapshot["messages"]}
        if self.unsent["id"] in ids or (snapshot["turn"] or {}).get("id") == self.unsent["id"]:
            self._acknowledged()
        else:
            self._send(self.unsent)

    def _acknowledged(self):
        frame, self.unsent = self.unsent, None
        self._acked.append(frame)
        self._note("acked", frame["id"], frame)
        self._stop_at = self.rng.randrange(1, 60) if self.rng.random() < self.habits.p_stop else None

    def _refused(self, message):
        code = message["error"]["code"]
        self._opening = False
        mine = self.unsent is not None and message["id"] == self.unsent["id"]
        if mine and code in DEFINITE:
            self._note("refused", self.unsent["id"], code)
            self.unsent = None
            self._open()
        elif mine or message["id"] is None:
            self._reopen_at = time.monotonic() + NOT_NOW_S  # not now: the page keeps the message, so do we

    def _open(self):
        if self._opening:
            return
        self._opening = True
        turn = self.screen.turn
        known = {"turn": turn.id, "after": turn.seq, "stream": turn.stream} if turn else {"turn": None, "after": 0}
        self._send({"type": "open", "chat": self.chat, **known})

    # -- what the person does ------------------------------------------------------------------------------------------

    def _act(self, now):
        if self._reopen_at and now > self._reopen_at:
            self._reopen_at = 0.0
            self._open()
        self._perhaps_stop()
        if self.habits.quiet or not self.idle or now < self._next_at or self._opening:
            return
        self._next_at = now + self.rng.expovariate(1 / self.habits.think_s)
        if self.chat != self.person.chats[-1] or self._n_sent >= self.habits.turns_per_chat:
            self._turn_the_page()
        elif self._acked and self.rng.random() < self.habits.p_old_again:
            self._send(self.rng.choice(self._acked))  # an old window comes to life: nothing may happen
        else:
            self._begin_turn()

    def _perhaps_stop(self):
        live = self.screen.turn
        if live is None or self._stop_at is None or live.stop_asked:
            return
        if len(live.parts.get(0, "")) >= self._stop_at or self.rng.random() < 0.002:
            live.stop_asked = True
            self._send({"type": "stop", "turn": live.id})

    def _turn_the_page(self):
        if self.chat == self.person.chats[-1]:
            people.begin_chat(self.installation, self.person)
        self.chat = self.person.chats[-1]
        self.screen, self._n_sent, self._acked = Screen(), 0, []
        self._opening = False
        self._open()

    def _begin_turn(self):
        kind = self.rng.choice(self.habits.kinds) if self._n_sent else "chat"
        frame = {"type": "submit", "id": uuid.UUID(int=self.rng.getrandbits(128)).hex, "chat": self.chat, "kind": kind}
        frame |= {"revision": self.screen.revision, "text": f"Say {self._tag()} now." if kind == "chat" else ""}
        if self.habits.then and (then := [part for part in self.rng.choice(self.habits.then) if part != kind]):
            frame["then"] = then
        self.unsent = frame
        self._n_sent += 1
        self._send(frame)
        if self.rng.random() < self.habits.p_twice:
            self._send(frame)

    def _tag(self):
        place = self.person.chats.index(self.chat)
        return f"p{self.person.number:02d}c{place:03d}t{self.number}n{self._n_sent:03d}x{self.rng.getrandbits(24):06x}"
