"""The virtual environment: where .venv is, pip in it with all of its words in a log, and lines of progress.

What it refuses to know: what is installed (deploy/bootstrap.py), and how llama.cpp is built (llama_wheel.py).
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv"
N_LINES_OF_A_FAULT = 12


class SetupError(Exception):
    """Set-up cannot go on; the message is one sentence for the person at the keyboard."""


class BrokenOff(SetupError):
    """A program was ended from outside: nothing is wrong with what it did, and it can go on later."""


def venv_python() -> Path:
    """The Python inside .venv."""
    return VENV / "bin" / "python"


def site_packages() -> Path:
    """Where pip puts packages in .venv."""
    return next(iter((VENV / "lib").glob("python*/site-packages")), VENV / "lib" / "site-packages")


def log_file() -> Path:
    """What pip and the compiler said."""
    return VENV / "install.log"


def share() -> Path:
    """The folder in .venv for what is no package."""
    return VENV / "share" / "inglenook"


def cache_folder() -> Path:
    """The user's folder for what every clone may use again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inglenook"


def make_venv() -> None:
    """Create .venv, anew where the one that is there cannot start (a Python that has been removed)."""
    if python_starts():
        return
    say("Creating .venv with Python {}.{} ...".format(*sys.version_info[:2]))
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise SetupError(
            "Python could not create .venv: its venv module is missing (Debian: `apt install python3-venv`)."
        )


def python_starts() -> bool:
    """True if .venv has a Python that runs."""
    command = [str(venv_python()), "-c", "import pip"]
    return venv_python().exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0


def pinned(package: str) -> str:
    """`package==version` as pyproject.toml pins it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(f'"({re.escape(package)}==[^" ]+)"', text)
    if not found:
        raise SetupError(f"pyproject.toml pins no version of {package}.")
    return found.group(1)


def pip(*arguments: str) -> None:
    """Run pip in .venv with its output in a log. Raises SetupError with the end of that log if it fails."""
    done = run_pip(*arguments)
    write_log("$ pip {}\n{}\n".format(" ".join(arguments), done.stdout))
    if done.returncode != 0:
        raise SetupError("`pip {}` failed, {}".format(" ".join(arguments), end_of(done.stdout)))


def run_pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pip in .venv from the top of the repository; returns status and output."""
    return subprocess.run(
        pip_command(*arguments),
        cwd=str(ROOT),
        env=pip_environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def pip_command(*arguments: str) -> list[str]:
    """The command line of pip in .venv."""
    return [str(venv_python()), "-m", "pip", *arguments]


def pip_environ(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of pip: ours, without the question for newer versions, and `more`."""
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(more or {})}


def write_log(text: str) -> None:
    """Add to the log of the set-up."""
    with log_file().open("a", encoding="utf-8") as log:
        log.write(text)


def end_of(output: str) -> str:
    """Where to read on, and the last lines of a program that failed."""
    tail = "\n".join(output.splitlines()[-N_LINES_OF_A_FAULT:])
    return f"all of its words are in {log_file()}:\n{tail}"


def say(text: str) -> None:
    """A line of progress."""
    print("inglenook: " + text, flush=True)
