"""The memory plan: models of well-known shapes in budgets of well-known cards, and what llama.cpp really allocates."""

import logging
import re
from dataclasses import replace

import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backend import DecodeResult, TokenRun
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.errors import ModelError
from engine.model.info import ModelInfo, read_model_info
from engine.model.loader import load_model
from engine.model.memory_plan import GIB, HEADROOM_BYTES, MIB, MemoryPlan
from engine.model.plan_search import COMFORTABLE_CONTEXT, MIN_CONTEXT, PlanRequest, plan_memory
from tests.harness.models import gemma_path
from tests.harness.soak import n_examples


def model(name, quantization, n_layers, width, ff, heads, n_kv_heads, vocab, layer_mib, ends_mib, **changes):
    """A model by its published shape; sizes in MiB: of one layer, of the embeddings, and of the output."""
    facts = {
        "architecture": "llama",
        "name": name,
        "quantization": quantization,
        "n_layers": n_layers,
        "n_embedding": width,
        "n_feed_forward": ff,
        "n_layer_embedding": 0,
        "n_heads": (heads,) * n_layers,
        "kv_heads": (n_kv_heads,) * n_layers,
        "key_length": width // heads,
        "value_length": width // heads,
        "n_context_train": 32768,
        "sliding_window": 0,
        "n_vocab": vocab,
        "n_experts": 0,
        "layer_bytes": (int(layer_mib * MIB),) * n_layers,
        "input_bytes": int(ends_mib[0] * MIB),
        "output_bytes": int(ends_mib[1] * MIB),
        "tied_bytes": int(ends_mib[0] * MIB) if ends_mib[1] < 1 else 0,
        "key_length_swa": width // heads,
        "value_length_swa": width // heads,
        "windowed": (False,) * n_layers,
        "layer_state_bytes": (0,) * n_layers,
        "n_mtp_layers": 0,
        "chat_template": "",
    }
    return ModelInfo(**(facts | changes))


MISTRAL_7B = model("Mistral 7B", "Q4_K_M", 32, 4096, 14336, 32, 8, 32000, 125.2, (70, 103))
LLAMA2_7B = model("Llama 2 7B", "Q4_K_M", 32, 4096, 11008, 32, 32, 32000, 116.1, (70, 103), n_context_train=4096)
LLAMA_3B = model("Llama 3.2 3B", "Q4_K_M", 28, 3072, 8192, 24, 8, 128256, 57.7, (309, 0.1))
SMOL_135M = model("SmolLM2 135M", "Q4_1", 30, 576, 1536, 9, 3, 49152, 2.1, (28.7, 0.1), n_context_train=8192)
LLAMA2_13B = model("Llama 2 13B", "Q4_K_M", 40, 5120, 13824, 40, 40, 32000, 182, (88, 128), n_context_train=4096)
MIXTRAL = model("Mixtral 8x7B", "Q4_K_M", 32, 4096, 2 * 14336, 32, 8, 32000, 782, (70, 103), n_experts=8)
OLMOE = model("OLMoE 1B of 7B", "Q4_K_M", 16, 2048, 8 * 1024, 16, 16, 50304, 238, (56, 80), n_experts=64)
HYBRID_9B = model(
    "Qwen3.5 9B", "Q4_K_M", 32, 4096, 12288, 16, 4, 248320, 130, (546, 796),
    kv_heads=(0, 0, 0, 4) * 8, key_length=256, value_length=256, layer_state_bytes=(2195456, 2195456, 2195456, 0) * 8,
)  # fmt: skip
WINDOWS_12B = model(
    "Gemma 3 12B", "Q4_K_M", 48, 3840, 15360, 16, 8, 262144, 127.5, (787, 0),
    key_length=256, value_length=256, key_length_swa=256, value_length_swa=256, sliding_window=1024,
    windowed=(True, True, True, True, True, False) * 8,
)  # fmt: skip
CARD = 6 * GIB


@pytest.mark.parametrize(
    ("asked", "context", "kv_type"),
    [(MISTRAL_7B, 4096, "f16"), (LLAMA_3B, 8192, "f16"), (SMOL_135M, 8192, "f16"), (OLMOE, 4096, "f16")],
)
def test_what_fits_a_card_of_6_gib_runs_on_it_whole(asked, context, kv_type):
    plan = plan_memory(asked, CARD)
    assert plan.n_gpu_layers == asked.n_layers + 1
    assert (plan.lanes, plan.kv_type) == (2, kv_type)
    assert plan.context >= context
    assert plan.n_cells >= plan.lanes * plan.context
    assert plan.total_bytes <= CARD


def test_a_7b_without_grouped_heads_takes_smaller_cells_before_it_gives_up_a_lane():
    plan = plan_memory(LLAMA2_7B, CARD)
    assert (plan.n_gpu_layers, plan.lanes, plan.kv_type) == (33, 2, "q8_0")
    assert MIN_CONTEXT <= plan.context <= COMFORTABLE_CONTEXT
    only_f16 = plan_memory(LLAMA2_7B, CARD, PlanRequest(kv_types=("f16",)))
    assert (only_f16.n_gpu_layers, only_f16.lanes, only_f16.kv_type) == (33, 1, "f16")


@pytest.mark.parametrize(("asked", "layers"), [(LLAMA2_13B, 41), (MIXTRAL, 33)])
def test_what_does_not_fit_is_refused_with_numbers_and_a_way_out(asked, layers):
    with pytest.raises(ModelError) as refused:
        plan_memory(asked, CARD)
    said = str(refused.value)
    found = re.search(r"are ([\d.]+) GiB, ([\d.]+) GiB too much", said)
    assert float(found[1]) - float(found[2]) == pytest.approx(6.0, abs=0.02)
    n_layers = int(re.search(rf"ask for (\d+) of its {layers} layers", said)[1])
    plan = plan_memory(asked, CARD, PlanRequest(gpu_layers=n_layers, lanes=1))
    assert plan.n_gpu_layers == n_layers
    with pytest.raises(ModelError):
        plan_memory(asked, CARD, PlanRequest(gpu_layers=n_layers + 1, lanes=1))


def test_a_few_layers_may_stay_on_the_cpu():
    plan = plan_memory(MISTRAL_7B, 4608 * MIB)
    assert 0.75 * 33 <= plan.n_gpu_layers < 33
    assert plan.total_bytes <= 4608 * MIB


def test_without_a_card_the_budget_is_the_ram():
    plan = plan_memory(MISTRAL_7B, 8 * GIB, PlanRequest(gpu_layers=0))
    assert (plan.on_gpu, plan.context, plan.lanes) == (False, MIN_CONTEXT, 2)
    assert plan.weight_bytes == MISTRAL_7B.weight_bytes
    with pytest.raises(ModelError, match=r"into 4\.00 GiB of RAM: .* Choose a smaller model or quantization\."):
        plan_memory(MISTRAL_7B, 4 * GIB, PlanRequest(gpu_layers=0))


def test_a_wished_context_is_kept_or_refused():
    assert plan_memory(LLAMA_3B, CARD, PlanRequest(context=12_345)).context == 12_345
    with pytest.raises(ModelError, match="a context of less than 400000 tokens"):
        plan_memory(LLAMA_3B, CARD, PlanRequest(context=400_000))


def test_a_short_trained_model_gets_its_own_context():
    plan = plan_memory(model("tiny", "F16", 2, 64, 128, 2, 2, 300, 1, (1, 1), n_context_train=512), CARD)
    assert plan.context == 512


def test_an_unknown_kv_type_is_a_sentence():
    with pytest.raises(ModelError, match=r"KV type 'q4_0' is not supported: choose f16 or q8_0"):
        plan_memory(SMOL_135M, CARD, PlanRequest(kv_types=("q4_0",)))


def test_the_formula_of_kv_cells():
    """Mistral 7B: 8 heads x 128 x 2 x 32 layers x 2 bytes = 128 KiB a token, as every model card says."""
    plan = MemoryPlan(MISTRAL_7B, CARD, 33, "f16", 1024, 1, 1024, 512)
    assert plan.kv_bytes == 128 * MIB
    half = MemoryPlan(MISTRAL_7B, CARD, 17, "f16", 1024, 1, 1024, 512)
    assert half.kv_bytes == 64 * MIB


def test_empty_states_take_no_room_from_chats():
    """50 MiB a sequence: sixteen of them, used or not, were 804 MiB of this card."""
    plan = plan_memory(HYBRID_9B, 8 * GIB)
    assert plan.state_bytes == 24 * 2195456
    assert (plan.lanes, plan.context, plan.kv_type, plan.n_sequences) == (2, 8192, "f16", 5)
    assert plan.kv_bytes - plan.cell_bytes == 5 * plan.state_bytes
    assert plan.cell_bytes == 3 * 8192 * 32 * 1024
    assert re.search(r"states +\d+ MiB  of 5 sequences", plan.describe())
    sizes = {(plan.n_cells // 8192, plan.n_sequences) for plan in plans(HYBRID_9B, 5.5, 8) if plan.context == 8192}
    assert sizes == {(2, 3), (2, 4), (3, 4), (3, 5)}  # the spare one goes before an idle session
    assert plan_memory(MISTRAL_7B, CARD).n_sequences == 16


def test_windows_alone_are_kept_where_all_cells_would_cost_context_or_lanes():
    """Gemma 3 12B: 384 KiB a token with all cells, 64 KiB with windows, and 320 MiB for each window."""
    tight, roomy = plan_memory(WINDOWS_12B, 12 * GIB), plan_memory(WINDOWS_12B, 24 * GIB)
    assert (tight.lanes, tight.context, tight.swa_full, tight.n_sequences) == (2, 8192, False, 5)
    assert tight.n_window_cells == 5 * 1024 + 512
    assert (roomy.lanes, roomy.context, roomy.swa_full, roomy.n_sequences) == (2, 8192, True, 16)
    between = plan_memory(WINDOWS_12B, 15 * GIB)
    assert (between.context, between.swa_full, between.n_cells) == (8192, True, 2 * 8192)
    assert "5632 of them in layers with a window of 1024" in tight.describe()
    assert "window" not in roomy.describe()


def test_windows_that_would_save_nothing_are_not_tried():
    wide = replace(WINDOWS_12B, sliding_window=8192)
    for gib in range(8, 20):
        plan = plan_or_sentence(wide, gib * GIB, PlanRequest())
        assert isinstance(plan, str) or plan.swa_full


def test_layers_that_are_not_loaded_are_counted_by_llama_cpp():
    """It puts layers on the card from the end of the file on: without the count, two real ones would stay behind."""
    plan = plan_memory(replace(MISTRAL_7B, n_mtp_layers=2), CARD)
    assert (plan.n_gpu_layers, plan.n_offloaded) == (33, 35)
    assert plan_memory(replace(MISTRAL_7B, n_mtp_layers=2), 8 * GIB, PlanRequest(gpu_layers=0)).n_offloaded == 0


def test_a_model_is_loaded_as_planned(tmp_path, caplog):
    path = tiny_models.gemma3(tmp_path / "m.gguf")
    plan = MemoryPlan(read_model_info(path), CARD, 0, "f16", 1024, 1, 2048, 256, n_sequences=3, swa_full=False)
    with caplog.at_level(logging.DEBUG, logger="engine.backends.llama"):
        backend = load_model(path, plan, n_threads=1)
    try:
        assert "non-SWA KV cache, size = 2048 cells" in caplog.text
        assert "    SWA KV cache, size = 512 cells" in caplog.text
        assert "n_outputs_max         = 16" in caplog.text
        runs = [TokenRun(0, position, (65,), wants_logits=True) for position in range(17)]
        with pytest.raises(ValueError, match="17 rows of logits of one batch, at most 16"):
            backend.decode(runs)
        assert backend.decode(runs[:16]) is DecodeResult.DONE
    finally:
        backend.close()


def test_the_table_says_it_all():
    table = plan_memory(MISTRAL_7B, CARD).describe()
    assert "Mistral 7B, Q4_K_M" in table
    assert "33 of 33 layers in the card" in table
    assert re.search(r"together +[\d,]+ MiB  of 6,144 MiB", table)
    assert "2 at once" in table
    assert "all in the RAM" in plan_memory(MISTRAL_7B, 8 * GIB, PlanRequest(gpu_layers=0)).describe()


@given(st.integers(256, 40_000), st.integers(1, 6), st.sampled_from([0, 1024, 3000, 8192]), st.integers(-1, 40))
@settings(max_examples=n_examples(25, 1000), deadline=None)
def test_a_plan_never_exceeds_its_budget(budget_mib, lanes, context, gpu_layers):
    for asked in (MISTRAL_7B, SMOL_135M, OLMOE, HYBRID_9B, WINDOWS_12B):
        request = PlanRequest(context, lanes, gpu_layers)
        plan = plan_or_sentence(asked, budget_mib * MIB, request)
        if isinstance(plan, str):
            assert re.search(r" \d+\.\d\d GiB too much", plan)
            continue
        assert plan.total_bytes <= budget_mib * MIB
        assert plan.total_bytes > HEADROOM_BYTES
        assert 1 <= plan.lanes <= lanes
        assert plan.n_cells >= plan.lanes * plan.context
        assert plan.n_outputs >= plan.n_sequences >= plan.lanes + 1


def plans(asked, least_gib, most_gib):
    """The plans for budgets in steps of 32 MiB."""
    found = (plan_or_sentence(asked, mib * MIB) for mib in range(int(least_gib * 1024), int(most_gib * 1024), 32))
    return [plan for plan in found if not isinstance(plan, str)]


def plan_or_sentence(*asked):
    try:
        return plan_memory(*asked)
    except ModelError as error:
        return str(error)


MAKERS = tiny_models.MAKERS | {
    "wide": lambda path: tiny_models.llama(path, head_size=128, n_heads=8),
    "mtp": lambda path: tiny_models.qwen35(path, n_mtp=1),
}
SIZES = {"kv": r"(?:KV|RS) buffer size = +([\d.]+) MiB", "compute": r"compute buffer size = +([\d.]+) MiB"}


@pytest.mark.parametrize("kind", ["demo", "gemma 270m", "wide", "mtp", *sorted(tiny_models.MAKERS)])
@pytest.mark.parametrize(("n_cells", "n_sequences", "swa_full"), [(1024, 16, True), (4096, 3, True), (4096, 3, False)])
def test_llama_cpp_allocates_what_was_planned(kind, n_cells, n_sequences, swa_full, demo_model, tmp_path, caplog):
    real_models = {"demo": demo_model, "gemma 270m": gemma_path()}
    path = real_models.get(kind) or MAKERS[kind](tmp_path / "m.gguf")
    model = read_model_info(path)
    plan = MemoryPlan(model, CARD, 0, "f16", n_cells, 1, n_cells, 512, n_sequences, swa_full)
    with caplog.at_level(logging.DEBUG, logger="engine.backends.llama"):
        options = LlamaOptions(
            n_cells, n_sequences, n_batch=512, n_threads=1, swa_full=swa_full, n_outputs=plan.n_outputs
        )
        LlamaBackend(path, options).close()
    real = {name: sum(float(size) for size in re.findall(pattern, caplog.text)) for name, pattern in SIZES.items()}
    assert plan.kv_bytes / MIB == pytest.approx(real["kv"], rel=0.03, abs=0.006)  # its log has two decimals
    assert real["compute"] <= plan.compute_bytes / MIB <= 2 * real["compute"] + 4


def test_batches_are_smaller_where_that_gives_a_comfortable_context():
    large = PlanRequest(context=COMFORTABLE_CONTEXT, kv_types=("f16",), n_batches=(512,))
    enough = plan_memory(MISTRAL_7B, CARD, large)
    tight = enough.total_bytes - 20 * MIB
    while fits(MISTRAL_7B, tight, large):
        tight -= 20 * MIB
    plan = plan_memory(MISTRAL_7B, tight, replace(large, n_batches=(512, 256)))
    assert (plan.n_batch, plan.context, plan.lanes, plan.n_gpu_layers) == (256, 4096, 2, 33)


def fits(asked, budget_bytes, request):
    """Whether all layers and lanes do."""
    plan = plan_or_sentence(asked, budget_bytes, request)
    return isinstance(plan, MemoryPlan) and (plan.lanes, plan.n_gpu_layers) == (2, asked.n_layers + 1)
