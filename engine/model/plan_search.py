"""Search for the best memory plan: GPU layers, lanes, KV type, batch, context and cells for a model and a budget. Pure.

Priorities: all layers on the card; then as many lanes as requested; then the first allowed KV type that gives a
comfortable context, else the first that gives a usable one, with the largest batch that leaves room for it; then the
longest context that fits; then every cell in layers with a sliding window, not only the windows (a reply is then taken
back without a checkpoint); then cells for an idle session beside the lanes. At most a quarter of the layers stays on
the CPU unless the request says otherwise: more would be slow without a visible reason.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil

from engine.errors import DoesNotFit, ModelError
from engine.model.info import ModelInfo
from engine.model.memory_plan import CONTEXT_STEP, DENSE_SEQUENCES, GIB, KV_VALUE_BYTES, MemoryPlan, whole_steps

COMFORTABLE_CONTEXT, MIN_CONTEXT, MAX_CONTEXT = 4096, 2048, 8192
"""Tokens per session: preferred; refused below; beyond MAX_CONTEXT attention only gets slower."""
MIN_GPU_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What to plan for. `context` 0: what fits. `gpu_layers` -1: all that fit, 0: no card, n: exactly n.

    `kv_types` are tried in this order, `n_batches` (tokens of one decode) within each of them.
    """

    context: int = 0
    lanes: int = 2
    gpu_layers: int = -1
    kv_types: Sequence[str] = ("f16", "q8_0")
    n_batches: Sequence[int] = (512, 256)


def plan_memory(model: ModelInfo, budget_bytes: int, request: PlanRequest | None = None) -> MemoryPlan:
    """The best plan within the budget. Raises ModelError that says what does not fit, by how much, and what to
    change."""
    request = request or PlanRequest()
    unknown = [kind for kind in request.kv_types if kind not in KV_VALUE_BYTES]
    if unknown or not request.kv_types:
        raise ModelError(
            f"KV type {unknown[0] if unknown else ''!r} is not supported: choose {' or '.join(KV_VALUE_BYTES)}"
        )
    for n_gpu_layers in _layer_counts(model, request):
        for lanes in range(max(1, request.lanes), 0, -1):
            plan = _longest(model, budget_bytes, request, n_gpu_layers, lanes)
            if plan is not None:
                return plan
    raise _refusal(model, budget_bytes, request)


def _layer_counts(model: ModelInfo, request: PlanRequest) -> Iterator[int]:
    everything = model.n_layers + 1
    if request.gpu_layers >= 0:
        yield min(request.gpu_layers, everything)
        return
    yield from range(everything, ceil(everything * MIN_GPU_SHARE) - 1, -1)


def _longest(
    model: ModelInfo, budget_bytes: int, request: PlanRequest, n_gpu_layers: int, lanes: int
) -> MemoryPlan | None:
    """The plan with the longest context for these layers and lanes, and the first KV type that reaches a goal.

    It has cells for one idle session beside the lanes, unless that would shorten the context.
    """
    max_context = min(MAX_CONTEXT if n_gpu_layers else MIN_CONTEXT, model.n_context_train)
    usual_goals = [min(goal, max_context) for goal in (COMFORTABLE_CONTEXT, MIN_CONTEXT)]
    goals = [request.context] if request.context else usual_goals
    for goal, kv_type, n_batch in product(goals, request.kv_types, request.n_batches):
        contexts = dict.fromkeys([*range(request.context or max_context, goal, -CONTEXT_STEP), goal])
        for context in contexts:
            base = MemoryPlan(model, budget_bytes, n_gpu_layers, kv_type, context, lanes, 0, n_batch)
            plan = next((plan for plan in _variants(base, (lanes + 1, lanes)) if plan.fits), None)
            if plan is not None:
                return plan
    return None


def _variants(base: MemoryPlan, n_sessions: Sequence[int]) -> Iterator[MemoryPlan]:
    """`base` with cells and sequences for so many sessions, the best first: every cell in every layer, then, where that
    takes less, windows only in the layers that have one; with as many spare sequences as possible."""
    for swa_full, n, spare in product((True, False), n_sessions, (2, 1)):
        costly = base.state_bytes or not swa_full
        n_sequences = n + spare if costly else max(DENSE_SEQUENCES, n + spare)
        plan = replace(base, n_cells=whole_steps(n * base.context), n_sequences=n_sequences, swa_full=swa_full)
        if swa_full or plan.cell_bytes < replace(plan, swa_full=True).cell_bytes:
            yield plan


def _smallest(model: ModelInfo, budget_bytes: int, request: PlanRequest, n_gpu_layers: int) -> MemoryPlan:
    context = request.context or min(MIN_CONTEXT, model.n_context_train)
    kv_type = min(request.kv_types, key=KV_VALUE_BYTES.__getitem__)
    base = MemoryPlan(model, budget_bytes, n_gpu_layers, kv_type, context, 1, 0, min(request.n_batches))
    return min(_variants(base, (1,)), key=lambda plan: plan.total_bytes)


def _refusal(model: ModelInfo, budget_bytes: int, request: PlanRequest) -> DoesNotFit:
    everything = model.n_layers + 1
    n_gpu_layers = min(request.gpu_layers, everything) if request.gpu_layers >= 0 else everything
    least = _smallest(model, budget_bytes, request, n_gpu_layers)
    words = (
        f"{model.name or model.architecture} ({model.quantization}) does not fit into {_gib(budget_bytes)} of "
        f"{'card memory' if least.on_gpu else 'RAM'}: weights {_gib(least.weight_bytes)}, what one chat keeps of "
        f"{least.context} tokens {_gib(least.kv_bytes)}, computing {_gib(least.compute_bytes)} and "
        f"{_gib(least.reserve_bytes)} kept free are {_gib(least.total_bytes)}, "
        f"{_gib(least.total_bytes - budget_bytes)} too much. {_advice(model, budget_bytes, request, least)}"
    )
    return DoesNotFit(words, least.total_bytes, budget_bytes, least.on_gpu)


def _advice(model: ModelInfo, budget_bytes: int, request: PlanRequest, least: MemoryPlan) -> str:
    change = "Choose a smaller model or quantization"
    if request.context > MIN_CONTEXT:
        change += f", a context of less than {request.context} tokens"
    if least.on_gpu:
        fitting = (n for n in range(least.n_gpu_layers - 1, 0, -1) if _smallest(model, budget_bytes, request, n).fits)
        n_layers = next(fitting, 0)
        if n_layers:
            change += f", or ask for {n_layers} of its {model.n_layers + 1} layers on the card (the CPU is slow)"
        else:
            change += ", or run it without the card"
    return f"{change}."


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / GIB:.2f} GiB"
