"""Outlines of published models: GGUF files with every fact and tensor of a model, and a hole where its weights were.

The shapes are those of each model's published config.json (`Shape.source`), the types of the tensors those that
llama.cpp's quantize chooses for Q4_K_M (llama-quant.cpp). So the planner reads them as it would read the model, and
llama.cpp can say what it would allocate (`no_alloc`), on a machine that could not hold them.
"""

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from tests.engine.tiny_maker import CHATML, SPECIALS, Maker

Q4, Q6 = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.Q6_K
_MORE_BITS = (".attn_v.weight", ".ffn_down.weight")
_ALIGNMENT = 32


@dataclass(frozen=True, slots=True)
class Shape:
    """One model's published shape. `attention` are the layers with attention, `full` those of them without a window.

    An empty tuple: all layers. `windows` are (heads, head size) of the layers with a sliding window where they differ.
    """

    name: str
    architecture: str
    n_layers: int
    width: int
    inner: int
    n_heads: int
    n_kv_heads: int
    head_size: int
    n_vocab: int
    context: int
    tied: bool
    source: str
    attention: tuple[int, ...] = ()
    full: tuple[int, ...] = ()
    window: int = 0
    window_heads: tuple[int, int] = (0, 0)
    n_shared: int = 0
    n_per_layer: int = 0
    delta: tuple[int, int, int] = (0, 0, 0)
    """Value heads, key heads and head size of gated delta nets."""


class Outline(Maker):
    """A maker that writes no weights: a file as long as the model, of which only the header takes space."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape.architecture, seed=0)
        self.shape, self._n_bytes = shape, 0

    def matrix(self, name: str, rows: int, columns: int, scale: float = 1.0) -> None:
        """The place of a matrix, in the type that Q4_K_M gives it."""
        kind = self._kind(name)
        block, n_block_bytes = gguf.GGML_QUANT_SIZES[kind]
        self._place(name, (rows, columns), kind, rows * columns // block * n_block_bytes)

    def plain(self, name: str, values: np.ndarray) -> None:
        """The place of a tensor that stays f32."""
        self._place(name, values.shape, gguf.GGMLQuantizationType.F32, 4 * values.size)

    def _kind(self, name: str) -> gguf.GGMLQuantizationType:
        if name == "output.weight" or (name == "token_embd.weight" and self.shape.tied):
            return Q6
        return Q6 if name.endswith(_MORE_BITS) and self._more_bits(int(name.split(".")[1])) else Q4

    def _more_bits(self, layer: int) -> bool:
        eighth = self.shape.n_layers // 8
        return layer < eighth or layer >= 7 * self.shape.n_layers // 8 or (layer - eighth) % 3 == 2

    def _place(self, name: str, shape: tuple[int, ...], kind: gguf.GGMLQuantizationType, n_bytes: int) -> None:
        self.writer.add_tensor_info(name, shape, np.dtype(np.float32), n_bytes, raw_dtype=kind)
        self._n_bytes += -(-n_bytes // _ALIGNMENT) * _ALIGNMENT

    def write(self) -> Path:
        """The header, and a hole."""
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_ti_data_to_file()
        self.writer.close()
        begin = -(-self.path.stat().st_size // _ALIGNMENT) * _ALIGNMENT
        with self.path.open("r+b") as file:
            file.truncate(begin + self._n_bytes)
        return self.path


def outline(path: Path, shape: Shape) -> Path:
    """Write the outline of a model; returns the path."""
    return outline_of(Outline(path, shape))


def outline_of(maker: Outline) -> Path:
    """All facts and tensors of the shape, by a maker of one file; returns its path."""
    shape = maker.shape
    n_vocab = maker.vocabulary(CHATML, shape.n_vocab - 260 - len(SPECIALS), SPECIALS)
    _facts(maker, shape)
    _outside(maker, shape, n_vocab)
    for index in range(shape.n_layers):
        _layer(maker, shape, index)
    return maker.write()


def _facts(maker: Outline, shape: Shape) -> None:
    writer, has_window = maker.writer, _windows(shape)
    maker.sizes(shape.n_layers, shape.width, shape.inner, shape.context)
    heads = [_kv_heads(shape, index) for index in range(shape.n_layers)]
    maker.heads(
        shape.n_heads, heads if len(set(heads)) > 1 and not shape.delta[0] else shape.n_kv_heads, shape.head_size
    )
    if shape.architecture == "gemma4":
        maker.window_heads(shape.window_heads[1], shape.window, has_window)
        writer.add_shared_kv_layers(shape.n_shared)
        writer.add_embedding_length_per_layer_input(shape.n_per_layer)
    elif shape.window:
        writer.add_sliding_window(shape.window)
    if shape.delta[0]:
        values, keys, size = shape.delta
        maker.recurrence_sizes(values * size, size, values, keys)
        writer.add_rope_dimension_count(64)
        writer.add_rope_dimension_sections([11, 11, 10, 0])
        writer.add_full_attention_interval(4)
    if shape.architecture == "lfm2":
        writer.add_shortconv_l_cache(3)


def _outside(maker: Outline, shape: Shape, n_vocab: int) -> None:
    if shape.architecture == "lfm2":
        maker.matrix("token_embd.weight", n_vocab, shape.width)
        maker.ones("token_embd_norm.weight", shape.width)
        return
    maker.outside(shape.width, n_vocab, shape.tied)
    if shape.architecture == "gemma4":
        maker.ones("rope_freqs.weight", shape.head_size // 2)
    if shape.n_per_layer:
        every = shape.n_per_layer * shape.n_layers
        maker.matrix("per_layer_token_embd.weight", n_vocab, every)
        maker.matrix("per_layer_model_proj.weight", every, shape.width)
        maker.ones("per_layer_proj_norm.weight", shape.n_per_layer)


def _layer(maker: Outline, shape: Shape, index: int) -> None:
    layer, width = f"blk.{index}.", shape.width
    if shape.architecture.startswith("gemma"):
        maker.norms(layer, width)
    else:
        maker.ones(layer + "attn_norm.weight", width)
    if _kv_heads(shape, index):
        _attention(maker, shape, index)
    elif shape.delta[0]:
        values, keys, size = shape.delta
        maker.delta_net(layer, width, size, values, keys)
    else:
        maker.plain(layer + "shortconv.conv.weight", np.empty((width, 3)))
        maker.matrix(layer + "shortconv.in_proj.weight", 3 * width, width)
        maker.matrix(layer + "shortconv.out_proj.weight", width, width)
    if shape.delta[0]:
        maker.ones(layer + "post_attention_norm.weight", width)
        maker.feed_forward_alone(layer, width, shape.inner)
    else:
        maker.feed_forward(layer, width, shape.inner)
    if shape.n_per_layer:
        maker.matrix(layer + "inp_gate.weight", shape.n_per_layer, width)
        maker.matrix(layer + "proj.weight", width, shape.n_per_layer)
        maker.ones(layer + "post_norm.weight", width)


def _attention(maker: Outline, shape: Shape, index: int) -> None:
    layer, heads = f"blk.{index}.", _kv_heads(shape, index)
    size = shape.window_heads[1] if shape.window_heads[1] and _windows(shape)[index] else shape.head_size
    if shape.delta[0]:
        maker.gated_attention(layer, shape.width, shape.n_heads, heads, size)
        return
    maker.attention(layer, shape.width, shape.n_heads, heads, size)
    if shape.architecture in ("qwen3", "gemma3", "gemma4", "lfm2"):
        maker.head_norms(layer, size)


def _windows(shape: Shape) -> list[bool]:
    return [bool(shape.window) and index not in shape.full for index in range(shape.n_layers)]


def _kv_heads(shape: Shape, index: int) -> int:
    if shape.attention and index not in shape.attention:
        return 0
    return shape.window_heads[0] if shape.window_heads[0] and _windows(shape)[index] else shape.n_kv_heads
