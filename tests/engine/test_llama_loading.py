"""What llama.cpp says when it cannot load becomes one sentence: too little memory is told from a damaged file."""

import logging
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine import MemoryShortage, ModelError
from engine.backend import DecodeResult, TokenRun
from engine.backends import llama_log
from engine.backends.llama import LlamaBackend, LlamaOptions
from tests.engine import tiny_models

TOO_MANY_CELLS = 1 << 22  # 94 GB


@pytest.mark.model
def test_cells_that_no_memory_holds_are_a_shortage(demo_model, caplog):
    options = LlamaOptions(n_cells=TOO_MANY_CELLS, n_sequences=2, n_batch=64, n_gpu_layers=0)
    with pytest.raises(MemoryShortage, match=r"too little memory for 4194304 KV cells .* \(llama\.cpp: "):
        LlamaBackend(demo_model, options)
    assert any(record.levelno == logging.ERROR for record in caplog.records)


@pytest.mark.model
def test_a_damaged_file_is_no_shortage(tmp_path, demo_model):
    path = tmp_path / "cut.gguf"
    path.write_bytes(demo_model.read_bytes()[:1_000_000])
    with pytest.raises(ModelError, match="damaged") as caught:
        LlamaBackend(path, LlamaOptions(n_cells=256))
    assert not isinstance(caught.value, MemoryShortage)


@pytest.mark.parametrize(
    "line",
    [
        "alloc_buffer: allocating 512.00 MiB on device 0: cudaMalloc failed: out of memory",
        "ggml_vulkan: Device memory allocation of size 5368709120 failed.",
        "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
        "llama_model_load: error loading model: unable to allocate Vulkan0 buffer",
        "alloc_tensor_range: failed to allocate CPU buffer of size 24696061952",
    ],
)
def test_the_complaints_about_memory_are_known(line):
    llama_log.forget_complaints()
    llama_log.note(logging.ERROR, line)
    llama_log.note(logging.ERROR, "llama_init_from_model: failed to initialize the context")
    assert llama_log.memory_complaint() == line
    assert llama_log.last_complaint().startswith("llama_init_from_model")
    llama_log.forget_complaints()
    assert llama_log.memory_complaint() == llama_log.last_complaint() == ""


@pytest.mark.parametrize(
    "line",
    [
        "graph_compute: ggml_backend_sched_graph_compute_async failed with error 1",
        "process_ubatch: failed to compute graph, compute status: 1",
        "decode: removing memory module entries for seq_id = 13, pos = [90, +inf)",
        "llama_decode: failed to decode, ret = 2",
    ],
)
def test_a_decode_that_was_stopped_is_no_complaint(line, caplog):
    llama_log.forget_complaints()
    llama_log.note(logging.ERROR, line)
    assert llama_log.last_complaint() == ""
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]
    llama_log.note(logging.ERROR, line.replace("1", "-1").replace("= 2", "= -3").replace("removing", "no"))
    assert llama_log.last_complaint()


def test_a_read_that_is_really_aborted_writes_no_line_into_the_log(tmp_path, caplog):
    """worker.log had `graph_compute ... failed with error 1` for every stop of a long read."""
    path = tmp_path / "tiny.gguf"
    tiny_models.llama(path)
    backend = LlamaBackend(path, LlamaOptions(n_cells=256, n_sequences=2, n_batch=64, n_gpu_layers=0))
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    backend.set_abort(lambda: True)
    assert backend.decode([TokenRun(0, 0, [5] * 48)]) is DecodeResult.ABORTED
    said = [record for record in caplog.records if record.name.startswith("engine.backends.llama")]
    assert any("failed with error 1" in record.getMessage() for record in said), "llama.cpp complains, and"
    assert [record.getMessage() for record in said if record.levelno > logging.DEBUG] == [], "nobody is told"
    backend.set_abort(None)
    backend.close()


def test_what_llama_cpp_says_of_layers_on_the_card_is_taken_once():
    llama_log.note(logging.DEBUG, "load_tensors: offloaded 25/31 layers to GPU")
    assert llama_log.take_offloaded() == (25, 31)
    assert llama_log.take_offloaded() is None


@pytest.mark.model
def test_without_a_card_no_layer_is_on_it(demo_model):
    backend = LlamaBackend(demo_model, LlamaOptions(n_cells=256, n_sequences=2, n_batch=64, n_gpu_layers=0))
    assert (backend.n_on_card, backend.n_layers) == (0, 31)
    backend.close()


def test_devices_are_asked_of_the_library_that_computes(tmp_path):
    """With LLAMA_CPP_LIB_PATH another build is loaded; the package has a second copy, with cards of its own."""
    package = find_spec("llama_cpp")
    shutil.copytree(Path(package.origin).parent / "lib", tmp_path / "lib")
    script = "from engine.backends import llama_devices; print(llama_devices.libggml._name)"
    environ = {**os.environ, "LLAMA_CPP_LIB_PATH": str(tmp_path / "lib")}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).parent == tmp_path / "lib"
