"""What each layer of a model keeps of a text: cells of every token, cells of a window, a recurrent state, or nothing.

Follows llama.cpp (llama-cpp-python 0.3.36): `load_arch_hparams` of each architecture, `llama_hparams::n_embd_r` and
`n_embd_s`, and the layer filters of `llama_model::create_memory`. What it refuses to know: the file format, and what
fits where (engine/model/memory_plan.py).

To add an architecture: its period of windows here where its files do not list them, its state where it is not one of
those below; a tiny model of it (tests/engine/tiny_models.py), which tests/engine/test_memory_plan.py compares with what
llama.cpp allocates.
"""

from dataclasses import dataclass

from engine.model.metadata import Metadata

_PERIODS = {
    "gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "exaone4": 4, "exaone-moe": 4, "afmoe": 4,
    "llama4": 4, "olmo2": 4, "plamo3": 8, "muse-glimmer": 4, "mellum": 4,
}  # fmt: skip
"""Of so many layers the last one sees everything, the others a window; a file may say another number, or a list."""
_FULL_FIRST = {"cohere2moe": 4, "laguna": 4, "smallthinker": 4}
"""The same, but the first one sees everything."""
_LISTED = frozenset({"gemma4", "granite-swa", "maple", "mimo2", "spark2-5", "step35", "dots3note"})
"""These always list their layers with a window."""
_WINDOWS = {"gemma2": 4096, "llama4": 8192, "exaone-moe": 128}
"""Windows of files that do not name theirs."""
_RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
_INTERVALS = {"qwen35": 4, "qwen35moe": 4, "qwen3next": 4, "qwen4exp": 4, "minimax-01": 8}
"""Of so many layers the last one has attention, the others a state; a file may say another number, or a list."""


@dataclass(frozen=True, slots=True)
class LayerMemory:
    """Per layer: KV heads with cells of their own, whether only the last `window` tokens are seen, bytes of state."""

    kv_heads: tuple[int, ...]
    windowed: tuple[bool, ...]
    state_bytes: tuple[int, ...]
    window: int


def layer_memory(facts: Metadata, n_layers: int, n_embedding: int, n_heads: tuple[int, ...]) -> LayerMemory:
    """The memory of the first `n_layers` layers (those that are loaded)."""
    heads = facts.per_layer("attention.head_count_kv", n_layers, None) or n_heads
    recurrent = _recurrent(facts, n_layers, heads)
    n_state = 4 * _state_values(facts, n_embedding, max(n_heads, default=0))
    beside = facts.architecture == "falcon-h1"  # every layer has a state and attention
    window = _window(facts, n_layers)
    windowed = tuple(flag and window > 0 for flag in _windowed(facts, n_layers, recurrent))
    owns = n_layers - _n_shared(facts, n_layers)
    return LayerMemory(
        tuple(
            0 if (state and not beside) or index >= owns else count
            for index, (count, state) in enumerate(zip(heads, recurrent, strict=True))
        ),
        windowed,
        tuple(n_state if state else 0 for state in recurrent),
        window if any(windowed) else 0,
    )


def _recurrent(facts: Metadata, n_layers: int, heads: tuple[int, ...]) -> tuple[bool, ...]:
    name = facts.architecture
    if name in _RECURRENT or name == "falcon-h1":
        return (True,) * n_layers
    if name in _INTERVALS:
        listed = facts.per_layer("attention.recurrent_layers", n_layers, None)
        interval = facts.number("full_attention_interval", 1, default=_INTERVALS[name])
        return tuple(map(bool, listed)) or tuple((index + 1) % interval != 0 for index in range(n_layers))
    if name.startswith("nemotron_h"):
        inner = facts.per_layer("feed_forward_length", n_layers, 0)
        return tuple(not count and not width for count, width in zip(heads, inner, strict=True))
    return tuple(count == 0 for count in heads)


def _state_values(facts: Metadata, n_embedding: int, n_heads: int) -> int:
    """Floats of one sequence's state in one layer (llama_hparams::n_embd_r + n_embd_s)."""
    taps = facts.number("ssm.conv_kernel")
    if head := facts.number("wkv.head_size"):  # RWKV
        return n_embedding * (facts.number("token_shift_count", default=2) + head)
    if length := facts.number("shortconv.l_cache"):  # LFM2
        return n_embedding * (length - 1)
    if head := facts.number("kda.head_dim"):  # Kimi
        return n_heads * head * (3 * (taps - 1 if taps else 3) + head)
    if facts.architecture == "minimax-01":
        head = facts.number("attention.key_length", default=n_embedding // max(1, n_heads))
        return n_heads * head * head
    inner, states = facts.number("ssm.inner_size"), facts.number("ssm.state_size")  # Mamba, gated delta net
    mixed = inner + 2 * facts.number("ssm.group_count") * states
    return max(0, taps - 1) * mixed + inner * states


def _window(facts: Metadata, n_layers: int) -> int:
    if facts.architecture == "exaone4" and n_layers != 64:
        return 0
    if facts.architecture == "llama4":
        return 8192 if facts.number("attention.sliding_window", default=8192) else 0
    window = facts.number("attention.sliding_window", default=_WINDOWS.get(facts.architecture, 0))
    return 4096 if window and facts.architecture == "smallthinker" else window


def _windowed(facts: Metadata, n_layers: int, recurrent: tuple[bool, ...]) -> tuple[bool, ...]:
    name, key = facts.architecture, "attention.sliding_window_pattern"
    if name == "lfm2":
        return tuple(not state for state in recurrent)
    if name not in _PERIODS and name not in _FULL_FIRST and name not in _LISTED:
        return (False,) * n_layers  # llama.cpp reads no window for it
    if facts.is_list(key):
        return tuple(map(bool, facts.per_layer(key, n_layers, 0)))
    full = 0 if name in _FULL_FIRST else -1
    period = facts.number(key, default=_FULL_FIRST.get(name, _PERIODS.get(name, 1)))
    return tuple(period == 0 or index % period != full % period for index in range(n_layers))


def _n_shared(facts: Metadata, n_layers: int) -> int:
    """The last layers that read the cells of earlier ones (Gemma 3n: all but 20)."""
    default = max(0, n_layers - 20) if facts.architecture == "gemma3n" else 0
    return facts.number("attention.shared_kv_layers", 0, n_layers, default=default)
