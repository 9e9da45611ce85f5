"""The faults: what may go wrong in an installation, one class each, all drawn from one seed.

What it does: FAULTS is the table; each fault does its damage and hands back how to withdraw it and when. A fault that
could not be done (Redis was away already) raises Missed and does not count.
What it refuses to know: what the faults should have led to (checker.py).
"""

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from redis.exceptions import RedisError

from store.broker import jobs, keys, queue
from store.db import DatabaseTrouble
from tests.nemesis import audit


class Missed(Exception):
    """There was nothing to damage just now."""


@dataclass(frozen=True)
class Damage:
    """What was done: `words` for people; `undo` withdraws it after `lasts_s`."""

    words: str
    lasts_s: float = 0.0
    undo: Callable[[], None] | None = None


def worker_kill(installation, rng):
    return _kill(rng.choice(installation.workers))


def worker_kill_all(installation, rng):
    return Damage("; ".join(_kill(worker).words for worker in installation.workers))


def worker_freeze(installation, rng):
    return _freeze(rng.choice(installation.workers), rng.choice([rng.uniform(0.2, 2), rng.uniform(6.5, 10)]))


def worker_drain(installation, rng):
    worker = rng.choice(installation.workers)
    worker.signal_one(signal.SIGTERM, _pid(worker))
    return Damage(f"SIGTERM {worker.name}")


def redis_kill(installation, rng):
    return _kill(installation.redis)


def redis_wipe(installation, rng):
    _pid(installation.redis)
    installation.wipe_redis_at_next_start()
    return Damage(f"{_kill(installation.redis).words}, data deleted")


def redis_freeze(installation, rng):
    return _freeze(installation.redis, rng.uniform(0.2, 4))


def redis_slow(installation, rng):
    lasts_s = rng.uniform(0.1, 3)
    _ask(installation, "CLIENT", "PAUSE", round(lasts_s * 1000), "ALL")
    return Damage(f"redis answers nobody for {lasts_s:.1f} s")


def redis_cut(installation, rng):
    n = _ask(installation, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    return Damage(f"{n} connections to redis cut")


def pubsub_cut(installation, rng):
    n = _ask(installation, "CLIENT", "KILL", "TYPE", "pubsub")
    return Damage(f"{n} subscribers of redis cut")


def redis_full(installation, rng):
    _pid(installation.redis)
    installation.redis.limit_files(0)
    return Damage("redis' disk is full", rng.uniform(0.5, 4), lambda: installation.redis.limit_files(None))


def rooms_full(installation, rng):
    victims = rng.sample([installation.web, *installation.workers], rng.randrange(1, len(installation.workers) + 2))

    def undo():
        for program in victims:
            program.limit_files(None)

    for program in victims:
        program.limit_files(0)
    return Damage(f"the disk of {', '.join(one.name for one in victims)} is full", rng.uniform(0.3, 3), undo)


def blocks_unwritable(installation, rng):
    installation.swap_blocks(away=True)
    return Damage("no KV block can be written", rng.uniform(1, 6), lambda: installation.swap_blocks(away=False))


def web_kill(installation, rng):
    _pid(installation.web)
    if rng.random() < 0.4:
        installation.web.signal_all(signal.SIGKILL)
        return Damage("kill -9 of web, all of it")
    pids = installation.web.pids()
    victim = rng.choice(pids)
    installation.web.signal_one(signal.SIGKILL, victim)
    return Damage(f"kill -9 of web's {'master' if victim == pids[0] else 'server'}")


def web_freeze(installation, rng):
    return _freeze(installation.web, rng.uniform(0.2, 4))


def twice(installation, rng):
    turns = audit.running(installation.sqlite_file)
    if not turns:
        raise Missed
    turn, at, state = rng.choice(turns)
    worker = rng.choice(installation.workers).name
    try:
        if rng.random() < 0.5:
            line = f"rq:queue:{keys.queue(worker)}"
            installation.client.sadd("rq:queues", line)  # as RQ does with each job
            installation.client.rpush(line, turn)
        else:
            jobs.remove_job(installation.client, turn, at)
            jobs.enqueue(installation.client, turn, worker, at_front=rng.random() < 0.5)
    except RedisError:
        raise Missed from None
    return Damage(f"turn {turn[:8]}, {state} at {at}, delivered again to {worker}")


def pause(installation, rng):
    """Nothing is broken, an admin needs the card. In a thread: a frozen process may hold SQLite for a while."""
    over = threading.Event()
    threading.Thread(target=_rest, args=[installation, over], name="rest", daemon=True).start()
    return Damage("the queue is paused", rng.uniform(0.3, 5), over.set)


def _rest(installation, over):
    _insist(lambda: queue.pause(installation.db, installation.hurry))
    over.wait()
    _insist(lambda: queue.resume(installation.db, installation.hurry))


def _insist(change):
    done = False
    while not done:
        with suppress(DatabaseTrouble):
            change()
            done = True


def clock(installation, rng):
    seconds = rng.choice([rng.uniform(-15, -1), rng.uniform(1, 15), rng.uniform(15, 400)])
    installation.clock(seconds)
    return Damage(f"the clock jumps by {seconds:+.1f} s", rng.uniform(1, 8), lambda: installation.clock(0.0))


FAULTS = {  # name: (how, weight)
    "kill -9 a worker": (worker_kill, 10),
    "kill -9 all workers": (worker_kill_all, 1),
    "freeze a worker": (worker_freeze, 9),
    "drain a worker": (worker_drain, 3),
    "kill -9 redis": (redis_kill, 5),
    "kill -9 redis, data lost": (redis_wipe, 4),
    "freeze redis": (redis_freeze, 4),
    "slow redis": (redis_slow, 6),
    "cut redis connections": (redis_cut, 9),
    "cut pub/sub": (pubsub_cut, 14),
    "full disk: redis": (redis_full, 5),
    "full disk: web, workers": (rooms_full, 6),
    "no room for KV blocks": (blocks_unwritable, 4),
    "kill -9 web": (web_kill, 4),
    "freeze web": (web_freeze, 4),
    "deliver a turn twice": (twice, 18),
    "pause the queue": (pause, 6),
    "clock jump": (clock, 8),
}


def _pid(program):
    if (pid := program.pid) is None:
        raise Missed
    return pid


def _kill(program):
    _pid(program)
    program.signal_all(signal.SIGKILL)
    return Damage(f"kill -9 {program.name}")


def _freeze(program, lasts_s):
    _pid(program)
    program.signal_all(signal.SIGSTOP)
    return Damage(f"SIGSTOP {program.name} for {lasts_s:.1f} s", lasts_s, lambda: program.signal_all(signal.SIGCONT))


def _ask(installation, *command):
    try:
        return installation.hurry.execute_command(*command)
    except RedisError:
        raise Missed from None
