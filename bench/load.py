"""`make load`: web sockets by the hundred on this machine. Writes docs/benchmarks.md.

relay     500 open sockets, 3 chats tell 30 events a second each to 16 tabs (the seats of a person): how long a piece
          of text is on its way, how long pages take meanwhile, what the server uses; the socket after the last seat
deaf      50 come who never read: when they are dropped, and what the others notice, against 50 who read
rude      broken frames, floods, a megabyte, wrong UTF-8, pings without end, half handshakes
restart   200 tabs, the web server is stopped (SIGTERM) and killed (SIGKILL): until all are back, and what they missed
"""

import argparse
import asyncio
import json
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from bench.load_tabs import Tab, Tally, all_open, every, frame, open_all, own_cpu_s, page
from bench.tables import machine, publish, table
from bench.web_services import Person, WebServices, cpu_s
from tests.harness.socket_client import address_of, handshake
from tests.web.rude_frames import RUDE, be_rude

SEATS = 500
PER_PERSON = 16
N_TELLING, PER_S, REPLY_S = 3, 30, 10
N_DEAF = 50
N_RESTART = 200


class Teller:
    """The process that tells the replies."""

    def __init__(self, services: WebServices, people: Sequence[Person], per_s: float, reply_s: float) -> None:
        database_url, redis_url = f"sqlite:///{services.folder}/inglenook.db", services.redis_url
        command = [sys.executable, "-m", "bench.load_teller", database_url, redis_url, str(per_s), str(reply_s)]
        chats = [f"{person.chat.id}:{person.user.id}" for person in people]
        self.process = subprocess.Popen([*command, *chats], stdin=subprocess.PIPE)

    def __enter__(self) -> "Teller":
        return self

    def __exit__(self, *_error: object) -> None:
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


async def measure(services: WebServices, people: Sequence[Person], tally: Tally, seconds: float) -> Measured:
    """Watch for some seconds while pages are asked for, ten a second."""
    pages_ms: list[float] = []

    async def ask() -> None:
        for path, cookie in (("/login", ""), ("/", people[-1].cookie)):
            answer, took_ms = await page(services.port, path, cookie)
            assert answer.startswith(b"HTTP/1.1 200 "), (path, answer)
            pages_ms.append(took_ms)

    tally.clear()
    began, web, own = time.monotonic(), cpu_s(services.pids()), own_cpu_s()
    asking = every(0.2, ask)
    await asyncio.sleep(seconds)
    asking.cancel()
    took_s = time.monotonic() - began
    shares = (cpu_s(services.pids()) - web) / took_s, (own_cpu_s() - own) / took_s
    return Measured(list(tally.late_ms), pages_ms, tally.n_events / took_s, *shares)


def seat(
    services: WebServices, people: Sequence[Person], n: int, tally: Tally, beside: Sequence[Person] = (), kept: int = 0
) -> list[Tab]:
    """`n` tabs, 16 for each person; those in `beside` keep `kept` of their seats free."""
    owners = [one for one in people for _ in range(PER_PERSON - (kept if one in beside else 0))]
    return [Tab(services.port, owner.cookie, owner.chat.id, tally) for owner in owners[:n]]


async def relay(services: WebServices, people: Sequence[Person], seconds: float) -> str:
    """All seats are taken; three chats tell."""
    tally, base_mb = Tally(), services.memory_mb()
    tabs = seat(services, people, SEATS, tally)
    took_s = await open_all(tabs)
    status, refused_ms = await knock(services, people[-1])
    with Teller(services, people[:N_TELLING], PER_S, REPLY_S):
        await asyncio.sleep(3)
        measured = await measure(services, people, tally, seconds)
        used = f"{services.memory_mb():.0f} MB (before: {base_mb:.0f} MB), {services.n_threads()} threads"
    rows = [
        (f"{SEATS} sockets open", f"after {took_s:.1f} s"),
        (f"socket {SEATS + 1}", f"{status} after {refused_ms:.0f} ms"),
        *measured.rows(),
        ("memory of the web server (both processes)", used),
        ("sequence numbers that were missing", str(tally.missing)),
    ]
    leave(tabs)
    return table((f"{SEATS} tabs, {N_TELLING} chats tell", f"{seconds:.0f} s"), rows)


async def knock(services: WebServices, person: Person) -> tuple[int, float]:
    """One more handshake: (status, milliseconds)."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", services.port)
    writer.write(handshake(address_of(services.port), person.cookie))
    line = await reader.readline()
    writer.close()
    return int(line.split()[1]), (time.monotonic() - began) * 1000


async def deaf(services: WebServices, people: Sequence[Person], seconds: float) -> str:
    """Fifty seats are taken by clients that read, then by some that never do, on chats that tell 5 events a second."""
    each = 5
    slow = people[N_TELLING : N_TELLING + N_DEAF // each]
    owners = [person for person in slow for _ in range(each)]
    tally = Tally()
    tabs = seat(services, people, SEATS - N_DEAF, tally, slow, each)
    readers = [Tab(services.port, owner.cookie, owner.chat.id, Tally(), comes_back=False) for owner in owners]
    await open_all(tabs)
    with Teller(services, people[:N_TELLING], PER_S, REPLY_S), Teller(services, slow, 5, 4 * REPLY_S):
        await asyncio.sleep(3)
        alone = await measure(services, people, tally, seconds)
        coming: asyncio.Task[object] = asyncio.create_task(open_all(readers, N_DEAF))
        beside_readers = await measure(services, people, tally, seconds)
        await coming
        leave(readers)
        await until_seats(services, lambda n: n == SEATS - N_DEAF)
        gone = asyncio.create_task(when_gone(services, time.monotonic()))
        coming = asyncio.create_task(asyncio.to_thread(lambda: [deaf_one(services, owner) for owner in owners]))
        beside_deaf = await measure(services, people, tally, max(seconds, 15))
        first_s, last_s = await gone
    for line in cast(list[socket.socket], await coming):
        line.close()
    leave(tabs)
    measured = [one.rows() for one in (alone, beside_readers, beside_deaf)]
    rows = [(cells[0][0], *(cell for _, cell in cells)) for cells in zip(*measured, strict=True)]
    rows.append((f"{N_DEAF} deaf ones dropped, first / last", "", "", f"{first_s:.1f} s / {last_s:.1f} s"))
    rows.append(("sequence numbers that were missing", "", "", str(tally.missing)))
    head = (f"{SEATS - N_DEAF} tabs that read", "alone", f"{N_DEAF} more come", f"instead {N_DEAF} deaf ones come")
    return table(head, rows)


def deaf_one(services: WebServices, person: Person) -> socket.socket:
    """A client that asks for its chat and never reads what comes."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.connect(("127.0.0.1", services.port))
    sock.sendall(handshake(address_of(services.port), person.cookie))
    sock.recv(12)  # shaken: whatever is sent before that is lost
    sock.sendall(frame(1, b'{"type":"open","chat":"%s"}' % person.chat.id.encode()))
    return sock


async def when_gone(services: WebServices, began: float, limit_s: float = 60.0) -> tuple[float, float]:
    """Seconds until the first and the last deaf client have lost their seats."""
    await until_seats(services, lambda n: n == SEATS, limit_s)
    await until_seats(services, lambda n: n < SEATS, limit_s)
    first_s = time.monotonic() - began
    await until_seats(services, lambda n: n == SEATS - N_DEAF, limit_s)
    return first_s, time.monotonic() - began


async def until_seats(services: WebServices, wanted: Callable[[int], bool], limit_s: float = 30.0) -> None:
    """Until so many seats are taken. Raises TimeoutError."""
    async with asyncio.timeout(limit_s):
        while True:
            answer, _ = await page(services.port, "/healthz")
            if wanted(json.loads(answer.split(b"\r\n\r\n", 1)[1])["sockets"]):
                return
            await asyncio.sleep(0.1)


async def rude(services: WebServices, people: Sequence[Person], seconds: float) -> str:
    """Everything of tests/web/rude_frames.py, beside a hundred tabs that are told a story."""
    tally = Tally()
    tabs = seat(services, people, 100, tally)
    await open_all(tabs)
    with Teller(services, people[:N_TELLING], PER_S, REPLY_S):
        await asyncio.sleep(1)
        measuring = asyncio.create_task(measure(services, people, tally, max(seconds, 20)))
        rows = []
        for what, (data, right) in RUDE.items():
            code = await asyncio.to_thread(be_rude, services.port, people[-1].cookie, data)
            rows.append((what, f"{code}{'' if code in right else f' instead of {right}'}"))
        rows += (await measuring).rows()
    rows.append(("sequence numbers that were missing", str(tally.missing)))
    rows.append(("tracebacks in the log of the web server", str(services.log().count("Traceback"))))
    leave(tabs)
    return table(("what a client does", "close code"), rows)


async def restart(services: WebServices, people: Sequence[Person], seconds: float) -> str:
    """Two hundred tabs on thirteen chats that tell five events a second, one reply all the time."""
    tally = Tally()
    tabs = seat(services, people, N_RESTART, tally)
    await open_all(tabs)
    rows = []
    with Teller(services, people[: N_RESTART // PER_PERSON + 1], 5, 600):
        for how in (signal.SIGTERM, signal.SIGKILL):
            await asyncio.sleep(3)
            tally.clear()
            began = time.monotonic()
            await asyncio.to_thread(services.stop, how)
            stopped_s = time.monotonic() - began
            serving_s = stopped_s + await asyncio.to_thread(services.open)
            await all_open(tabs)
            back_s = time.monotonic() - began
            codes = ", ".join(f"{code}: {n}" for code, n in sorted(Counter(tally.codes).items())) or "none"
            await asyncio.sleep(2)
            cells = (f"{stopped_s:.1f} s", f"{serving_s:.1f} s", f"{back_s:.1f} s", codes, str(tally.missing))
            rows.append((how.name, *cells, str(tally.n_events)))
    leave(tabs)
    head = ("signal", "server gone", "serves again", f"all {N_RESTART} back", "close codes", "missing", "events")
    return table(head, rows)


def leave(tabs: Sequence[Tab]) -> None:
    """Everybody goes home."""
    for tab in tabs:
        tab.close()


PARTS = {"relay": relay, "deaf": deaf, "rude": rude, "restart": restart}


async def run(parts: Sequence[str], seconds: float) -> None:
    """All parts, on one installation."""
    with WebServices(SEATS) as services:
        services.open()
        people = services.people(SEATS // PER_PERSON + 4)
        for name in parts:
            await until_seats(services, lambda n: n == 0)
            publish(f"load {name}", f"{await PARTS[name](services, people, seconds)}\n\n{machine()}")
        print(services.log()[-2000:] if "Traceback" in services.log() else "No traceback in the log of the web server.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement")
    given = parser.parse_args()
    asyncio.run(run(given.parts, given.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
