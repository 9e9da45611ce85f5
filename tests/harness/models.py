"""Model files that tests and benches run on, beside the demo model (engine/model/hardware.py)."""

from pathlib import Path

from deploy.setup.model_of_tests import path_of_test_model
from engine.errors import CutOff
from engine.model.info import info_of_parts


def gemma_path() -> Path:
    """Gemma 3 270M, a base model with a sliding window of 512 tokens and no chat template."""
    path = path_of_test_model()
    assert path.is_file(), f"the model of the tests is not at {path}: `make venv-dev` fetches it"
    return path


def beginning_of(path: Path, folder: Path, step: int = 1 << 16) -> tuple[Path, int]:
    """The shortest beginning of a model file that holds its header, in steps of `step` bytes, as it would come from a
    server; and the size of the whole."""
    size = path.stat().st_size
    target = folder / f"beginning-of-{path.name}"
    for n_bytes in range(step, size, step):
        with path.open("rb") as file:
            target.write_bytes(file.read(n_bytes))
        try:
            info_of_parts([(target, size)])
        except CutOff:
            continue
        return target, size
    raise AssertionError("no header ends in this file")
