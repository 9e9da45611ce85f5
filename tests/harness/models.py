"""Model files that tests and benches run on, beside the demo model (engine/model/hardware.py)."""

from pathlib import Path

from deploy.setup.model_of_tests import path_of_test_model


def gemma_path() -> Path:
    """Gemma 3 270M, a base model with a sliding window of 512 tokens and no chat template."""
    path = path_of_test_model()
    assert path.is_file(), f"the model of the tests is not at {path}: `make venv-dev` fetches it"
    return path
