"""Memory planner: chooses GPU layers, KV type, context, lanes and cells for a model and a budget in bytes. Pure.

What it refuses to know: files, devices, llama.cpp, settings. The budget is the memory of the card, or the RAM when
there is no card. Priorities: all layers on the card; then as many lanes as requested; then the first allowed KV type
that gives a comfortable context, else the first that gives a usable one; then the longest context that fits; then every
cell in layers with a sliding window, not only the windows (a reply is then taken back without a checkpoint); then cells
for an idle session beside the lanes. At most a quarter of the layers stays on the CPU unless the request says
otherwise: more would be slow without a visible reason.
Each formula names its source; tests/engine/test_memory_plan.py compares them with what llama.cpp allocates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil

from engine.errors import ModelError
from engine.model.info import ModelInfo

MIB, GIB = 1 << 20, 1 << 30
HEADROOM_BYTES = 300 * MIB
"""Left free: a failed allocation on a card kills the process (measured, see docs/decisions/engine.md)."""
DRIVER_BYTES = 200 * MIB
"""What CUDA's context and kernels take on a small card before anything is allocated."""
KV_VALUE_BYTES = {"f16": 2.0, "q8_0": 34 / 32}
"""Bytes of one value in a KV cell; q8_0 keeps 32 values in 34 bytes (ggml block_q8_0)."""
CONTEXT_STEP = 256
"""llama.cpp pads cells to it."""
DENSE_SEQUENCES = 16
"""Where a sequence costs nothing. Where it does: one for each session that the cells have room for, the engine's
scratch, and, if that fits, one to read a session anew while it goes on."""
COMFORTABLE_CONTEXT, MIN_CONTEXT, MAX_CONTEXT = 4096, 2048, 8192
"""Tokens per session: preferred; refused below; beyond MAX_CONTEXT attention only gets slower."""
MIN_GPU_SHARE = 0.75
MIN_OUTPUTS = 16


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What to plan for. `context` 0: what fits. `gpu_layers` -1: all that fit, 0: no card, n: exactly n.

    `kv_types` are tried in this order.
    """

    context: int = 0
    lanes: int = 2
    gpu_layers: int = -1
    kv_types: Sequence[str] = ("f16", "q8_0")
    n_batch: int = 512


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How to load a model, and the bytes that it takes. `n_gpu_layers` counts the output as a layer, like llama.cpp.

    `swa_full`: layers with a sliding window keep all cells, too.
    """

    model: ModelInfo
    budget_bytes: int
    n_gpu_layers: int
    kv_type: str
    context: int
    lanes: int
    n_cells: int
    n_batch: int
    n_sequences: int = DENSE_SEQUENCES
    swa_full: bool = True

    @property
    def on_gpu(self) -> bool:
        """Whether the budget is that of a card."""
        return self.n_gpu_layers > 0

    @property
    def n_offloaded(self) -> int:
        """`n_gpu_layers` as llama.cpp counts: the layers that are not loaded come last in the file, and are counted."""
        return self.n_gpu_layers + (self.model.n_mtp_layers if self.on_gpu else 0)

    @property
    def weight_bytes(self) -> int:
        """Weights on the device. Token embeddings stay in RAM beside a card, and layers go there from the last one on
        (llama.cpp, llama_model::load_tensors); the output, tied or not, is the first to go.
        """
        model = self.model
        if not self.on_gpu:
            return model.weight_bytes
        return sum(model.layer_bytes[layer] for layer in self._layers) + model.output_bytes + model.tied_bytes

    @property
    def kv_bytes(self) -> int:
        """KV cells and recurrent states on the device."""
        return self.cell_bytes + self.n_sequences * self.state_bytes

    @property
    def cell_bytes(self) -> int:
        """Cells x layers x heads x (key + value) (llama.cpp, llama_kv_cache: n_embd_k_gqa, n_embd_v_gqa)."""
        model, all_cells = self.model, _whole_steps(self.n_cells)
        n_values = sum(
            model.cell_values(layer) * (self.n_window_cells if model.windowed[layer] else all_cells)
            for layer in self._layers
        )
        return ceil(n_values * KV_VALUE_BYTES[self.kv_type])

    @property
    def n_window_cells(self) -> int:
        """Cells of the layers with a sliding window: all, or one window for each sequence and a batch (llama.cpp,
        llama_kv_cache_iswa::llama_kv_cache_iswa).
        """
        if self.swa_full:
            return _whole_steps(self.n_cells)
        windows = self.model.sliding_window * self.n_sequences + self.n_batch
        return _whole_steps(min(_whole_steps(self.n_cells), windows))

    @property
    def state_bytes(self) -> int:
        """The recurrent state of one sequence in the layers on the device; each sequence has one, used or not
        (llama.cpp, llama_memory_recurrent::llama_memory_recurrent).
        """
        return sum(self.model.layer_state_bytes[layer] for layer in self._layers)

    @property
    def _layers(self) -> range:
        """The layers on the device."""
        n_layers = self.model.n_layers
        return range(max(0, n_layers - self.n_gpu_layers + 1) if self.on_gpu else 0, n_layers)

    @property
    def n_outputs(self) -> int:
        """Rows of logits that one batch may ask for: one for each sequence, and llama.cpp wants no fewer."""
        return max(MIN_OUTPUTS, self.n_sequences)

    @property
    def compute_bytes(self) -> int:
        """Working memory of one batch of n tokens: the larger of the logits (outputs x vocabulary floats) and a layer's
        rows (n x (5 x width + 3 x inner) floats, those of embeddings per layer, and two copies of every sequence's
        state), and the attention masks (n x cells, f16; llama.cpp, llama_context::sched_reserve). For the models of
        bench/published_shapes.py 5 to 45 % more than llama.cpp says; with layers on the CPU a whole one may be copied
        over for a large batch.
        """
        model, n = self.model, self.n_batch
        inner = max(model.n_feed_forward, max(model.n_heads, default=0) * max(model.key_length, model.key_length_swa))
        rows = 4 * n * (5 * model.n_embedding + 3 * inner + 2 * model.n_layer_embedding)
        states = 2 * self.n_sequences * max(model.layer_state_bytes)
        masks = 2 * n * (_whole_steps(self.n_cells) + (self.n_window_cells if model.sliding_window else 0))
        partial = self.on_gpu and self.n_gpu_layers <= model.n_layers
        logits = 4 * self.n_outputs * model.n_vocab
        return int(1.05 * (max(logits, rows + states) + masks)) + MIB + (max(model.layer_bytes) if partial else 0)

    @property
    def reserve_bytes(self) -> int:
        """Bytes that stay free, plus what the driver takes on a card."""
        return HEADROOM_BYTES + (DRIVER_BYTES if self.on_gpu else 0)

    @property
    def total_bytes(self) -> int:
        """All bytes, headroom included."""
        return self.weight_bytes + self.kv_bytes + self.compute_bytes + self.reserve_bytes

    @property
    def fits(self) -> bool:
        """Whether the total is within the budget."""
        return self.total_bytes <= self.budget_bytes

    def describe(self) -> str:
        """The plan as a table for the log."""
        model, where = self.model, "card" if self.on_gpu else "RAM"
        layers = (
            f"{min(self.n_gpu_layers, model.n_layers + 1)} of {model.n_layers + 1} layers" if self.on_gpu else "all"
        )
        cells = f"{self.n_cells} tokens, {self.kv_type}"
        if not self.swa_full:
            cells += f", {self.n_window_cells} of them in layers with a window of {model.sliding_window}"
        states = (f"{_mib(self.n_sequences * self.state_bytes)}  of {self.n_sequences} sequences",) * bool(
            self.state_bytes
        )
        rows = [
            ("model", f"{model.name or model.architecture}, {model.quantization}, {model.architecture}"),
            ("weights", f"{_mib(self.weight_bytes)}  {layers} in the {where}"),
            ("KV cells", f"{_mib(self.cell_bytes)}  {cells}"),
            *(("states", text) for text in states),
            ("computing", f"{_mib(self.compute_bytes)}  batches of {self.n_batch} tokens"),
            ("kept free", f"{_mib(self.reserve_bytes)}"),
            ("together", f"{_mib(self.total_bytes)}  of {_mib(self.budget_bytes).strip()}"),
            ("chats", f"{self.lanes} at once, {self.context} tokens each"),
            ("forgets", model.describe_forgetting()),
        ]
        return "\n".join(f"{name:<10} {text}" for name, text in rows)


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
    for goal, kv_type in product(goals, request.kv_types):
        contexts = dict.fromkeys([*range(request.context or max_context, goal, -CONTEXT_STEP), goal])
        for context in contexts:
            base = MemoryPlan(model, budget_bytes, n_gpu_layers, kv_type, context, lanes, 0, request.n_batch)
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
        plan = replace(base, n_cells=_whole_steps(n * base.context), n_sequences=n_sequences, swa_full=swa_full)
        if swa_full or plan.cell_bytes < replace(plan, swa_full=True).cell_bytes:
            yield plan


def _smallest(model: ModelInfo, budget_bytes: int, request: PlanRequest, n_gpu_layers: int) -> MemoryPlan:
    context = request.context or min(MIN_CONTEXT, model.n_context_train)
    kv_type = min(request.kv_types, key=KV_VALUE_BYTES.__getitem__)
    base = MemoryPlan(model, budget_bytes, n_gpu_layers, kv_type, context, 1, 0, request.n_batch)
    return min(_variants(base, (1,)), key=lambda plan: plan.total_bytes)


def _refusal(model: ModelInfo, budget_bytes: int, request: PlanRequest) -> ModelError:
    everything = model.n_layers + 1
    n_gpu_layers = min(request.gpu_layers, everything) if request.gpu_layers >= 0 else everything
    least = _smallest(model, budget_bytes, request, n_gpu_layers)
    return ModelError(
        f"{model.name or model.architecture} ({model.quantization}) does not fit into {_gib(budget_bytes)} of "
        f"{'card memory' if least.on_gpu else 'RAM'}: weights {_gib(least.weight_bytes)}, what one chat keeps of "
        f"{least.context} tokens {_gib(least.kv_bytes)}, computing {_gib(least.compute_bytes)} and "
        f"{_gib(least.reserve_bytes)} kept free are {_gib(least.total_bytes)}, "
        f"{_gib(least.total_bytes - budget_bytes)} too much. {_advice(model, budget_bytes, request, least)}"
    )


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


def _whole_steps(n_cells: int) -> int:
    return -(-n_cells // CONTEXT_STEP) * CONTEXT_STEP


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / MIB:>8,.0f} MiB"


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / GIB:.2f} GiB"
