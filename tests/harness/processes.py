"""Processes of this machine as /proc lists them (zombies do not count), a free port, and an environment for our own."""

import contextlib
import os
import socket
from pathlib import Path


def free_port() -> int:
    """A TCP port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def environ_of(**settings: object) -> dict[str, str]:
    """This process' environment with these settings of inglenook, and no other ones of it. Stories get no titles by
    themselves unless asked for: a test knows its stories by them."""
    settings = {"titles": False, **settings}
    others = {name: value for name, value in os.environ.items() if not name.startswith("INGLENOOK_")}
    return {**others, **{f"INGLENOOK_{name.upper()}": str(value) for name, value in settings.items()}}


def living():
    """The pids of all processes but zombies."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _stat(entry)[:1] not in ([], ["Z"])]


def group(pid):
    """The process group of a process; None if it has ended."""
    fields = _stat(pid)
    return int(fields[2]) if fields else None


def of(folder):
    """The processes that belong to the stack on this data folder: by environment, command line or working folder.

    (Redis writes a new title over its command line and its environment.)
    """
    mark = os.fsencode(folder)
    others = (pid for pid in living() if pid != os.getpid())
    return [pid for pid in others if any(mark in trace for trace in _traces(pid))]


def named(folder, *words):
    """Those of them whose command line has all of the words."""
    return [pid for pid in of(folder) if all(word.encode() in _read(pid, "cmdline") for word in words)]


def _traces(pid):
    yield _read(pid, "environ")
    yield _read(pid, "cmdline")
    with contextlib.suppress(OSError):
        yield os.fsencode(os.readlink(f"/proc/{pid}/cwd"))


def _stat(pid):
    """State, parent, process group, ...: the fields behind the command's name."""
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


def _read(pid, name):
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""
