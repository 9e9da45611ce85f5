"""What a turn costs beside the model: a part of `make bench-scale`, on an installation with one worker that echoes.

alone   one person alone: from `submit` on the web socket to the acknowledgement, the claim, the engine
busy    eight people who answer at once: turns per second, and the processor time of each process for one turn. The
        engine's thread counts apart: what it does is what a model would do on its card
"""

import json
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers.system import until
from bench.peers.waiting import received
from bench.tables import table
from bench.web_services import TICK, Person, WebServices, cpu_s
from store import chats, turns
from store.broker import registry
from tests.harness.services import ServiceProcesses
from tests.harness.socket_client import SocketClient, address_of

N_ALONE, N_PEOPLE, WARM_S, BUSY_S = 60, 8, 2.0, 15.0
SETTINGS = {"backend": "echo", "max_reply_tokens": 40, "disk_cache_mb": 0, "ram_cache_mb": 64, "lanes": 4}


class CostServices(WebServices):
    """With a web server and one worker, each in its own process."""

    def _start(self) -> ServiceProcesses:
        self._run(*self._server.command(self.folder / "redis.conf"))
        self.db.migrate()
        until(self._redis_answers, "Redis")
        self._run(sys.executable, "-m", "bench.reporting_worker", str(self.folder / "told"))
        self.open()
        until(lambda: bool(registry.alive(self.redis)) and self.told("engine") != [], "the worker")
        return self

    def told(self, what: str) -> list[list[float]]:
        """What the worker has written down."""
        path = self.folder / "told"
        lines = path.read_text().splitlines() if path.exists() else []
        return [rest for kind, *rest in map(json.loads, lines) if kind == what]

    def used_s(self) -> dict[str, float]:
        """CPU seconds so far: of the web server, the engine's thread, the rest of the worker, Redis."""
        redis, worker = (process.pid for process in self._processes[:2])
        thread = int(self.told("engine")[0][0])
        fields = Path(f"/proc/{worker}/task/{thread}/stat").read_text().rpartition(")")[2].split()
        engine_s = (int(fields[11]) + int(fields[12])) / TICK
        rest_s = cpu_s([worker]) - engine_s
        return {"web": cpu_s(self.pids()), "worker": rest_s, "Redis": cpu_s([redis]), "engine": engine_s}


@dataclass(frozen=True)
class Asked:
    """One turn as its person saw it: when it was sent, and the seconds until each thing that came."""

    turn: str
    sent_at: float
    acked_s: float
    first_s: float


class Player:
    """A person with an open tab."""

    def __init__(self, services: CostServices, person: Person) -> None:
        self._services, self._chat = services, person.chat.id
        self._socket = SocketClient(address_of(services.port), person.cookie)
        self._socket.send(type="open", chat=self._chat)
        received(self._socket, "opened")

    def say(self) -> Asked:
        """One turn, to its end."""
        turn, revision = uuid.uuid4().hex, chats.get_revision(self._services.db, self._chat)
        sent_at, began = time.time(), time.monotonic()
        self._socket.send(type="submit", id=turn, chat=self._chat, kind="chat", revision=revision, text="Go on.")
        came: dict[str, float] = {}
        while not {"ack", "text", "done"} <= came.keys():
            event = received(self._socket, "ack", "text", "done")
            if turn in (event.get("id"), event.get("turn")):
                came.setdefault(event["type"], self._socket.received_at - began)
        return Asked(turn, sent_at, came["ack"], came["text"])

    def leave(self) -> None:
        """Close the tab."""
        self._socket.close()


def alone(services: CostServices, player: Player) -> tuple[object, ...]:
    """One row: the milliseconds from the submit to what follows."""
    player.say()
    asked = []
    for _ in range(N_ALONE):
        asked.append(player.say())
        time.sleep(0.15)
    submits = [at for at, _ in services.told("submit")]
    began = [min(at for at in submits if at >= one.sent_at) - one.sent_at for one in asked]
    claimed = [(turns.get_turn(services.db, one.turn).started_at or 0.0) - one.sent_at for one in asked]
    columns = ([one.acked_s for one in asked], claimed, began, [one.first_s for one in asked])
    return tuple(map(_ms, columns))


def busy(services: CostServices, players: Sequence[Player]) -> tuple[object, ...]:
    """One row: turns per second, and the processor time for one of them."""
    stop, counts = threading.Event(), [0] * len(players)

    def play(number: int) -> None:
        while not stop.is_set():
            players[number].say()
            counts[number] += 1

    threads = [threading.Thread(target=play, args=(number,)) for number in range(len(players))]
    for thread in threads:
        thread.start()
    time.sleep(WARM_S)
    used, commands, n, began = services.used_s(), _commands(services), sum(counts), time.monotonic()
    time.sleep(BUSY_S)
    n, took = sum(counts) - n, time.monotonic() - began
    spent = {name: (now - used[name]) / n * 1000 for name, now in services.used_s().items()}
    per_turn = (_commands(services) - commands) / n
    stop.set()
    for thread in threads:
        thread.join()
    return (f"{n / took:.1f}", *(f"{spent[name]:.0f} ms" for name in spent), f"{per_turn:.0f}")


def measure() -> str:
    """Both tables."""
    with CostServices(sockets=64, **SETTINGS) as services:
        players = [Player(services, person) for person in services.people(N_PEOPLE)]
        first, then = alone(services, players[0]), busy(services, players)
        for player in players:
            player.leave()
    head = ("acknowledged", "claimed by a worker", "in the engine", "first word")
    quiet = f"One person, from `submit` on the web socket, median and p95:\n\n{table(head, [first])}"
    head = ("turns/s", "web", "worker without engine", "Redis", "engine (echo)", "Redis commands")
    return f"{quiet}\n\n{N_PEOPLE} people who answer at once, CPU time of a turn, SQLite:\n\n{table(head, [then])}"


def _ms(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    return f"{statistics.median(ordered) * 1000:.0f} / {ordered[int(len(ordered) * 0.95)] * 1000:.0f} ms"


def _commands(services: CostServices) -> int:
    return int(services.redis.info("stats")["total_commands_processed"])


if __name__ == "__main__":
    print(measure())
