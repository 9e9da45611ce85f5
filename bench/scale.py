"""`make bench-scale`: how far one Redis and one database carry it, on this machine, with workers that echo.

books   what the records of a turn cost: all transactions and events of a turn, done by four processes as fast as they
        can, on SQLite and on PostgreSQL; no web, no worker, no model
turn    what a turn costs each process of a whole house with one worker, beside the model (turn_cost.py)
house   1, 10, 30 real worker processes that echo at once; people who answer at once; turns per second, and the wait
        from the submit to the start. Everything shares the cores of this machine, people included

Written into docs/benchmarks.md; docs/scale.md says what follows.
"""

import argparse
import multiprocessing
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from bench import turn_cost
from bench.tables import machine, publish, table
from store import accounts, characters, chats, turns
from store.broker import events, jobs, queue, registry
from store.broker.client import connect
from store.db import Database
from store.turns import Outcome, Reply
from tests.harness.services import ServiceProcesses
from tests.postgres import PostgresServer

N_PROCESSES, BOOKS_S, HOUSE_S = 4, 12.0, 15.0
N_WORKERS = (1, 10, 30)
N_BATCHES, BATCH = 20, "three or four words "
WORKER = registry.WorkerView("books", "model", 1000, 0, (), 0.0)


def books(name: str, database_url: str) -> tuple[object, ...]:
    """One row: turns per second through the records alone."""
    with ServiceProcesses(workers=(), database_url=database_url) as services:
        registry.announce(services.redis, WORKER, ttl_s=600)
        before = _commands(services)
        count = multiprocessing.get_context("spawn").Value("i", 0)
        start = time.monotonic()
        writers = [
            multiprocessing.get_context("spawn").Process(
                target=_keep_books, args=(services.database_url, services.redis_url, count, BOOKS_S)
            )
            for _ in range(N_PROCESSES)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        took = time.monotonic() - start
        n = count.value
        per_turn = (_commands(services) - before) / max(1, n)
        return name, f"{n / BOOKS_S:.0f}", f"{per_turn:.0f}", f"{took:.0f} s"


def _keep_books(database_url: str, redis_url: str, count: object, seconds: float) -> None:
    database, redis = Database(database_url), connect(redis_url)
    _, token = accounts.create_invite(database, "adult")
    person = accounts.sign_up(database, token, f"P{uuid.uuid4().hex[:8]}", "nobody signs in here")
    character = characters.list_characters(database, person)[0]
    chat = chats.create_chat(database, person.id, character.id, person.name)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        command = turns.TurnCommand(uuid.uuid4().hex, chat.id, "chat", chats.get_revision(database, chat.id), BATCH)
        queue.deliver(database, redis, queue.accept(database, redis, person.id, command))
        claim = turns.claim(database, command.id, WORKER.name, 60.0)
        chats.load_story(database, chat.id)
        for n in range(N_BATCHES):
            event = {"type": "text", "offset": n * len(BATCH), "text": BATCH}
            events.append(redis, chat.id, command.id, claim.attempt, [event])
        reply = Outcome((Reply(BATCH * N_BATCHES, tokens=tuple(range(100)), model_key="model"),))
        turns.commit(database, command.id, claim.attempt, reply, None)
        jobs.remove_job(redis, command.id, WORKER.name)
        with count.get_lock():  # type: ignore[attr-defined]
            count.value += 1  # type: ignore[attr-defined]
        if count.value % 40 == 0:  # type: ignore[attr-defined]
            chat = chats.create_chat(database, person.id, character.id, person.name)


def house(n_workers: int, database_url: str = "") -> tuple[object, ...]:
    """One row: turns per second through real workers."""
    names = [f"gpu{n}" for n in range(n_workers)]
    settings = {"backend": "echo", "max_reply_tokens": 40, "disk_cache_mb": 0, "ram_cache_mb": 16, "lanes": 2}
    with ServiceProcesses(workers=names, database_url=database_url, **settings) as services:
        stop, waits, lock = threading.Event(), [], threading.Lock()

        def play(number: int) -> None:
            person = services.person(f"Person {number}")
            chat, n = services.chat(person), 0
            while not stop.is_set():
                ended = services.until_ended(services.send(chat, f"Word {n}."), every_s=0.05)
                n += 1
                if n % 10 == 0:
                    chat = services.chat(person)
                if ended.state == "done":
                    with lock:
                        waits.append((ended.started_at or 0.0) - ended.created_at)

        people = [threading.Thread(target=play, args=(n,)) for n in range(min(60, max(8, 2 * n_workers)))]
        for person in people:
            person.start()
        time.sleep(3.0)
        with lock:
            waits.clear()
        before, began = _commands(services), time.monotonic()
        time.sleep(HOUSE_S)
        with lock:
            seen, took = list(waits), time.monotonic() - began
        rate = (_commands(services) - before) / took
        stop.set()
        for person in people:
            person.join()
    p95 = sorted(seen)[int(len(seen) * 0.95)]
    return (
        n_workers,
        len(people),
        f"{len(seen) / took:.0f}",
        f"{statistics.median(seen):.2f} s",
        f"{p95:.2f} s",
        f"{rate:.0f}",
    )


def _commands(services: ServiceProcesses) -> int:
    return int(services.redis.info("stats")["total_commands_processed"])


@contextmanager
def _postgres() -> Iterator[PostgresServer]:
    server = PostgresServer(durable=True).start()
    try:
        yield server
    finally:
        server.stop()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--workers", type=int, action="append")
    options = parser.parse_args()
    with _postgres() as postgres:
        kept = [books("SQLite", ""), books("PostgreSQL", postgres.new_url())]
        turn = turn_cost.measure()
        rows = [house(n, postgres.new_url()) for n in options.workers or N_WORKERS]
    first = table(("database", "turns/s", "Redis commands a turn", "took"), kept)
    head = ("workers", "people", "turns/s", "median wait", "p95 wait", "Redis commands/s")
    then = table(head, rows)
    publish("scale", f"{machine()}\n\n{first}\n\n{turn}\n\nWorkers that echo, PostgreSQL:\n\n{then}")


if __name__ == "__main__":
    sys.exit(main())
