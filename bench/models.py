"""The model that a bench runs on: `--model` is the path of a GGUF file, `gemma`, or `tiny-KIND`; without it, the demo.

`gemma` is the model of the tests (tests/harness/models.py). `tiny-qwen35`, `tiny-jamba` and so on are random weights of
that architecture (tests/engine/tiny_models.py): what they write is noise, what they read is counted as for any other.
"""

import argparse
from pathlib import Path

from engine.model.hardware import demo_model
from tests.engine import tiny_models
from tests.harness.models import gemma_path

TINY = "tiny-"


def add_model(parser: argparse.ArgumentParser) -> None:
    """The argument that `model_file` reads."""
    parser.add_argument("--model", default="", help="a GGUF file, gemma, or tiny-KIND (tiny-qwen35); else the demo")


def model_file(named: str, folder: Path) -> Path:
    """The file of a model; a tiny one is written into `folder`."""
    if not named:
        return demo_model()
    if named == "gemma":
        return gemma_path()
    if not named.startswith(TINY):
        return Path(named)
    maker = getattr(tiny_models, named.removeprefix(TINY), None)
    if not callable(maker):
        raise SystemExit(f"tests/engine/tiny_models.py makes no {named.removeprefix(TINY)!r}")
    folder.mkdir(parents=True, exist_ok=True)
    path: Path = maker(folder / f"{named}.gguf")
    return path
