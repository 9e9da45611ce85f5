"""Every parser, and what works on what it has read, stays within a fence of memory, whatever it is given."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="the size of a process is read from /proc")
def test_what_fills_memory_is_refused_or_taken_within_a_fence():
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("memory_bombs.py")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert dict(line.split(": ") for line in done.stdout.splitlines()) == {
        "picture": "card_too_large",
        "archive": "card_too_large",
        "nested": "too_many_values",
        "values": "too_many_values",
        "chat of values": "chat_too_large",
        "chat of swipes": "chat_too_large",
        "one long line": "not_a_chat",
        "lorebook": "taken",
        "patterns": "taken",
        "macros": "taken",
        "table": "taken",
        "long message": "taken",
    }
