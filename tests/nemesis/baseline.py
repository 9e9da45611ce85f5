"""What processes and Redis hold, and whether it is what they held in peace.

What it does: counts descriptors, threads and memory of each program, and Redis' keys by their pattern; compares two
such counts within stated tolerances.
What it refuses to know: why something grew.
"""

import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

TOLERANCE = {"fds": 24, "threads": 6, "rss_mb": 60}  # pools keep what was open at once; Python keeps some memory
PER_WINDOW = {"fds": 4, "threads": 4, "rss_mb": 1}  # and more of it where windows came back before they were missed
_IDS = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8,}|[0-9]{2,}")
LASTING = {  # keys without an end of their own: how many members they may have more than in peace
    r"inglenook:workers": 0,
    r"rq:queues": 4,  # one for each worker that ever had a turn
    r"rq:workers(:inglenook-\w+)?": 4,  # names of lanes of which RQ has nothing else any more
    r"rq:failed:inglenook-\w+": 40,  # goes a minute after the failure
    r"rq:(wip|queue|intermediate):inglenook-\w+.*": 0,
}
PASSING = (  # keys with one
    r"inglenook:turn:#:(events|cancel|popped_unclaimed|end_unannounced)",
    r"inglenook:switches",
    r"inglenook:last_(reconcile|cleaning|rewrite)",
    r"inglenook:sign-in:(address:.*|\w+:(tries|door))",
    r"inglenook:chat:#:worker",
    r"inglenook:worker:\w+",
    r"inglenook:(lock|speed|model)\b.*",
    r"rq:(worker|job|results|executions?):.*",
    r"LIMITER.*|LIMITS.*",
)


@dataclass(frozen=True)
class Held:
    """What was held at one moment."""

    programs: dict[str, dict[str, int]]
    n_windows: int = 0
    keys: Counter = field(default_factory=Counter)  # pattern -> how many
    lasting: tuple[str, ...] = ()  # keys that stay for ever and are not known to
    sizes: dict[str, int] = field(default_factory=dict)  # of those that stay for ever


def measure(installation, n_windows):
    """What everything holds now, while so many windows are open."""
    programs = {
        program.name: _of(program.pids()) for program in installation.programs if program is not installation.redis
    }
    found, lasting, sizes = Counter(), [], {}
    for key in installation.client.scan_iter(count=1000):
        name = key.decode()
        pattern = _IDS.sub("#", name)
        found[pattern] += 1
        if _room(pattern) is not None:
            sizes[name] = _size(installation.client, key)
        elif installation.client.ttl(key) == -1 or not any(re.fullmatch(known, pattern) for known in PASSING):
            lasting.append(name)
    return Held(programs, n_windows, found, tuple(sorted(lasting)), sizes)


def grown(before, now):
    """Sentences about everything that is more than it was, beyond the tolerance."""
    for name, held in now.programs.items():
        for what, amount in held.items():
            more = TOLERANCE[what] + PER_WINDOW[what] * before.n_windows
            if amount > before.programs[name][what] + more:
                peace = f"{before.programs[name][what]} in peace (tolerance {more})"
                yield f"{name} holds {amount} {what}, {peace}"
    for key in now.lasting[:10]:
        yield f"redis keeps {key} (of {len(now.lasting)} such keys)"
    for name, size in now.sizes.items():
        if size > before.sizes.get(name, 0) + _room(_IDS.sub("#", name)):
            yield f"redis' {name} has {size} members, {before.sizes.get(name, 0)} in peace"


def _room(pattern):
    return next((room for known, room in LASTING.items() if re.fullmatch(known, pattern)), None)


def _size(redis, key):
    if key.startswith(b"rq:workers"):  # what RQ knows of a lane goes an hour after it was killed in mid-job
        return sum(not redis.exists(name) for name in redis.smembers(key))
    count = {b"set": redis.scard, b"zset": redis.zcard, b"list": redis.llen}.get(redis.type(key))
    return count(key) if count else 0


def _of(pids):
    found = Counter(fds=0, threads=0, rss_mb=0)
    for pid in pids:
        with contextlib.suppress(OSError):
            found["fds"] += len(list(Path(f"/proc/{pid}/fd").iterdir()))
            fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            found["threads"] += int(fields["Threads"])
            found["rss_mb"] += int(fields["VmRSS"].split()[0]) // 1024
    return dict(found)
