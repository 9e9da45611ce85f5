"""Inglenook, all of it: `python -m deploy.run` on an empty data folder, and people who talk over the web socket.

The database is opened beside it, for what a person would have done before: the character, and chats that are already
long. What is measured goes through the socket only.
"""

import contextlib
import os
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.peers.system import Setting, Turn, Watch, until
from bench.peers.talk import CARD, USER, Line, Words
from bench.peers.waiting import received
from bench.web_services import Person, WebServices
from store import characters, chats, turns
from store.broker import registry
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage
from store.chat_transfer import import_chat
from store.models import Character, Chat
from tests.harness import processes
from tests.harness.services import ServiceProcesses
from tests.harness.socket_client import SocketClient, address_of

START_S = 180.0


class WholeStack(WebServices):
    """Started as `make run` starts it, with a Redis that the bench keeps."""

    entry: tuple[str, ...] = ("deploy.run",)

    def _start(self) -> ServiceProcesses:
        self._run(*self._server.command(self.folder / "redis.conf"))
        until(self._redis_answers, "Redis")
        self._run(sys.executable, "-m", *self.entry)
        until(self._is_there, "inglenook", START_S)
        return self

    def _is_there(self) -> bool:
        if self._processes[-1].poll() is not None:
            raise RuntimeError(f"inglenook ended at once: {(self.folder / 'processes.log').read_text()[-2000:]}")
        return self.serves() and bool(registry.alive(self.redis))

    def kill_all(self) -> None:
        """kill -9 of every process of this services, and nothing is left to tidy up."""
        for pid in processes.of(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            process.kill()
            process.wait(20)
        self._processes.clear()
        until(lambda: not processes.of(self.folder), "the end of all processes")
        self._start()


class Inglenook:
    """A `System`."""

    name = "inglenook"

    def __init__(self, words: Words, setting: Setting, people: int = 1) -> None:
        self._n_people = people
        self.reply_tokens = setting.reply
        self._ends = [(token, -1000.0) for token in words.ends()]
        self.services = WholeStack(
            sockets=32,
            model=setting.model,
            context=setting.context,
            threads=setting.threads,
            lanes=setting.lanes,
            ram_cache_mb=setting.ram_mb,
            disk_cache_mb=setting.disk_mb,
            max_reply_tokens=setting.reply,
            vram_gb=setting.card_gb,
            kv_type="f16",  # as the peers have it
            log_level="WARNING",
        )
        self._character = ""
        self._people: list[Person] = []
        self._sockets: list[SocketClient] = []

    def __enter__(self) -> "Inglenook":
        self.services.__enter__()
        self._people = self.services.people(self._n_people)
        self._sockets = [SocketClient(address_of(self.services.port), person.cookie) for person in self._people]
        self._character = characters.save_character(self.services.db, self._people[0].user, CARD).id
        with self.services.db.session() as session:  # everybody's: the others are to meet the same one
            session.get_one(Character, self._character).owner_id = None
        return self

    def __exit__(self, *_error: object) -> None:
        for socket in self._sockets:
            socket.close()
        self.services.__exit__()

    def restart(self) -> None:
        for socket in self._sockets:
            socket.close()
        self.services.kill_all()
        self._sockets = [SocketClient(address_of(self.services.port), person.cookie) for person in self._people]

    def chat(self, lines: Sequence[Line], person: int = 0) -> "SocketChat":
        db, owner = self.services.db, self._people[person].user
        now = time.time()
        said = tuple(
            DocMessage(one.role, one.name, (DocAlternative(one.text, now),), now, answer=one.role != "user")
            for one in lines
        )
        chat = import_chat(db, owner.id, self._character, ChatDocument("", USER, said, now))
        with db.session() as session:
            settings = {"temperature": 0.0, "repeat_penalty": 1.0, "logit_bias": self._ends}
            session.get_one(Chat, chat.id).settings = settings
        return SocketChat(self, chat.id, person)

    def owner(self, person: int) -> str:
        """The id of a person."""
        return self._people[person].user.id

    def memory_mb(self) -> float:
        """Resident memory of all its processes; what they share counts once."""
        kilobytes = 0
        for pid in processes.of(self.services.folder):
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return kilobytes * 1024 / 1e6

    def socket(self, person: int) -> SocketClient:
        """The open socket of a person."""
        return self._sockets[person]


class SocketChat:
    """A `Talker` over the web socket."""

    def __init__(self, system: Inglenook, chat: str, person: int) -> None:
        self._system, self.id, self._person = system, chat, person
        self._db = system.services.db

    def open(self) -> None:
        """Look at this chat. A socket shows one chat at a time."""
        self._socket.send(type="open", chat=self.id)
        while received(self._socket, "opened")["chat"] != self.id:
            pass

    def send(self, text: str) -> Turn:
        return self._turn("chat", text)

    def retry(self) -> Turn:
        return self._turn("retry")

    def edit(self, text: str) -> Turn:
        last = [message for message in chats.transcript(self._db, self.id) if message.role == "user"][-1]
        self.open()
        self._socket.send(type="edit", message=last.id, revision=self._revision(), text=text)
        received(self._socket, "edited", "changed")
        return self._turn("retry")

    def narrate(self) -> Turn:
        return self._turn("narrate")

    def suggest(self) -> Turn:
        return self._turn("suggest")

    def n_forgotten(self) -> int:
        chat = chats.get_chat(self._db, self._system.owner(self._person), self.id)
        return int(chat.window.get("messages", 0))

    @property
    def _socket(self) -> SocketClient:
        return self._system.socket(self._person)

    def _revision(self) -> int:
        return chats.get_revision(self._db, self.id)

    def _turn(self, kind: str, text: str = "") -> Turn:
        turn, revision = uuid.uuid4().hex, self._revision()
        self.open()
        watch, total = Watch(), 0
        self._socket.send(type="submit", id=turn, chat=self.id, kind=kind, revision=revision, text=text)
        while (event := self._event(turn))["type"] != "done":
            watch.hear(event.get("text", "") if event["type"] == "text" else "", self._socket.received_at)
            total = max(total, event.get("total", 0))
        done = watch.turn(total, 0, self._socket.received_at)
        stats: dict[str, Any] = dict(turns.get_turn(self._db, turn).stats)
        evaluated, generated = stats.get("n_evaluated", total), stats.get("n_generated", self._system.reply_tokens)
        return Turn(done.first_s, done.total_s, evaluated, generated, done.text, done.pieces, done.sent_at)

    def _event(self, turn: str) -> dict[str, Any]:
        while (event := received(self._socket, "state", "part", "text", "done")).get("turn") != turn:
            pass
        return event
