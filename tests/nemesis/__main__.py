"""`python -m tests.nemesis --seed 1 --minutes 10`: a storm over an installation, and whether every promise was kept.

Prints a line per fault class and a verdict. On a violation it exits with 1, shows the history and keeps all logs.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.nemesis import people, races
from tests.nemesis.checker import describe
from tests.nemesis.faults import FAULTS
from tests.nemesis.history import write
from tests.nemesis.installation import MODELS, Installation
from tests.nemesis.trial import Trial

STORM_S = 40.0
EFFECTS = {  # what the logs say when a fault has met the installation where it hurts
    "attempts dropped as stale": "no longer counts",
    "jobs with nothing to do": "nothing to do",
    "turns queued again": "is queued again after attempt",
    "workers found dead by a peer": "is dead,",
    "refusals of the disk": "did not take",
}


def main(arguments=None):
    """Run the trial that the command line asks for."""
    options = parse(arguments)
    if options.races and race(options.races):
        return 1
    folder = Path(tempfile.mkdtemp(prefix=f"inglenook-nemesis-{options.seed}-"))
    installation = Installation(folder, n_workers=options.workers, model=options.model)
    try:
        installation.start()
        violations = play(installation, options, folder)
    finally:
        installation.stop()
    if violations or options.keep:
        say(f"kept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if violations else 0


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.nemesis", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=12, help="people; three in ten have two windows")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", choices=MODELS, default="echo")
    parser.add_argument("--gap", type=float, default=0.9, help="seconds between faults, on average")
    parser.add_argument("--patience", type=float, default=1.0, help="factor on all time limits, for busy machines")
    parser.add_argument("--races", type=int, default=0, help="first so many races of two browsers, without faults")
    parser.add_argument("--go-on", action="store_true", help="do not end at the first violation")
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    return parser.parse_args(arguments)


def race(n):
    """Fifty identical sends, and races of two browsers; sentences about what went wrong."""
    with tempfile.TemporaryDirectory(prefix="inglenook-races-") as folder:
        installation = Installation(folder, n_workers=1, echo_delay_ms=0)
        try:
            installation.start()
            found = [*races.same_send(installation, people.sign_up(installation, 1), 50)]
            found += races.two_browsers(installation, people.sign_up(installation, 2), n)
        finally:
            installation.stop()
    say(
        "\n".join(
            [f"  {one}" for one in found]
            or [f"50 identical sends: one turn; {n} races of two browsers: one winner each"]
        )
    )
    return found


def play(installation, options, folder):
    """Rounds until the time is over or a promise is broken; the violations."""
    trial = Trial(installation, options.seed, options.clients, options.gap, options.patience)
    deadline = time.monotonic() + options.minutes * 60
    crowd = f"{options.clients} people, {len(trial.tabs)} windows, {options.workers} workers ({installation.model})"
    say(f"seed {options.seed}: {crowd}")
    violations = judge(*trial.begin(), folder)
    try:
        while (options.go_on or not violations) and time.monotonic() < deadline:
            found = trial.round(min(STORM_S, max(10.0, deadline - time.monotonic())))
            say(line(trial.tally))
            violations += judge(*found, folder)
    finally:
        trial.end()
    report(trial.tally)
    say("  what the faults did: " + ", ".join(f"{installation.said(words)} {what}" for what, words in EFFECTS.items()))
    say(f"seed {options.seed}: {'VIOLATED' if violations else 'every promise kept'}")
    return violations


def judge(violations, evidence, folder):
    """Show and keep what was found; the violations."""
    if violations:
        n = len(list(folder.glob("history*.jsonl")))
        write(evidence.notes, folder / f"history{n}.jsonl")
        say(describe(violations, evidence))
    return violations


def line(tally):
    """Where a trial stands."""
    states = ", ".join(f"{tally.turns[state]} {state}" for state in ("done", "cancelled", "failed"))
    quiet = f"quiet {tally.quiet_s[-1]:.1f} s after healing"
    return f"  round {tally.n_rounds}: {tally.faults.total()} faults, {states}, {quiet}"


def report(tally):
    """A line per fault class, and the sums."""
    for name in FAULTS:
        say(f"  {tally.faults[name]:5d}  {name}")
    say(f"  {tally.faults.total():5d}  faults in {tally.n_rounds} rounds")
    say("  turns: " + ", ".join(f"{n} {what}" for what, n in sorted(tally.turns.items())))
    say("  attempts: " + ", ".join(f"{n} turns {attempt}" for attempt, n in sorted(tally.attempts.items())))
    say(f"  {tally.n_acked} acknowledged, {tally.n_heard} messages heard over {tally.n_lines} connections")
    say(f"  quiet after healing: longest {max(tally.quiet_s):.1f} s; it came up in {tally.waited_s:.1f} s in all")


def say(words):
    """Print a line now."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
