"""`make check-downloads`: models fetched from a hub that fails, by a downloader that is killed; every file compared.

What it does: each run draws, from its seed, a model (some are split), what is wrong with the hub (lines that break
after a tenth, addresses that expire, 429, 503, a slow line, no ranges, a first hub that lies) and when `kill -9`
comes: at a byte, or a moment after the last one. The downloader is started again until the model is installed.
What it counts: files that differ; bytes that lay on the disk at a kill and were fetched again all the same; bytes that
the hub sent twice (what was in the buffers of the sockets and one piece are lost with a process).
What it refuses to know: how the downloader works; it has the rows of the shelf and the files.
"""

import argparse
import multiprocessing
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from store.db import Database
from store.shelf import asking
from store.shelf.names import ModelSource, part_names
from store.shelf.reading import get_file
from tests.harness.hub import Faults, Hub

REPO = "family/Storm-GGUF"
BUFFERS = 1 << 16
LOST_WITH_A_PROCESS = 1 << 20
"""Most bytes that may be on their way at a kill: one piece of 256 KiB, and what the buffers of two sockets hold."""
WITHIN_S = 60.0
_START = multiprocessing.get_context("forkserver")


@dataclass
class Figures:
    """What all runs came to."""

    runs: int = 0
    kills: int = 0
    wrong: list[str] = field(default_factory=list)
    fetched_again: int = 0
    most_lost: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Figures") -> None:
        """Those of further runs."""
        self.runs, self.kills = self.runs + other.runs, self.kills + other.kills
        self.fetched_again += other.fetched_again
        self.most_lost = max(self.most_lost, other.most_lost)
        self.wrong += other.wrong
        self.faults += other.faults

    def text(self) -> str:
        """As it is printed."""
        faults = ", ".join(f"{name} {n}" for name, n in sorted(self.faults.items()))
        return (
            f"{self.runs} runs, {self.kills} kills ({faults})\n"
            f"{len(self.wrong)} wrong files, {self.fetched_again} bytes fetched again that were on the disk, "
            f"{self.most_lost} bytes at the most lost with a killed process"
        )


@dataclass
class Draw:
    """One run: what is served, what goes wrong, when it is killed (bytes of the model that went out, a delay)."""

    seed: int
    name: str = ""
    contents: list[bytes] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    liar: bool = False
    kills: list[tuple[int, float]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The paths of the parts."""
        n_parts = len(self.contents)
        return ["storm.gguf"] if n_parts == 1 else list(part_names(f"storm-00001-of-{n_parts:05d}.gguf"))


def drawn(seed: int) -> Draw:
    """The run of a seed."""
    chance = random.Random(seed)
    one = Draw(seed, chance.choice(FAULTS))
    n_parts = chance.choice([1, 1, 1, 3])
    one.contents = [_gguf(chance, chance.randrange(300_000, 4_000_000 // n_parts)) for _ in range(n_parts)]
    size = sum(map(len, one.contents))
    one.kills = [_kill(chance, size) for _ in range(chance.randrange(4))]
    tenth = len(one.contents[0]) * chance.randrange(1, 10) // 10
    if one.name == "cut":
        one.faults.cut_after = [tenth, *(chance.randrange(1, size) for _ in range(6)), 1 << 30]
    elif one.name == "expired":
        one.faults.expired = chance.randrange(1, 4)
    elif one.name == "busy":
        one.faults.busy = chance.randrange(1, 4)
    elif one.name == "slow":
        one.faults.slow_s = 0.004
    elif one.name == "no ranges":
        one.faults.no_range, one.faults.cut_after = True, [tenth, 1 << 30]
    one.liar = one.name == "a liar"
    return one


FAULTS = ("cut", "cut", "expired", "busy", "slow", "no ranges", "a liar", "none")


def _gguf(chance: random.Random, size: int) -> bytes:
    head = b"GGUF" + (3).to_bytes(4, "little") + bytes(8) + (1).to_bytes(8, "little")
    head += (1).to_bytes(8, "little") + b"a" + (4).to_bytes(4, "little") + (7).to_bytes(4, "little")
    return head + chance.randbytes(size - len(head))


def _kill(chance: random.Random, size: int) -> tuple[int, float]:
    return chance.randrange(1, size + 1), chance.choice([0.0, 0.0, 0.002, 0.01, 0.03])


def run(seed: int, migrated: Path) -> Figures:
    """One run."""
    draw = drawn(seed)
    figures = Figures(runs=1, faults=Counter([draw.name]))
    with tempfile.TemporaryDirectory(prefix="inglenook-downloads-") as name, ExitStack() as stack:
        folder = Path(name)
        shutil.copy(migrated, folder / "inglenook.db")
        db = Database(f"sqlite:///{folder / 'inglenook.db'}")
        stack.callback(db.close)
        hub = stack.enter_context(Hub(draw.faults))
        for path, content in zip(draw.names, draw.contents, strict=True):
            hub.add(REPO, path, content)
        hubs = [hub.url]
        if draw.liar:
            liar = stack.enter_context(Hub())
            for path, content in zip(draw.names, draw.contents, strict=True):
                liar.add(REPO, path, content[:-1] + bytes([content[-1] ^ 1]), sha256=hub.hashes[REPO, path])
            hubs.insert(0, liar.url)
        _until_installed(draw, db, folder, hubs, hub, figures)
        figures.wrong += _wrong(draw, folder)
    return figures


def _until_installed(draw: Draw, db: Database, folder: Path, hubs: list[str], hub: Hub, figures: Figures) -> None:
    file = asking.ask_to_get(db, ModelSource(REPO, draw.names[0]))
    counts, n_kills = draw.name not in ("no ranges", "a liar"), 0
    for kill in (*draw.kills, None):
        seen = {path: len(hub.starts[path]) for path in draw.names}
        lying, twice = _on_disk(draw, folder), sum(map(hub.sent_twice, draw.names))
        was_killed = _start(folder, hubs, hub, file.id, kill)
        if counts:
            again = (max(0, lying[path] - hub.starts[path][n]) for path, n in seen.items() if len(hub.starts[path]) > n)
            figures.fetched_again += sum(again)
            figures.most_lost = max(figures.most_lost, sum(map(hub.sent_twice, draw.names)) - twice)
        if not was_killed:
            break
        n_kills += 1
    figures.kills += n_kills
    now = get_file(db, file.id)
    if now.state != "installed":
        figures.wrong.append(f"seed {draw.seed}: {now.state} {dict(now.reason)}")


def _start(folder: Path, hubs: list[str], hub: Hub, file_id: str, kill: tuple[int, float] | None) -> bool:
    """Start the downloader until it ends or is killed; whether it was killed."""
    process = _START.Process(target=download, args=(str(folder), hubs, file_id))
    killed = threading.Event()
    if kill is not None:
        hub.on_sent = _killer(process, *kill, killed)
    process.start()
    process.join(WITHIN_S)
    hub.on_sent = lambda _path, _total: None
    if process.is_alive():
        process.kill()
        process.join()
        return False
    return killed.is_set()


def _killer(process: BaseProcess, at: int, delay_s: float, killed: threading.Event) -> Callable[[str, int], None]:
    """Kills the process when so many bytes of the model have gone out."""
    totals: Counter[str] = Counter()

    def on_sent(path: str, total: int) -> None:
        totals[path] = total
        is_this_one = process.pid is not None  # else it is the end of an answer to the one before
        if is_this_one and not killed.is_set() and sum(totals.values()) >= at:
            killed.set()
            time.sleep(delay_s)
            process.kill()

    return on_sent


def _on_disk(draw: Draw, folder: Path) -> dict[str, int]:
    """How many bytes of each part lie on the disk, in the models folder or as a header."""
    lying = {}
    for number, path in enumerate(draw.names, 1):
        header = rf"*{number:05d}-of-*.gguf*" if len(draw.names) > 1 else "*.gguf*"
        places = [folder / "models" / path, folder / "models" / f".{path}.part"]
        places += (folder / "model_headers").glob(header)
        places += (folder / "model_headers").glob(f".{header}")
        lying[path] = max((place.stat().st_size for place in places if place.exists()), default=0)
    return lying


def _wrong(draw: Draw, folder: Path) -> list[str]:
    """What is not as it should be in the models folder."""
    models = folder / "models"
    lying = {path.name for path in models.iterdir()} - {".downloader.lock"} if models.is_dir() else set()
    wrong = [f"seed {draw.seed}: {name} lies there" for name in lying - set(draw.names)]
    for name, content in zip(draw.names, draw.contents, strict=True):
        if name not in lying or (models / name).read_bytes() != content:
            wrong.append(f"seed {draw.seed}: {name} is wrong")
    return wrong


def download(folder: str, hubs: list[str], file_id: str) -> None:
    """In a process of its own: fetch one file, without the pauses of the real one, in small buffers."""
    import urllib3

    from web.downloader import header, service
    from web.downloader.http import Client, Token
    from web.downloader.hubs import hub_of
    from web.downloader.jobs import Jobs

    small = (socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFERS)
    urllib3.connection.HTTPConnection.default_socket_options += [small]
    header.FIRST_BYTES = 50_000
    service.FIRST_WAIT_S = service.POLL_S = 0.02
    data = Path(folder)
    db = Database(f"sqlite:///{data / 'inglenook.db'}")
    jobs = Jobs(db, Client(Token("", frozenset())), [hub_of(one) for one in hubs], data / "models", data, pause_s=0.01)
    with service.lock_of(data / "models"):
        service.Service(db, jobs).run(file_id)
    db.close()


def check(runs: int, seed: int, at_once: int = 2) -> Figures:
    """All runs, `at_once` at the same time."""
    figures = Figures()
    _START.set_forkserver_preload(["tests.harness.hub", "tests.nemesis.warm_downloader"])
    with tempfile.TemporaryDirectory(prefix="inglenook-db-") as name:
        migrated = Path(name) / "inglenook.db"
        db = Database(f"sqlite:///{migrated}")
        db.migrate()
        db.close()
        seeds = range(seed * 1_000_000, seed * 1_000_000 + runs)
        with ThreadPoolExecutor(at_once) as pool:
            for one in pool.map(lambda number: run(number, migrated), seeds):
                figures.add(one)
    return figures


def main() -> int:
    """Run and print; 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    figures = check(arguments.runs, arguments.seed)
    sys.stdout.write(figures.text() + "\n" + "".join(f"{line}\n" for line in figures.wrong))
    return 1 if figures.wrong or figures.fetched_again or figures.most_lost > LOST_WITH_A_PROCESS else 0


if __name__ == "__main__":
    sys.exit(main())
