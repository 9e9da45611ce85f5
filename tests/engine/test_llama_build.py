"""What llama.cpp was built for: by its label, else by its libraries."""

import json
import sys

import pytest

from engine.model.cards import Card
from engine.model.llama_build import LABEL, LlamaBuild, llama_build

INFO = "some_llama-1.0.dist-info"
NVIDIA, AMD = Card("RTX", 6144, 6000, "nvidia", "580.95", "8.6"), Card("AMD card 0x73bf", 8192, 8000, "amd")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package `some-llama` with this label and these libraries."""

    def install(label, *libraries):
        (tmp_path / INFO).mkdir()
        (tmp_path / INFO / "METADATA").write_text("Metadata-Version: 2.1\nName: some-llama\nVersion: 1.0\n")
        (tmp_path / INFO / "RECORD").write_text("".join(f"llama_cpp/lib/{name},,\n" for name in libraries))
        if label is not None:
            (tmp_path / INFO / LABEL).write_text(label)
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        return llama_build("some-llama")

    return install


def test_a_label_says_it(package):
    label = {"backend": "cuda", "architecture": "sm_86", "compiler": "nvcc 13.5 from PyPI", "options": "-DGGML_CUDA=ON"}
    build = package(json.dumps(label), "libggml-cuda.so")
    assert build == LlamaBuild("1.0", **label)
    assert str(build) == "CUDA (sm_86)"


@pytest.mark.parametrize("label", [None, "", "{", '{"backend": "cuda", "colour": "red"}', "[]"])
def test_without_a_label_the_libraries_say_it(package, label):
    assert package(label, "libggml-base.so", "libggml-cpu.so", "libggml-vulkan.so.0") == LlamaBuild("1.0", "vulkan")


def test_a_build_for_the_processor(package):
    assert str(package(None, "libggml-cpu.so")) == "the processor"
    assert llama_build("there-is-no-such-llama") == LlamaBuild("", "cpu")
    assert llama_build().version


def test_the_card_that_a_backend_uses():
    assert LlamaBuild("1.0", "cuda").card((AMD, NVIDIA)) == NVIDIA
    assert LlamaBuild("1.0", "vulkan").card((AMD, NVIDIA)) == AMD
    assert LlamaBuild("1.0", "cpu").card((AMD, NVIDIA)) is None
