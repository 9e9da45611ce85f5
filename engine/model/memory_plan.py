"""Memory plan: how a model is laid out in a budget of bytes, and what each part takes. Pure.

What it refuses to know: files, devices, llama.cpp, settings, and which plan is the best one (plan_search.py). The
budget is the memory of the card, or the RAM when there is no card.
Each formula names its source; tests/engine/test_memory_plan.py compares them with what llama.cpp allocates.
"""

from dataclasses import dataclass, replace
from math import ceil

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
MIN_OUTPUTS = 16


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
        model, all_cells = self.model, whole_steps(self.n_cells)
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
            return whole_steps(self.n_cells)
        windows = self.model.sliding_window * self.n_sequences + self.n_batch
        return whole_steps(min(whole_steps(self.n_cells), windows))

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
        masks = 2 * n * (whole_steps(self.n_cells) + (self.n_window_cells if model.sliding_window else 0))
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
    def ram_bytes(self) -> int:
        """What it takes of the RAM: everything without a card; beside a card the weights and cells that stay behind."""
        if not self.on_gpu:
            return self.total_bytes
        left_cells = replace(self, n_gpu_layers=0).kv_bytes - self.kv_bytes
        return max(0, self.model.weight_bytes - self.weight_bytes) + left_cells

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


def whole_steps(n_cells: int) -> int:
    """So many cells as llama.cpp allocates for them."""
    return -(-n_cells // CONTEXT_STEP) * CONTEXT_STEP


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / MIB:>8,.0f} MiB"
