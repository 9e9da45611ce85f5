"""`python -m tests.nemesis.rolling --rounds 2`: every worker and every web server is restarted while people write.

Three workers (or `--workers`), two web servers; one after the other gets SIGTERM and comes back, as in an upgrade.
Then the same checker as after a storm: nothing lost, nothing doubled. Prints the longest silence of a stream that
had begun: the time between two words that somebody was shown while their turn was under way.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.nemesis.checker import describe
from tests.nemesis.installation import Installation
from tests.nemesis.trial import Trial

WORDS, ENDS = ("text",), ("done", "cancelled", "failed")


def main(arguments=None):
    """Restart everything, one by one, and look."""
    parser = argparse.ArgumentParser(prog="python -m tests.nemesis.rolling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="inglenook-rolling-"))
    installation = Installation(folder, n_workers=options.workers, n_webs=2, echo_delay_ms=20)
    try:
        installation.start()
        violations, silences, n_turns, n_restarts = roll(installation, options)
    finally:
        installation.stop()
    shutil.rmtree(folder, ignore_errors=True)
    longest = max(silences, default=0.0)
    sys.stdout.write(
        f"{n_restarts} restarts of {options.workers} workers and 2 web servers under {options.clients} people: "
        f"{n_turns} turns, {len(violations)} promises broken; longest silence of a stream {longest:.2f} s\n"
    )
    return 1 if violations else 0


def roll(installation, options):
    """(violations, silences in seconds, turns heard to their end, restarts)."""
    trial = Trial(installation, options.seed, options.clients)
    violations, evidence = trial.begin()
    n_restarts, silences, n_turns = 0, [], 0
    try:
        for _ in range(options.rounds):
            trial.play()
            for program in (*installation.workers, *installation.webs):
                restart(installation, program)
                n_restarts += 1
            found, evidence = trial.rest()
            violations += found
            silences += silences_of(evidence.notes)
            n_turns += sum(note.what == "ended" for note in evidence.notes)
    finally:
        trial.end()
    if violations:
        sys.stdout.write(describe(violations, evidence) + "\n")
    return violations, silences, n_turns, n_restarts


def restart(installation, program):
    """SIGTERM; then wait until it is back and has run for a moment."""
    before = program.n_starts
    program.signal_all(signal.SIGTERM)
    installation.wait_for(
        lambda: program.n_starts > before and installation.is_well(), f"{program.name} after its restart"
    )
    time.sleep(2.0)


def silences_of(notes):
    """For each window and turn, the seconds between words that were shown while it was under way."""
    last = {}
    for note in notes:
        kind = note.body.get("type") if isinstance(note.body, dict) else None
        if note.what != "heard" or note.turn is None:
            continue
        key = (note.tab, note.turn)
        if kind in WORDS:
            if key in last:
                yield note.at - last[key]
            last[key] = note.at
        elif kind in ENDS and key in last:
            yield note.at - last.pop(key)


if __name__ == "__main__":
    sys.exit(main())
