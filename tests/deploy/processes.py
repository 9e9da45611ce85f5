"""What runs on this machine, as /proc has it. Zombies do not count: they have ended already."""

import os
from pathlib import Path


def living():
    """The pids of all processes but zombies."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _stat(entry)[:1] not in ([], ["Z"])]


def group(pid):
    """The process group of a process; None if it has ended."""
    fields = _stat(pid)
    return int(fields[2]) if fields else None


def of(folder):
    """The processes that belong to the stack on this data folder: by command line, or by environment."""
    mark = os.fsencode(folder)
    return [pid for pid in living() if mark in _read(pid, "cmdline") or mark in _read(pid, "environ")]


def named(folder, *words):
    """Those of them whose command line has all of the words."""
    return [pid for pid in of(folder) if all(word.encode() in _read(pid, "cmdline") for word in words)]


def _stat(pid):
    """State, parent, process group, ...: the fields behind the command's name."""
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


def _read(pid, name):
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""
