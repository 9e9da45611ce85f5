"""`make bench-queue`: what waiting is like. Fair turns, honest estimates, stops that stop.

fairness   12 people on one worker with 2 lanes (echo), 10 turns each as fast as allowed, one of them greedy with 5
           chats: medians of the waits, and how many turns each got while all were there
eta        12 people, 204 turns on the demo model: the estimate when a turn was queued against its real wait
stop       the demo model: from the press of stop to the end of the turn, while writing and while reading, and from
           there to the start of the next job
"""

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Callable

from bench.tables import machine, publish, table
from store import turns
from store.broker import events, queue
from store.errors import Refused
from store.views import ChatView, TurnView
from tests.harness.services import ServiceProcesses

N_PEOPLE, N_TURNS = 12, 10
N_ETA_TURNS = 17
WORDS = "Tell me about the sea, the cat, the lamp, the storm, the harbour and what you did all day before I came."


def fairness() -> str:
    """The greedy one has five chats and tries them all, all the time; the others have one."""
    with ServiceProcesses(backend="echo", echo_delay_ms=12, lanes=2, disk_cache_mb=0) as services:
        people = [services.person(f"Person {n:02d}") for n in range(N_PEOPLE)]
        kept = {
            person.id: [services.chat(person) for _ in range(5 if n == 0 else 1)] for n, person in enumerate(people)
        }
        others_done = threading.Barrier(N_PEOPLE)
        stop = threading.Event()

        def modest(chats: list[ChatView]) -> None:
            for n in range(N_TURNS):
                services.until_ended(services.send(chats[0], f"{n} {WORDS[: 20 + 7 * (n % 5)]}"))
            others_done.wait()

        def greedy(chats: list[ChatView]) -> None:
            while not stop.is_set():
                for chat in chats:
                    try:
                        services.send(chat, WORDS[:40])
                    except Refused:
                        continue
                stop.wait(0.02)

        threads = [threading.Thread(target=modest, args=(kept[person.id],)) for person in people[1:]]
        threads.append(threading.Thread(target=greedy, args=(kept[people[0].id],), daemon=True))
        for thread in threads:
            thread.start()
        others_done.wait()
        stop.set()
        threads[-1].join()
        ended = [
            turns.get_turn(services.db, turn_id) for turn_id in turns.recently_ended(services.db, 0.0, time.time())
        ]
        return _fairness_report(ended, [person.id for person in people])


def _fairness_report(ended: tuple[TurnView, ...], people: list[str]) -> str:
    number = {person: n for n, person in enumerate(people)}
    first_to_finish = min(max(t.ended_at or 0 for t in ended if t.owner_id == person) for person in people[1:])
    waits = {p: [_wait_s(turn) for turn in ended if turn.owner_id == p] for p in people}
    mean = statistics.fmean(wait for person in people for wait in waits[person])
    rows = []
    for person in people:
        served = sum(turn.owner_id == person and (turn.started_at or 0) <= first_to_finish for turn in ended)
        median = statistics.median(waits[person])
        who = f"{number[person]}{' (greedy, 5 chats)' if person == people[0] else ''}"
        rows.append((who, len(waits[person]), f"{median:.2f} s", f"{median / mean:.2f}", served))
    order = "".join(f"{number[turn.owner_id]:x}" for turn in sorted(ended, key=lambda turn: turn.started_at or 0))
    head = ("person", "turns", "median wait in the queue", "/ mean of all", "served while all were there")
    return f"{table(head, rows)}\n\nOrder of service (one digit per turn):\n\n    {order}\n"


def eta() -> str:
    """Errors of the estimate that a person was shown when their turn was queued, for all who had to wait."""
    with ServiceProcesses(lanes=2, max_reply_tokens=100, disk_cache_mb=0) as services:
        shown: list[tuple[str, int, float, float]] = []
        lock = threading.Lock()

        def person(name: str, n_turns: int) -> None:
            chat = services.chat(services.person(name))
            for n in range(n_turns):
                turn = services.send(chat, f"{WORDS} ({n})")
                placed, now = queue.queue_place(services.redis, turn), time.time()
                if placed.eta_s is not None and placed.ahead is not None:
                    with lock:
                        shown.append((turn.id, placed.ahead, placed.eta_s, now))
                services.until_ended(turn)

        threads = [threading.Thread(target=person, args=(f"Person {n}", N_ETA_TURNS)) for n in range(N_PEOPLE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        errors = []
        for turn_id, _ahead, eta_s, at in shown:
            real_s = (turns.get_turn(services.db, turn_id).started_at or at) - at
            if real_s > 1.0:
                errors.append(abs(eta_s - real_s) / real_s)
        n_turns = len(turns.recently_ended(services.db, 0.0, time.time()))
    quartiles = statistics.quantiles(errors, n=4)
    row = (n_turns, len(errors), f"{statistics.median(errors):.1%}", f"{quartiles[0]:.1%} - {quartiles[2]:.1%}")
    return table(("turns", "waited over 1 s with an estimate", "median error", "middle half"), [row])


def stop(n: int = 20) -> str:
    """Two people, one lane: one is stopped, the other waits behind."""
    with ServiceProcesses(lanes=1, max_reply_tokens=300, disk_cache_mb=0) as services:
        ada, ben = services.person("Ada"), services.person("Ben")
        rows = []
        for what, text, state in (("writing", "Tell me a long story.", "text"), ("reading", 12 * WORDS, "reading")):
            ended_s, next_s = [], []
            for i in range(n):
                first = services.send(services.chat(ada), f"{i} {text}")
                second = services.send(services.chat(ben), "Hi.")
                _until(lambda turn=first, state=state: _seen(services, turn, state))
                pressed = time.time()
                queue.stop(services.db, services.redis, ada.id, first.id)
                after = services.until_ended(first)
                _until(lambda turn=second: turns.get_turn(services.db, turn.id).started_at is not None)
                ended_s.append((after.ended_at or pressed) - pressed)
                next_s.append((turns.get_turn(services.db, second.id).started_at or 0.0) - (after.ended_at or 0.0))
                queue.stop(services.db, services.redis, ben.id, second.id)
                services.until_ended(second)
            rows.append((what, n, *_spread(ended_s), *_spread(next_s)))
    head = ("stopped while", "times", "until ended, median", "worst", "until the next job starts, median", "worst")
    return table(head, rows)


def _spread(seconds: list[float]) -> tuple[str, str]:
    return f"{1000 * statistics.median(seconds):.0f} ms", f"{1000 * max(seconds):.0f} ms"


def _seen(services: ServiceProcesses, turn: TurnView, what: str) -> bool:
    said = events.read(services.redis, turn.id)
    return any(what in (event["type"], event.get("state")) for event in said)


def _until(condition: Callable[[], bool], limit_s: float = 120.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen")
        time.sleep(0.005)


def _wait_s(turn: TurnView) -> float:
    return (turn.started_at or 0.0) - (turn.queued_at or 0.0)


PARTS: dict[str, Callable[[], str]] = {"fairness": fairness, "eta": eta, "stop": stop}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    for name in parser.parse_args().parts:
        publish(f"queue {name}", f"{PARTS[name]()}\n\n{machine()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
