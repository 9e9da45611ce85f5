"""What each layer keeps of a text, read from the metadata of each kind of model."""

from pathlib import Path

import pytest
import tiny_models

from engine.errors import ModelError
from engine.model.gguf import Header
from engine.model.info import read_model_info
from engine.model.layers import layer_memory
from engine.model.metadata import Metadata


def memory(architecture, n_layers, **values):
    named = {f"{architecture}.{key.replace('__', '.')}": value for key, value in values.items()}
    header = Header({"general.architecture": architecture, **named}, {}, ())
    return layer_memory(Metadata(Path("m.gguf"), header), n_layers, 64, (4,) * n_layers)


@pytest.mark.parametrize(
    ("architecture", "values", "full"),
    [
        ("gemma2", {}, [1, 3, 5, 7]),
        ("gemma3", {"attention__sliding_window": 1024}, [5]),
        ("gemma3", {"attention__sliding_window": 1024, "attention__sliding_window_pattern": 4}, [3, 7]),
        ("gemma3", {"attention__sliding_window": 0}, range(8)),
        ("gpt-oss", {"attention__sliding_window": 128}, [1, 3, 5, 7]),
        ("cohere2", {"attention__sliding_window": 4096}, [3, 7]),
        ("cohere2moe", {"attention__sliding_window": 4096}, [0, 4]),
        ("llama4", {}, [3, 7]),
        ("llama4", {"attention__sliding_window": 0}, range(8)),
        ("exaone4", {"attention__sliding_window": 4096}, range(8)),
        ("step35", {"attention__sliding_window": 512, "attention__sliding_window_pattern": [True] * 7 + [False]}, [7]),
        ("phi3", {"attention__sliding_window": 2047}, range(8)),
        ("llama", {"attention__sliding_window": 4096}, range(8)),
    ],
)
def test_the_layers_with_a_window(architecture, values, full):
    found = memory(architecture, 8, **values)
    assert [layer for layer, windowed in enumerate(found.windowed) if not windowed] == list(full)
    assert bool(found.window) == any(found.windowed)


def test_layers_without_cells_of_their_own():
    assert memory("gemma4", 4, attention__shared_kv_layers=3).kv_heads == (4, 0, 0, 0)
    assert memory("gemma3n", 22).kv_heads == (4,) * 20 + (0, 0)
    with pytest.raises(ModelError, match=r"gemma4\.attention\.shared_kv_layers is 9"):
        memory("gemma4", 8, attention__shared_kv_layers=9)


MAMBA = {"ssm__conv_kernel": 4, "ssm__inner_size": 128, "ssm__state_size": 16}
DELTA = MAMBA | {"ssm__group_count": 2}
BYTES_DELTA = 4 * (3 * (128 + 64) + 128 * 16)


@pytest.mark.parametrize(
    ("architecture", "values", "recurrent", "n_bytes"),
    [
        ("mamba", MAMBA, [0, 1, 2, 3], 4 * (3 * 128 + 128 * 16)),
        ("qwen35", DELTA, [0, 1, 2], BYTES_DELTA),
        ("qwen35", DELTA | {"full_attention_interval": 2}, [0, 2], BYTES_DELTA),
        ("qwen35", DELTA | {"attention__recurrent_layers": [False, True, True, False]}, [1, 2], BYTES_DELTA),
        ("jamba", MAMBA | {"attention__head_count_kv": [0, 4, 0, 4]}, [0, 2], 4 * (3 * 128 + 128 * 16)),
        ("nemotron_h", DELTA | {"attention__head_count_kv": [0, 0, 4, 0], "feed_forward_length": [0, 9, 0, 0]}, [0, 3],
         BYTES_DELTA),
        ("lfm2", {"shortconv__l_cache": 3, "attention__head_count_kv": [0, 0, 4, 0]}, [0, 1, 3], 4 * 64 * 2),
        ("kimi-linear", {"kda__head_dim": 8, "ssm__conv_kernel": 4, "attention__head_count_kv": [0, 4, 4, 4]}, [0],
         4 * (3 * 3 * 4 * 8 + 8 * 8 * 4)),
        ("rwkv7", {"wkv__head_size": 16}, [0, 1, 2, 3], 4 * (2 * 64 + 64 * 16)),
        ("minimax-01", {"attention__key_length": 8}, [0, 1, 2, 3], 4 * 8 * 8 * 4),
    ],
)  # fmt: skip
def test_the_layers_with_a_state(architecture, values, recurrent, n_bytes):
    found = memory(architecture, 4, **values)
    assert found.state_bytes == tuple(n_bytes if layer in recurrent else 0 for layer in range(4))
    assert all((found.kv_heads[layer] == 0) for layer in recurrent)


def test_falcon_h1_has_both_in_each_layer():
    found = memory("falcon-h1", 2, **DELTA)
    assert found.kv_heads == (4, 4)
    assert found.state_bytes == (BYTES_DELTA, BYTES_DELTA)


def test_layers_that_guess_ahead_are_not_loaded(tmp_path):
    plain = read_model_info(tiny_models.qwen35(tmp_path / "plain.gguf"))
    guessing = read_model_info(tiny_models.qwen35(tmp_path / "mtp.gguf", n_mtp=1))
    assert (guessing.n_layers, guessing.n_mtp_layers) == (plain.n_layers, 1)
    assert guessing.weight_bytes == plain.weight_bytes
    assert guessing.kv_heads == plain.kv_heads == (0, 0, 0, 1)


def test_a_small_head_in_layers_with_a_window(tmp_path):
    info = read_model_info(tiny_models.gemma4(tmp_path / "m.gguf"))
    assert [info.cell_values(layer) for layer in range(8)] == [128, 128, 128, 256, 0, 0, 0, 0]
    assert info.tied_bytes < info.input_bytes  # embeddings of each layer are looked up, never multiplied
