"""A short storm over an installation, kills in mid-reply and at chosen moments; `make check*` has the long ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments):
    environ = {name: value for name, value in os.environ.items() if not name.startswith("INGLENOOK_")}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.timeout(600)
def test_a_short_storm_breaks_no_promise():
    done = run("tests.nemesis", "--seed", "8420", "--minutes", "0.4", "--clients", "4", "--patience", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every promise kept" in done.stdout


@pytest.mark.timeout(600)
def test_a_few_kills_in_mid_reply_lose_nothing():
    done = run("tests.nemesis.kills", "--n", "2", "--workers", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kills in mid-reply" in done.stdout
    assert "0 lost, 0 doubled" in done.stdout


@pytest.mark.timeout(600)
def test_crashes_at_chosen_moments_lose_nothing():
    """Seven of the 61 moments: before the job, in the worker, in the statements of a transaction, at a start."""
    done = run("tests.nemesis.crashes", "--n", "7", "--first", "4", "--step", "6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 kills at 7 moments (7 armed), 0 lost, 0 doubled" in done.stdout
