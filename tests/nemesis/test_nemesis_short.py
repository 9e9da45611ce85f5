"""A short storm over a whole installation, and kills in mid-reply: `make check` has the long ones."""

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
