"""Model facts: layers, heads, context and sizes of a model, from the metadata of its GGUF file(s).

What it refuses to know: the file format (engine/model/gguf.py), what fits where (engine/model/memory_plan.py),
llama.cpp.

To add a fact of an architecture: a field of ModelInfo with its unit, its key in `_MetadataReader.info` (with a default
where other architectures lack it; what a layer keeps of a text: engine/model/layers.py), its effect on bytes in
engine/model/memory_plan.py with the line of llama.cpp that it comes from, a model in tests/engine/tiny_models.py that
has it, `model` in tests/engine/test_memory_plan.py, and tests/engine/test_gguf.py. What llama.cpp itself answers
belongs in engine/backends/llama.py.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from engine.model.gguf import Header, Tensor, read_header
from engine.model.layers import layer_memory
from engine.model.metadata import Metadata

_LAYER = re.compile(r"blk\.(\d+)\.")
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_MAX_LAYERS = 4096
_LOOKED_UP = ("token_embd.", "per_layer_token_embd.")
_FILE_TYPE_NAMES = (
    "F32 F16 Q4_0 Q4_1 - - - Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ2_XXS "
    "IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16 - - - TQ1_0 TQ2_0 MXFP4"
)
_FILE_TYPES = dict(enumerate(_FILE_TYPE_NAMES.split()))


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model. Per-layer tuples have `n_layers` entries; a layer without KV cells of its own has 0 `kv_heads`.

    Layers that are `windowed` see the last `sliding_window` tokens only, with heads of `key_length_swa` and
    `value_length_swa`. `layer_state_bytes` is the recurrent state of one sequence in each layer. Further `n_mtp_layers`
    (which guess tokens ahead) are in the file and not loaded.
    `n_feed_forward` is the widest inner row of a layer: of its experts in use, too, and of a recurrence.
    `n_layer_embedding` are the numbers that one token brings for all layers beside its embedding (Gemma 3n and 4).
    `layer_bytes` are the weights of each layer, `input_bytes` the token embeddings, `output_bytes` everything after
    the last layer. Where the output uses the embeddings of the input, a GPU needs a copy of them: `tied_bytes`, else 0.
    """

    architecture: str
    name: str
    quantization: str
    n_layers: int
    n_embedding: int
    n_feed_forward: int
    n_layer_embedding: int
    n_heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    key_length: int
    value_length: int
    key_length_swa: int
    value_length_swa: int
    windowed: tuple[bool, ...]
    sliding_window: int
    layer_state_bytes: tuple[int, ...]
    n_mtp_layers: int
    n_context_train: int
    n_vocab: int
    n_experts: int
    layer_bytes: tuple[int, ...]
    input_bytes: int
    output_bytes: int
    tied_bytes: int
    chat_template: str

    @property
    def weight_bytes(self) -> int:
        """All weights in the file."""
        return sum(self.layer_bytes) + self.input_bytes + self.output_bytes

    def describe_forgetting(self) -> str:
        """What happens to text that leaves a session's memory, for the log and the doctor."""
        if not any(self.layer_state_bytes):
            return "text that leaves the memory leaves no trace"
        if not any(self.kv_heads):
            return "by reading again: a recurrent state alone"
        return "from the cells; the recurrent state keeps a trace (INGLENOOK_REREAD_EVERY)"

    @property
    def state_bytes(self) -> int:
        """The recurrent state of one sequence, all layers together."""
        return sum(self.layer_state_bytes)

    def cell_values(self, layer: int) -> int:
        """Numbers that a layer keeps in the cell of one token, K and V together (llama_hparams::n_embd_k_gqa)."""
        lengths = (
            self.key_length_swa + self.value_length_swa if self.windowed[layer] else self.key_length + self.value_length
        )
        return self.kv_heads[layer] * lengths


def read_model_info(path: Path) -> ModelInfo:
    """The facts of a model file, including the other parts of a split one. Raises ModelError."""
    first = _first_part(path)
    return info_of_parts([(part, 0) for part in (first, *_other_parts(first))])


def info_of_parts(parts: Sequence[tuple[Path, int]]) -> ModelInfo:
    """The same from the beginnings of the files alone: for each part a file that holds its header at least, and the
    bytes of the whole part (0: it is whole). Raises ModelError."""
    headers = [read_header(path, whole_bytes) for path, whole_bytes in parts]
    tensors = [tensor for header in headers for tensor in header.tensors]
    return _MetadataReader(parts[0][0], headers[0], tensors).info()


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
    """Reads the facts of one model; raises ModelError for a missing or wrong value."""

    def __init__(self, path: Path, header: Header, tensors: list[Tensor]) -> None:
        self._facts, self._tensors = Metadata(path, header), tensors

    def info(self) -> ModelInfo:
        facts = self._facts
        n_mtp_layers = facts.number("nextn_predict_layers", 0, _MAX_LAYERS)
        n_layers = facts.number("block_count", n_mtp_layers + 1, _MAX_LAYERS, None) - n_mtp_layers
        n_embedding = facts.number("embedding_length", 1, default=None)
        n_heads = facts.per_layer("attention.head_count", n_layers, 0)
        memory = layer_memory(facts, n_layers, n_embedding, n_heads)
        layer_bytes, input_bytes, output_bytes = self._sizes(n_layers, n_mtp_layers)
        return ModelInfo(
            architecture=facts.architecture,
            name=facts.text("general.name"),
            quantization=_FILE_TYPES.get(facts.plain_number("general.file_type", -1), "unknown"),
            n_layers=n_layers,
            n_embedding=n_embedding,
            n_feed_forward=self._widest(n_layers),
            n_layer_embedding=n_layers * facts.number("embedding_length_per_layer_input"),
            n_heads=n_heads,
            kv_heads=memory.kv_heads,
            **self._head_lengths(n_embedding // max(1, *n_heads)),
            windowed=memory.windowed,
            sliding_window=memory.window,
            layer_state_bytes=memory.state_bytes,
            n_mtp_layers=n_mtp_layers,
            n_context_train=facts.number("context_length", 1, default=None),
            n_vocab=facts.length("tokenizer.ggml.tokens") or facts.number("vocab_size", 1, default=None),
            n_experts=facts.number("expert_count"),
            layer_bytes=layer_bytes,
            input_bytes=input_bytes,
            output_bytes=output_bytes,
            tied_bytes=self._tied_bytes(),
            chat_template=facts.text("tokenizer.chat_template"),
        )

    def _head_lengths(self, usual: int) -> dict[str, int]:
        """Keys and values of one head. With latent attention (MLA) a cell holds the key alone."""
        key = self._facts.number("attention.key_length", default=usual)
        value = self._facts.number("attention.value_length", default=usual)
        value = 0 if self._facts.number("attention.key_length_mla") else value
        return {
            "key_length": key,
            "value_length": value,
            "key_length_swa": self._facts.number("attention.key_length_swa", default=key),
            "value_length_swa": self._facts.number("attention.value_length_swa", default=value),
        }

    def _widest(self, n_layers: int) -> int:
        dense = max(self._facts.per_layer("feed_forward_length", n_layers, 0))
        expert, used, inner = map(
            self._facts.number, ("expert_feed_forward_length", "expert_used_count", "ssm.inner_size")
        )
        return max(dense, dense * used if not expert else 0, expert * used, ceil(5 * inner / 3))

    def _sizes(self, n_layers: int, n_mtp_layers: int) -> tuple[tuple[int, ...], int, int]:
        layer_bytes, input_bytes, output_bytes = [0] * (n_layers + n_mtp_layers), 0, 0
        for tensor in self._tensors:
            match = _LAYER.match(tensor.name)
            if match and len(match[1]) < 6 and int(match[1]) < len(layer_bytes):
                layer_bytes[int(match[1])] += tensor.n_bytes
            elif tensor.name.startswith(_LOOKED_UP):
                input_bytes += tensor.n_bytes
            else:
                output_bytes += tensor.n_bytes
        return tuple(layer_bytes[:n_layers]), input_bytes, output_bytes

    def _tied_bytes(self) -> int:
        sizes = {tensor.name: tensor.n_bytes for tensor in self._tensors}
        return 0 if "output.weight" in sizes else sizes.get("token_embd.weight", 0)
