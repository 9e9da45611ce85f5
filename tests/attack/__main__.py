"""`make attack`: what a neighbour feels while one account, or a stranger, does the worst that it may.

For each attack of attackers.py: SECONDS of it, in a process of its own, against an installation of this machine
(loopback only), while a neighbour writes and reads pages. Prints a table, a line per attack: send -> ack, pages,
turns that were acknowledged and lost, the memory of the web server. Status 1 if a promise is broken.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from store.broker import registry
from tests.attack.attackers import ATTACKS
from tests.attack.neighbour import Neighbour, spread
from tests.nemesis import people
from tests.nemesis.installation import ROOT, Installation

ACK_P95_MS, PAGE_P95_MS = 300, 500  # what the neighbour may wait
CALM = "nobody"
HEAD = ("attack", "ack ms p50/p95/max", "page ms p50/p95/max", "turns", "lost", "web MB", "worker MB")
COLUMNS = "{:20} {:>22} {:>22} {:>6} {:>5} {:>9} {:>9}  {}"


def main(arguments=None):
    """Attack, print, judge."""
    options = parse(arguments)
    say(COLUMNS.format(*HEAD, ""))
    broken = 0
    with tempfile.TemporaryDirectory(prefix="inglenook-attack-") as folder:
        for name in [CALM, *(options.only or ATTACKS)]:
            installation = Installation(Path(folder) / name, n_workers=1, echo_delay_ms=2, max_reply_tokens=40)
            try:
                installation.start()
                broken += not line(installation, name, options.seconds)
            finally:
                installation.stop()
    limits = f"{ACK_P95_MS} ms (ack) or {PAGE_P95_MS} ms (pages) at p95"
    say(f"{broken} of {len(options.only or ATTACKS) + 1} lines above {limits}, or with lost turns")
    return 1 if broken else 0


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", nargs="*", choices=ATTACKS)
    return parser.parse_args(arguments)


def line(installation, name, seconds):
    """One attack and its line of the table; whether every promise was kept."""
    victim, mallory = people.sign_up(installation, 1), people.sign_up(installation, 2)
    people.begin_chat(installation, mallory)
    attack = None if name == CALM else begin(installation, name, mallory)
    time.sleep(2.0)
    with Neighbour(installation.address, victim) as neighbour:
        time.sleep(seconds)
    if attack is not None:
        attack.stdin.close()
        attack.wait(10)
    acks, pages = spread(neighbour.acks), spread(neighbour.pages)
    quick = acks[1] <= ACK_P95_MS and pages[1] <= PAGE_P95_MS
    kept = quick and not neighbour.lost and registry.alive(installation.client)
    texts = ("{} / {} / {}".format(*acks), "{} / {} / {}".format(*pages), len(neighbour.acks), neighbour.lost)
    memory = [peak_mb(program) for program in (installation.web, installation.workers[0])]
    say(COLUMNS.format(name, *texts, *memory, "" if kept else "BROKEN " + "; ".join(neighbour.failures[:1])))
    return kept


def begin(installation, name, mallory):
    """The attack, in a process of its own."""
    command = [sys.executable, "-m", "tests.attack.attackers", name, installation.address]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True)
    person = {"cookie": mallory.cookie, "character": mallory.character, "chats": mallory.chats}
    process.stdin.write(json.dumps(person) + "\n")
    process.stdin.flush()
    return process


def peak_mb(program):
    """The largest memory that any process of a program has held, in MB (VmHWM)."""
    found = [0]
    for pid in [program.pid, *children(program.pid)]:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace") if pid else ""
        found += [int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM")]
    return max(found)


def children(pid):
    """The processes that a process has started."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text(encoding="ascii").split()] if path.exists() else []


def say(text):
    """A line of the table, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
