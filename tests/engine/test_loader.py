"""From a model file to a plan: KV types that are tried, found out once, and kept."""

import json

import pytest
import tiny_models

from engine.errors import ModelError
from engine.model.info import read_model_info
from engine.model.known_facts import KnownFacts, file_key
from engine.model.loader import foresee_plan, plan_model
from engine.model.memory_plan import MIB
from engine.model.plan_search import PlanRequest, plan_memory

WIDE = {"head_size": 64, "n_layers": 4, "n_heads": 8, "n_kv_heads": 8}
AUTO = PlanRequest(gpu_layers=0, kv_types=("f16", "q8_0"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("models") / "m.gguf", **WIDE)


def budget_for(path, kv_type, context=2048):
    """The least budget, in steps of a MiB, that such a plan fits into."""
    info, request = read_model_info(path), PlanRequest(context, gpu_layers=0, kv_types=(kv_type,))
    for mib in range(300, 2000):
        try:
            plan_memory(info, mib * MIB, request)
        except ModelError:
            continue
        return mib * MIB
    raise AssertionError("nothing fits")


def test_quantized_cells_are_planned_where_f16_would_not_fit(model, tmp_path):
    tight = budget_for(model, "q8_0")
    assert tight < budget_for(model, "f16")
    assert plan_model(model, AUTO, tight, tmp_path).kv_type == "q8_0"
    assert plan_model(model, AUTO, budget_for(model, "f16"), None).kv_type == "f16"


def test_the_kv_type_of_the_last_start_stays_while_it_serves_as_well(model, tmp_path):
    """A game that runs beside the first start must not make every story be read again at the next."""
    assert plan_model(model, AUTO, budget_for(model, "q8_0"), tmp_path).kv_type == "q8_0"
    assert plan_model(model, AUTO, budget_for(model, "f16"), tmp_path).kv_type == "q8_0"
    assert plan_model(model, PlanRequest(gpu_layers=0, kv_types=("f16",)), 1 << 30, tmp_path).kv_type == "f16"
    assert plan_model(model, AUTO, 1 << 30, tmp_path).kv_type == "q8_0", "a setting for one start is no fact"


def test_a_kept_type_that_does_not_fit_any_more_is_given_up(model, tmp_path):
    assert plan_model(model, AUTO, 1 << 30, tmp_path).kv_type == "f16"
    assert plan_model(model, AUTO, budget_for(model, "q8_0"), tmp_path).kv_type == "q8_0"
    (kept,) = json.loads((tmp_path / "kv_types.json").read_text()).values()
    assert kept == "q8_0"


def test_each_worker_has_the_type_that_it_had_with_its_card(model, tmp_path):
    small, large = budget_for(model, "q8_0"), budget_for(model, "f16")
    for _ in range(2):
        assert plan_model(model, AUTO, small, tmp_path, owner="gpu0").kv_type == "q8_0"
        assert plan_model(model, AUTO, large, tmp_path, owner="gpu1").kv_type == "f16"
    assert plan_model(model, AUTO, large, tmp_path, owner="gpu0").kv_type == "q8_0", "its blocks are of this type"


def test_what_was_kept_before_there_was_one_for_each_worker_counts_until_it_has_its_own(model, tmp_path):
    assert plan_model(model, AUTO, budget_for(model, "q8_0"), tmp_path).kv_type == "q8_0"
    assert plan_model(model, AUTO, budget_for(model, "f16"), tmp_path, owner="gpu0").kv_type == "q8_0"
    foreseen = foresee_plan(read_model_info(model), model, AUTO, budget_for(model, "f16"), tmp_path, owner="gpu0")
    assert foreseen.kv_type == "q8_0"


@pytest.mark.parametrize("fact", ["q4_0", 7, None, ["f16"]])
def test_a_kept_type_that_makes_no_sense_is_ignored(model, tmp_path, fact):
    KnownFacts(tmp_path / "kv_types.json", "KV types").keep(file_key(model), fact)
    assert plan_model(model, AUTO, 1 << 30, tmp_path).kv_type == "f16"


def test_cells_that_the_model_does_not_survive_are_not_planned(tmp_path):
    lopsided = tiny_models.llama(tmp_path / "m.gguf", outlier=2000.0, **WIDE)
    with pytest.raises(ModelError, match="does not fit"):
        plan_model(lopsided, AUTO, budget_for(lopsided, "q8_0"), tmp_path)
    assert plan_model(lopsided, AUTO, budget_for(lopsided, "f16"), tmp_path).kv_type == "f16"
