"""`make load`: web sockets by the hundred on this machine. Writes docs/benchmarks.md.

relay     500 open sockets, 3 chats tell 30 events a second each to 16 tabs (the seats of a person): how long a piece
          of text is on its way, how long pages take meanwhile, what the server uses; the socket after the last seat
deaf      50 of them stop reading: when they are dropped, and what the others notice
rude      broken frames, floods, a megabyte, wrong UTF-8, pings without end, half handshakes
restart   200 tabs, the web server is stopped (SIGTERM) and killed (SIGKILL): until all are back, and what they missed
"""

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.load_house import Person, WebHouse, cpu_s
from bench.load_tabs import Tab, Tally, every, frame, handshake, open_all, own_cpu_s, page
from bench.tables import machine, publish, table

SEATS = 500
PER_PERSON = 16
N_TELLING, PER_S, REPLY_S = 3, 30, 10
N_DEAF = 50
N_RESTART = 200


class Teller:
    """The process that tells the replies."""

    def __init__(self, house: WebHouse, people: Sequence[Person], per_s: float, reply_s: float) -> None:
        database_url, redis_url = f"sqlite:///{house.folder}/inglenook.db", house.redis_url
        command = [sys.executable, "-m", "bench.load_teller", database_url, redis_url, str(per_s), str(reply_s)]
        chats = [f"{person.chat.id}:{person.user.id}" for person in people]
        self.process = subprocess.Popen([*command, *chats], stdin=subprocess.PIPE)

    def stop(self) -> None:
        """Enough told."""
        self.process.communicate(timeout=20)


@dataclass
class Measured:
    """One measurement of some seconds."""

    late_ms: list[float]
    pages_ms: list[float]
    per_s: float
    web_cpu: float
    own_cpu: float

    def rows(self) -> list[tuple[str, str]]:
        """For a table."""
        return [
            ("text on its way, p50 / p99 / longest", " / ".join(f"{ms:.1f} ms" for ms in spread(self.late_ms))),
            ("pages, p50 / p99 / longest", " / ".join(f"{ms:.0f} ms" for ms in spread(self.pages_ms))),
            ("events that arrived", f"{self.per_s:.0f} per second"),
            ("CPU of the web server / of these clients", f"{self.web_cpu:.0%} / {self.own_cpu:.0%} of one core"),
        ]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 99th of a hundred, largest."""
    return statistics.median(values), statistics.quantiles(values, n=100, method="inclusive")[98], max(values)


async def measure(house: WebHouse, people: Sequence[Person], tally: Tally, seconds: float) -> Measured:
    """Watch for some seconds while pages are asked for, ten a second."""
    pages_ms: list[float] = []

    async def ask() -> None:
        for path, cookie in (("/login", ""), ("/", people[-1].cookie)):
            status, took_ms = await page(house.port, path, cookie)
            assert status == 200, (path, status)
            pages_ms.append(took_ms)

    tally.clear()
    began, web, own = time.monotonic(), cpu_s(house.pids()), own_cpu_s()
    asking = every(0.2, ask)
    await asyncio.sleep(seconds)
    asking.cancel()
    took_s = time.monotonic() - began
    shares = (cpu_s(house.pids()) - web) / took_s, (own_cpu_s() - own) / took_s
    return Measured(list(tally.late_ms), pages_ms, tally.n_events / took_s, *shares)


def seat(house: WebHouse, people: Sequence[Person], n: int, tally: Tally) -> list[Tab]:
    """`n` tabs, 16 for each person."""
    owners = [people[k // PER_PERSON] for k in range(n)]
    return [Tab(house.port, owner.cookie, owner.chat.id, tally) for owner in owners]


async def relay(house: WebHouse, people: Sequence[Person], seconds: float) -> str:
    """All seats are taken; three chats tell."""
    tally = Tally()
    tabs = seat(house, people, SEATS, tally)
    took_s = await open_all(tabs)
    status, refused_ms = await knock(house, people[-1])
    teller = Teller(house, people[:N_TELLING], PER_S, REPLY_S)
    await asyncio.sleep(3)
    measured = await measure(house, people, tally, seconds)
    rows = [
        (f"{SEATS} sockets open", f"after {took_s:.1f} s"),
        (f"socket {SEATS + 1}", f"{status} after {refused_ms:.0f} ms"),
        *measured.rows(),
        ("memory and threads of the web server", f"{house.memory_mb():.0f} MB, {house.n_threads()}"),
        ("sequence numbers that were missing", str(tally.missing)),
    ]
    teller.stop()
    for tab in tabs:
        tab.close()
    return table(("relay", ""), rows)


async def knock(house: WebHouse, person: Person) -> tuple[int, float]:
    """One more handshake: (status, milliseconds)."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(handshake(house.port, person.cookie))
    line = await reader.readline()
    writer.close()
    return int(line.split()[1]), (time.monotonic() - began) * 1000


def deaf_one(house: WebHouse, person: Person) -> socket.socket:
    """A client that asks for its chat and never reads what comes."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.connect(("127.0.0.1", house.port))
    sock.sendall(handshake(house.port, person.cookie))
    sock.sendall(frame(1, b'{"type":"open","chat":"%s"}' % person.chat.id.encode()))
    return sock


PARTS = {"relay": relay}


async def run(parts: Sequence[str], seconds: float) -> None:
    with WebHouse(SEATS) as house:
        house.open()
        people = house.people(SEATS // PER_PERSON + 2)
        for name in parts:
            publish(f"load {name}", f"{await PARTS[name](house, people, seconds)}\n\n{machine()}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    asyncio.run(run(given.parts, given.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
