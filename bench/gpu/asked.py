"""What a step is asked for, on its command line: the model, the build, its seconds; and how it is told to stop."""

import argparse
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType


@dataclass(frozen=True, slots=True)
class Asked:
    """`model` is the 7B-shaped file (a small one with `toy`), `folder` a place for files, `on_card` whether there is
    a card that llama.cpp computes on."""

    model: Path
    libraries: Path
    folder: Path
    seconds: float
    toy: bool
    on_card: bool
    threads: int


def ask(what: str | None) -> Asked:
    """Read the command line. SIGTERM unwinds from here on, so that servers and files are cleaned up."""
    signal.signal(signal.SIGTERM, _leave)
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=what)
    for name in ("model", "libraries", "folder"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--on-card", action="store_true")
    given = Asked(**vars(parser.parse_args()))
    given.folder.mkdir(parents=True, exist_ok=True)
    return given


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)
