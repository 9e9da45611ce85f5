"""Paths of the files of a stack on one machine, and the lock that tells whether one is running there.

What it refuses to know: programs, and how they are supervised (supervise.py).
To add a file or folder: a field of StackPaths, and `make` if it is a folder.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.preflight import DeployError, unusable
from store.settings import PREFIX

HUB_TOKEN = PREFIX + "HUB_TOKEN"
"""Never written to a file, not even to a private one."""
LONGEST_SOCKET_FOLDER = 75  # the kernel allows a path of 107 bytes, and supervisord adds its pid for a moment


@dataclass(frozen=True)
class StackPaths:
    """Folders of a running stack, below its data folder."""

    data: Path
    run: Path = field(init=False)
    logs: Path = field(init=False)
    sockets: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "run", self.data / "run")
        object.__setattr__(self, "logs", self.data / "logs")
        object.__setattr__(self, "sockets", _socket_folder(self.run))

    def make(self) -> None:
        """Create the folders. Raises DeployError where they cannot be written."""
        try:
            for folder in (self.run, self.logs, self.sockets):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.sockets.chmod(0o700)
        except OSError as error:
            raise unusable(Path(error.filename), error) from None

    @property
    def settings(self) -> Path:
        """The settings of the running stack."""
        return self.run / "settings.json"

    def log(self, name: str) -> Path:
        """The log file of a program."""
        return self.logs / f"{name}.log"

    def tail(self, name: str, n_lines: int = 12) -> list[str]:
        """The last lines that a program logged."""
        try:
            lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if line.strip()][-n_lines:]


@contextlib.contextmanager
def exclusive_lock(paths: StackPaths) -> Iterator[None]:
    """Hold the lock of the data folder. Raises DeployError while another stack holds it."""
    try:
        paths.run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(paths.run, error) from None
    with (paths.run / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise DeployError(
                f"Already running on {paths.data} (process {file.read() or '?'}): stop that one first."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_running(paths: StackPaths) -> bool:
    """Whether a stack holds the lock of this data folder."""
    try:
        with (paths.run / "lock").open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # never started here
    return False


@contextlib.contextmanager
def running_settings(paths: StackPaths, environ: Mapping[str, str]) -> Iterator[None]:
    """While the stack runs, keep its settings in a file (mode 0600), so that commands find it with the same ones."""
    ours = {name: value for name, value in environ.items() if name.upper().startswith(PREFIX) and name != HUB_TOKEN}
    paths.settings.unlink(missing_ok=True)
    descriptor = os.open(paths.settings, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(ours, file, indent=1)
    try:
        yield
    finally:
        paths.settings.unlink(missing_ok=True)


def read_running_settings(paths: StackPaths) -> dict[str, str]:
    """The settings of the stack that runs on this data folder; none where no stack holds its lock."""
    if not is_running(paths):
        return {}
    try:
        found = json.loads(paths.settings.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _socket_folder(run: Path) -> Path:
    """The run folder, or a private one in the temporary folder where that path is too long for a unix socket."""
    if len(os.fsencode(run)) <= LONGEST_SOCKET_FOLDER:
        return run
    name = hashlib.sha256(os.fsencode(run)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"inglenook-{os.getuid()}-{name}"
