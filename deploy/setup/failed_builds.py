"""Failed builds (negative cache): which builds could not be compiled on this machine, and why, for every clone.

What it does: `GPU=auto` does not lose an hour twice on what has failed before, whatever was chosen in between. A build
is known by llama.cpp's version, backend, architecture and processor (as its wheel is), and by its compilers: with
another one of these it is tried again. A backend that is asked for by name is always tried, and a success forgets.
What it refuses to know: what a failure is (deploy/setup/llama.py); what could not be fetched is none.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from deploy.setup.cxx_compiler import compiler_version
from deploy.setup.llama_wheel import WantedBuild, wheel_folder
from deploy.setup.venv import cache_folder

MAX_WHY = 300


def why_failed(build: WantedBuild) -> str:
    """Why this build has failed before; empty where it has not."""
    return _read().get(_key(build), "")


def remember_failure(build: WantedBuild, why: str) -> None:
    """Note it for the next start, of any clone."""
    _write({**_read(), _key(build): why[:MAX_WHY]})


def forget_failure(build: WantedBuild) -> None:
    """It works now."""
    known = _read()
    if known.pop(_key(build), None) is not None:
        _write(known)


def _key(build: WantedBuild) -> str:
    return ", ".join((wheel_folder(build).name, build.compiler or "no compiler for a card", compiler_version()))


def _file() -> Path:
    return cache_folder() / "failed-builds.json"


def _read() -> dict[str, str]:
    try:
        read = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(why) for key, why in read.items()} if isinstance(read, dict) else {}


def _write(known: Mapping[str, str]) -> None:
    _file().parent.mkdir(parents=True, exist_ok=True)
    new = _file().with_suffix(".new")
    new.write_text(json.dumps(known, indent=1), encoding="utf-8")
    new.replace(_file())
