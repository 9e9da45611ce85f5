"""The model of random weights: a published file's length, numbers of the right size, and llama.cpp decodes with it."""

import gguf
import numpy as np
import pytest

from bench.gpu.random_model import TOY, q4_blocks, q6_blocks, random_model
from bench.model_outlines import Q4, Q6, outline
from engine.backend import DecodeResult, TokenRun
from engine.backends.llama import LlamaBackend, LlamaOptions


@pytest.mark.parametrize(("make", "kind"), [(q4_blocks, Q4), (q6_blocks, Q6)])
def test_blocks_hold_numbers_of_the_deviation_that_was_asked_for(make, kind):
    random = np.random.default_rng(0)
    blocks = make(lambda n, size: np.frombuffer(random.bytes(n * size), np.uint8).reshape(n, size), 500, 1 / 64)
    values = gguf.quants.dequantize(blocks, kind)
    assert values.size == 500 * 256
    assert values.std() == pytest.approx(1 / 64, rel=0.01)
    assert abs(values.mean()) < 0.05 / 64


def test_the_file_is_as_long_as_its_outline(tmp_path):
    made = random_model(tmp_path / "m.gguf", TOY)
    assert made.stat().st_size == outline(tmp_path / "o.gguf", TOY).stat().st_size
    read = gguf.GGUFReader(made)
    norm = next(tensor for tensor in read.tensors if tensor.name == "blk.3.ffn_norm.weight")
    assert (norm.data == 1).all()
    assert {tensor.tensor_type for tensor in read.tensors} == {Q4, Q6, gguf.GGMLQuantizationType.F32}


@pytest.mark.model
def test_llama_cpp_decodes_with_it_and_what_comes_depends_on_all_that_was_read(tmp_path):
    backend = LlamaBackend(random_model(tmp_path / "m.gguf", TOY), LlamaOptions(256, 2, n_batch=64, n_threads=1))
    rows = []
    for first in (10, 11):
        backend.clear()
        assert backend.decode([TokenRun(0, 0, (first, 30, 40, 50), True)]) is DecodeResult.DONE
        rows.append(backend.logits(0))
    backend.close()
    assert np.isfinite(rows).all()
    assert rows[0].std() > 0.5
    assert not np.allclose(rows[0], rows[1], atol=1e-3)
