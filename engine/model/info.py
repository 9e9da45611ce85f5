"""Model facts: layers, heads, context and sizes of a model, from the metadata of its GGUF file(s).

What it refuses to know: the file format (engine/model/gguf.py), what fits where (engine/model/memory_plan.py),
llama.cpp.

To add a fact of an architecture: a field of ModelInfo with its unit, its key in `_MetadataReader.info` (with a default
where other architectures lack it), its effect on bytes in engine/model/memory_plan.py with the line of llama.cpp that
it comes from, a model in tests/engine/tiny_models.py that has it, `model` in tests/engine/test_memory_plan.py, and
tests/engine/test_gguf.py. What llama.cpp itself answers (`can_shift`) belongs in engine/backends/llama.py.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ModelError
from engine.model.gguf import Header, Tensor, Value, read_header

_LAYER = re.compile(r"blk\.(\d+)\.")
_ARCHITECTURE = re.compile(r"[\w.-]{1,64}")
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_MAX_LAYERS = 4096
_FILE_TYPE_NAMES = (
    "F32 F16 Q4_0 Q4_1 - - - Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ2_XXS "
    "IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16 - - - TQ1_0 TQ2_0 MXFP4"
)
_FILE_TYPES = dict(enumerate(_FILE_TYPE_NAMES.split()))


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model. Per-layer tuples have `n_layers` entries; a layer without KV cells has 0 `kv_heads`.

    `n_feed_forward` is the widest inner row of a layer: of its experts in use, too, and of a recurrence.
    `layer_bytes` are the weights of each layer, `input_bytes` the token embeddings, `output_bytes` everything after
    the last layer. With `tied` embeddings the output uses those of the input: a GPU needs a copy of its own.
    `state_bytes` is the recurrent state of one sequence, all layers together.
    """

    architecture: str
    name: str
    quantization: str
    n_layers: int
    n_embedding: int
    n_feed_forward: int
    n_heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    key_length: int
    value_length: int
    n_context_train: int
    sliding_window: int
    n_vocab: int
    n_experts: int
    layer_bytes: tuple[int, ...]
    input_bytes: int
    output_bytes: int
    tied: bool
    state_bytes: int
    chat_template: str

    @property
    def weight_bytes(self) -> int:
        """All weights in the file."""
        return sum(self.layer_bytes) + self.input_bytes + self.output_bytes


def read_model_info(path: Path) -> ModelInfo:
    """The facts of a model file, including the other parts of a split one. Raises ModelError."""
    first = _first_part(path)
    header = read_header(first)
    tensors = list(header.tensors)
    for part in _other_parts(first):
        tensors += read_header(part).tensors
    return _MetadataReader(first, header, tensors).info()


def _first_part(path: Path) -> Path:
    match = _SPLIT.search(path.name)
    return path.with_name(path.name[: match.start()] + f"-00001-of-{match[2]}.gguf") if match else path


def _other_parts(first: Path) -> list[Path]:
    match = _SPLIT.search(first.name)
    if not match:
        return []
    stem = first.name[: match.start()]
    return [first.with_name(f"{stem}-{part:05}-of-{match[2]}.gguf") for part in range(2, min(int(match[2]), 999) + 1)]


class _MetadataReader:
    """Looks up values under the prefix of the architecture; raises ModelError for a missing or wrong one."""

    def __init__(self, path: Path, header: Header, tensors: list[Tensor]) -> None:
        self._path, self._header, self._tensors = path, header, tensors
        architecture = header.values.get("general.architecture")
        if not isinstance(architecture, str) or not _ARCHITECTURE.fullmatch(architecture):
            raise ModelError(f"{path} does not say what kind of model it is: it is no language model, choose another")
        self._architecture = architecture

    def info(self) -> ModelInfo:
        n_layers = self._number("block_count", 1, _MAX_LAYERS)
        n_embedding = self._number("embedding_length", 1)
        n_heads = self._per_layer("attention.head_count", n_layers, 0)
        head_size = n_embedding // max(1, *n_heads)
        kv_heads = self._per_layer("attention.head_count_kv", n_layers, None) or n_heads
        layer_bytes, input_bytes, output_bytes = self._sizes(n_layers)
        return ModelInfo(
            architecture=self._architecture,
            name=self._text("general.name"),
            quantization=_FILE_TYPES.get(self._optional("general.file_type", -1), "unknown"),
            n_layers=n_layers,
            n_embedding=n_embedding,
            n_feed_forward=self._widest(n_layers),
            n_heads=n_heads,
            kv_heads=kv_heads,
            key_length=self._number("attention.key_length", 0, default=head_size),
            value_length=self._number("attention.value_length", 0, default=head_size),
            n_context_train=self._number("context_length", 1),
            sliding_window=self._number("attention.sliding_window", 0, default=0),
            n_vocab=self._n_vocab(),
            n_experts=self._number("expert_count", 0, default=0),
            layer_bytes=layer_bytes,
            input_bytes=input_bytes,
            output_bytes=output_bytes,
            tied=not any(tensor.name == "output.weight" for tensor in self._tensors),
            state_bytes=self._state_bytes(kv_heads),
            chat_template=self._text("tokenizer.chat_template"),
        )

    def _widest(self, n_layers: int) -> int:
        dense = max(self._per_layer("feed_forward_length", n_layers, 0))
        expert, used, inner = (
            self._number(key, 0, default=0)
            for key in ("expert_feed_forward_length", "expert_used_count", "ssm.inner_size")
        )
        return max(dense, dense * used if not expert else 0, expert * used, 4 * inner)

    def _n_vocab(self) -> int:
        listed = self._header.lengths.get("tokenizer.ggml.tokens", 0)
        return listed or self._number("vocab_size", 1)

    def _state_bytes(self, kv_heads: tuple[int, ...]) -> int:
        """Mamba's state: (taps - 1) x (inner + 2 x groups x states) + inner x states floats for each recurrent layer
        (llama.cpp, llama_hparams::n_embd_r and n_embd_s).
        """
        inner, states = (self._number(f"ssm.{key}", 0, default=0) for key in ("inner_size", "state_size"))
        taps, groups = (self._number(f"ssm.{key}", 0, default=0) for key in ("conv_kernel", "group_count"))
        n_recurrent = sum(heads == 0 for heads in kv_heads)
        return 4 * n_recurrent * (max(0, taps - 1) * (inner + 2 * groups * states) + inner * states)

    def _sizes(self, n_layers: int) -> tuple[tuple[int, ...], int, int]:
        layer_bytes, input_bytes, output_bytes = [0] * n_layers, 0, 0
        for tensor in self._tensors:
            match = _LAYER.match(tensor.name)
            if match and len(match[1]) < 6 and int(match[1]) < n_layers:
                layer_bytes[int(match[1])] += tensor.n_bytes
            elif tensor.name.startswith("token_embd."):
                input_bytes += tensor.n_bytes
            else:
                output_bytes += tensor.n_bytes
        return tuple(layer_bytes), input_bytes, output_bytes

    # -- single values ----------------------------------------------------------------------------------------------

    def _text(self, key: str) -> str:
        value = self._header.values.get(key)
        return value if isinstance(value, str) else ""

    def _optional(self, key: str, default: int) -> int:
        value = self._header.values.get(key)
        return value if isinstance(value, int) else default

    def _number(self, key: str, least: int, most: int = 1 << 31, default: int | None = None) -> int:
        value = self._header.values.get(f"{self._architecture}.{key}", default)
        if isinstance(value, list):
            value = max((entry for entry in value if isinstance(entry, int)), default=None)
        return self._checked(key, value, least, most)

    def _per_layer(self, key: str, n_layers: int, default: int | None) -> tuple[int, ...]:
        """One value per layer, from a list or from one number for all; empty when absent and without a default."""
        value = self._header.values.get(f"{self._architecture}.{key}", default)
        if value is None:
            return ()
        if isinstance(value, list):
            if len(value) < n_layers:
                raise self._wrong(key, value)
            return tuple(self._checked(key, entry, 0, 1 << 31) for entry in value[:n_layers])
        return (self._checked(key, value, 0, 1 << 31),) * n_layers

    def _checked(self, key: str, value: Value, least: int, most: int) -> int:
        if not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(key, value)
        return value

    def _wrong(self, key: str, value: Value) -> ModelError:
        shown = "missing" if value is None else repr(value)[:60]
        return ModelError(
            f"{self._path} is damaged or unknown ({self._architecture}.{key} is {shown}): "
            "download it again or choose another"
        )
