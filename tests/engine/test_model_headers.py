"""The beginning of a model file says as much as the whole of it."""

import pytest
import tiny_models

from engine.errors import CutOff, ModelError
from engine.model.info import info_of_parts, read_model_info
from engine.model.known_facts import KnownFacts, file_key
from engine.model.loader import foresee_plan, plan_model
from engine.model.memory_plan import GIB, MIB
from engine.model.plan_search import PlanRequest
from tests.harness.models import beginning_of, gemma_path


@pytest.mark.parametrize(
    "path",
    [pytest.param("demo", marks=pytest.mark.model), pytest.param("gemma", marks=pytest.mark.model), "gemma4", "qwen35"],
)
def test_the_header_alone_gives_the_same_facts(path, demo_model, tmp_path):
    real = {"demo": lambda: demo_model, "gemma": gemma_path}
    whole = real[path]() if path in real else getattr(tiny_models, path)(tmp_path / "m.gguf")
    head, size = beginning_of(whole, tmp_path, step=1 << 22 if path in real else 1 << 12)
    assert head.stat().st_size < size / 2
    assert info_of_parts([(head, size)]) == read_model_info(whole)


def test_headers_of_the_parts_of_a_split_model(tmp_path):
    small = tiny_models.llama(tmp_path / "small.gguf", head_size=32)
    for part in (1, 2):
        (tmp_path / f"m-0000{part}-of-00002.gguf").write_bytes(small.read_bytes())
    heads = [beginning_of(tmp_path / f"m-0000{part}-of-00002.gguf", tmp_path) for part in (1, 2)]
    assert info_of_parts(heads) == read_model_info(tmp_path / "m-00001-of-00002.gguf")


def test_a_beginning_without_a_word_of_the_whole_size_is_a_file_that_was_cut_off(demo_model, tmp_path):
    head, _ = beginning_of(demo_model, tmp_path, step=1 << 22)
    with pytest.raises(CutOff):
        read_model_info(head)


@pytest.mark.parametrize("size", [64, 96])
def test_the_plan_that_is_foreseen_is_the_one_that_is_made(size, tmp_path):
    """Where it is tight, too: quantized cells, which a model of heads of 96 does not survive."""
    path = tiny_models.llama(tmp_path / "m.gguf", head_size=size, n_layers=4, n_heads=8, n_kv_heads=8)
    request = PlanRequest(gpu_layers=0)
    for mib in (340, 360, 400, 600):
        try:
            made = plan_model(path, request, mib * MIB, tmp_path / "facts", remember=False)
        except ModelError as error:
            with pytest.raises(type(error)):
                foresee_plan(read_model_info(path), None, request, mib * MIB)
        else:
            assert foresee_plan(read_model_info(path), None, request, mib * MIB) == made


def test_what_was_found_out_about_a_file_counts_for_it_alone(tmp_path):
    path = tiny_models.llama(tmp_path / "m.gguf", head_size=64)
    KnownFacts(tmp_path / "kv_types.json", "KV types").keep(file_key(path), "q8_0")
    model, request = read_model_info(path), PlanRequest(gpu_layers=0)
    assert foresee_plan(model, path, request, GIB, tmp_path).kv_type == "q8_0"
    assert foresee_plan(model, None, request, GIB, tmp_path).kv_type == "f16"
