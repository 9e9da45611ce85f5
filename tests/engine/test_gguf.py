"""The GGUF reader: the facts of real and made files, and a sentence for every broken one."""

import random
import re
import struct

import gguf
import pytest
import tiny_models

from engine.errors import ModelError
from engine.model.gguf import TENSOR_TYPES, read_header
from engine.model.info import read_model_info
from tests.harness.soak import n_examples


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("gguf") / "small.gguf", head_size=32, n_heads=4, n_kv_heads=2)


def test_the_demo_model(demo_model):
    info = read_model_info(demo_model)
    assert (info.architecture, info.quantization, info.n_layers, info.n_embedding) == ("llama", "Q4_1", 30, 576)
    assert (info.n_heads, info.kv_heads) == ((9,) * 30, (3,) * 30)
    assert (info.key_length, info.value_length, info.n_context_train, info.n_vocab) == (64, 64, 8192, 49152)
    assert "<|im_start|>" in info.chat_template
    reader = gguf.GGUFReader(demo_model)
    theirs = sum(int(tensor.n_bytes) for tensor in reader.tensors)
    assert (info.weight_bytes, info.tied_bytes) == (theirs, info.input_bytes)
    assert info.input_bytes == next(t.n_bytes for t in reader.tensors if t.name == "token_embd.weight")


def test_a_made_llama(small):
    info = read_model_info(small)
    assert (info.n_layers, info.n_heads, info.kv_heads, info.key_length) == (2, (4, 4), (2, 2), 32)
    assert (info.sliding_window, info.n_experts, info.state_bytes) == (0, 0, 0)
    assert not info.tied_bytes
    assert info.weight_bytes == sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(small).tensors)


def test_heads_of_each_layer_and_recurrent_state(tmp_path):
    info = read_model_info(tiny_models.jamba(tmp_path / "j.gguf"))
    assert info.kv_heads == (0, 1)
    assert info.state_bytes == 4 * (3 * 256 + 16 * 256)
    assert read_model_info(tiny_models.gemma2(tmp_path / "g.gguf")).sliding_window == 32
    assert read_model_info(tiny_models.mamba(tmp_path / "m.gguf")).kv_heads == (0, 0)


def test_the_sizes_of_types_are_those_of_ggml():
    theirs = {kind.value: sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: theirs[kind] for kind in TENSOR_TYPES} == TENSOR_TYPES


def test_the_names_of_quantizations_are_those_of_llama_cpp(tmp_path, small):
    data = bytearray(small.read_bytes())
    at = data.index(b"general.file_type") + len("general.file_type") + 4
    for kind in gguf.LlamaFileType:
        if kind.value in (4, 5, 6, 33, 34, 35, 1024) or kind.value > 38:
            continue
        data[at : at + 4] = struct.pack("<I", kind.value)
        (tmp_path / "m.gguf").write_bytes(data)
        name = read_model_info(tmp_path / "m.gguf").quantization
        assert re.sub("^(ALL|MOSTLY)_", "", kind.name).removesuffix("_MOE") == name


def test_an_unknown_type_is_measured_by_the_offsets(tmp_path, small):
    name = b"blk.0.ffn_up.weight"
    data = bytearray(small.read_bytes())
    at = data.index(name) + len(name) + 4 + 16
    data[at : at + 4] = struct.pack("<I", 99)
    (tmp_path / "m.gguf").write_bytes(data)
    assert read_model_info(tmp_path / "m.gguf").layer_bytes == read_model_info(small).layer_bytes


def test_a_split_model_is_read_whole(tmp_path, small):
    for part in (1, 2):
        (tmp_path / f"m-0000{part}-of-00002.gguf").write_bytes(small.read_bytes())
    whole = read_model_info(tmp_path / "m-00002-of-00002.gguf")
    assert sum(whole.layer_bytes) == 2 * sum(read_model_info(small).layer_bytes)
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(ModelError, match="there is no model file"):
        read_model_info(tmp_path / "m-00001-of-00002.gguf")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not a GGUF model"),
        (b"<html>", "is not a GGUF model"),
        (b"GGUF", "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version is 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "version is 50331648"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "claims 1152921504606846976 tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "does not say what kind of model"),
        (b"GGUF" + struct.pack("<IQQQ1sIQ", 3, 0, 1, 1, b"k", 8, 1 << 62), "cut off"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 8, 1 << 62), "cut off"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 0, 1 << 62), "cut off"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 77), "unknown type 77"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 9) + struct.pack("<IQ", 9, 1) * 9, "unknown type 9"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 0, 1, b"k", 9), "has 9 dimensions"),
    ],
)
def test_hostile_files_are_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=sentence) as refused:
        read_model_info(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(ModelError, match="there is no model file"):
        read_model_info(tmp_path / "none.gguf")
    with pytest.raises(ModelError, match="cannot be read"):
        read_model_info(tmp_path)


def test_every_truncation_is_seen(tmp_path, small):
    whole = small.read_bytes()
    header = whole.index(b"output_norm")
    path = tmp_path / "m.gguf"
    for size in (*range(0, 200, 7), *range(200, header, 997), header, len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError):
            read_model_info(path)


def test_thousands_of_mutations_end_in_facts_or_a_sentence(tmp_path, small):
    """The weights are a hole in a sparse file, so that a mutation costs writing 10 KB and no more."""
    chance, whole = random.Random(7), small.read_bytes()
    end = whole.rindex(b"blk.1.") + 100
    path, outcomes = tmp_path / "m.gguf", {"read": 0, "refused": 0}
    with path.open("wb") as file:
        file.truncate(len(whole))
    for _ in range(n_examples(800, 30_000)):
        data = bytearray(whole[:end])
        for _ in range(chance.choice((1, 1, 2, 8))):
            mutate(data, chance)
        with path.open("r+b") as file:
            file.write(data)
        outcome = facts_or_sentence(path)
        if isinstance(outcome, str):
            assert "\n" not in outcome
            outcomes["refused"] += 1
        else:
            assert len(outcome.layer_bytes) == outcome.n_layers == len(outcome.kv_heads)
            outcomes["read"] += 1
    assert min(outcomes.values()) > 100, outcomes


def facts_or_sentence(path):
    try:
        return read_model_info(path)
    except ModelError as error:
        return str(error)


def mutate(data, chance):
    at = chance.randrange(4, len(data) - 8)
    kind = chance.randrange(4)
    if kind == 0:
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        data[at : at + 8] = struct.pack("<Q", chance.choice((0, 1, 1 << 31, 1 << 63, (1 << 64) - 1)))
    elif kind == 2:
        source = chance.randrange(len(data) - 64)
        data[at : at + 8] = data[source : source + 8]
    else:  # the names and small numbers at the front are where the structure is
        data[chance.randrange(4, 700)] = chance.randrange(256)


def test_values_of_every_type(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "x")
    values = {"b": True, "f": 0.5, "s": "text", "l": [1, 2], "n": ["a", "b"], "i": -3}
    writer.add_bool("b", True)
    writer.add_float64("f", 0.5)
    writer.add_string("s", "text")
    writer.add_array("l", [1, 2])
    writer.add_array("n", ["a", "b"])
    writer.add_int64("i", -3)
    writer.add_array("long", list(range(5000)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    header = read_header(tmp_path / "m.gguf")
    assert values.items() <= header.values.items()
    assert (header.values["long"], header.lengths["long"]) == (None, 5000)
