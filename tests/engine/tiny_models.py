"""Tiny GGUF models with random weights and a byte tokenizer: real llama.cpp, real KV rules, milliseconds per decode.

Each maker writes one file and returns its path. The weights depend on the seed alone. The text that comes out is
noise; what matters is that two sessions write the same noise exactly when their caches are the same.

    llama(path, head_size=64)   full attention, can shift; head sizes 32, 64, 96, 128
    gemma2(path, window=32)     every second layer has a sliding window
    gemma3(path, window=32)     all layers but every third one have it
    gemma4(path, window=32)     smaller heads in layers with a window; half of the layers have no cells of their own
    mamba(path)                 recurrent: no KV cells at all
    jamba(path)                 hybrid: one layer recurrent (Mamba-1), one with attention
    granitehybrid(path)         hybrid: two layers recurrent (Mamba-2), one with attention
    qwen35(path)                hybrid: three layers recurrent (gated delta net), one with attention; M-RoPE
    lfm2(path)                  hybrid: two layers of short convolution, one with attention
"""

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np

from tests.engine.tiny_hybrids import granitehybrid, jamba, lfm2, mamba, qwen35
from tests.engine.tiny_maker import CHATML, SPECIALS, Maker

__all__ = [
    "CHATML",
    "SPECIALS",
    "gemma2",
    "gemma3",
    "gemma4",
    "granitehybrid",
    "jamba",
    "lfm2",
    "llama",
    "mamba",
    "qwen35",
]


class Lopsided(Maker):
    """A maker that gives a few values of each key another size."""

    outlier = 1.0

    def matrix(self, name: str, rows: int, columns: int, scale: float = 1.0) -> None:
        """A random matrix; of keys the first two outputs of every 32 are `outlier` times as large, of queries as
        small."""
        sizes = np.ones((rows, 1), np.float32)
        sizes[np.arange(rows) % 32 < 2] = {"attn_k": self.outlier, "attn_q": 1 / self.outlier}.get(name[-13:-7], 1.0)
        values = self.random.standard_normal((rows, columns), dtype=np.float32) * scale / np.sqrt(columns)
        self.writer.add_tensor(name, gguf.quants.quantize(values * sizes, self.quant), raw_dtype=self.quant)


def llama(
    path: Path,
    *,
    head_size: int = 64,
    n_layers: int = 2,
    n_heads: int = 2,
    n_kv_heads: int = 1,
    context_train: int = 8192,
    seed: int = 0,
    quant: str = "f32",
    template: str | None = CHATML,
    specials: tuple[str, ...] = SPECIALS,
    n_words: int = 0,
    blank_first: bool = False,
    outlier: float = 1.0,
    sharpness: float = 2.0,
) -> Path:
    """A llama with full attention; its width is n_heads x head_size. `blank_first`: every text begins with a blank.

    `outlier`: a few values of each key are so many times as large, and those of queries as small (what is computed is
    the same): cells that share a scale among 32 values lose the others. With a small `sharpness` (0.3) everything that
    is visible counts alike: a gap between positions changes little, as in a model that has learned.
    """
    maker = Lopsided(path, "llama", seed=seed, quant=quant)
    maker.outlier = outlier
    n_vocab = maker.vocabulary(template, n_words, specials, blank_first)
    width = n_heads * head_size
    maker.sizes(n_layers, width, 2 * width, context_train)
    maker.heads(n_heads, n_kv_heads, head_size)
    maker.writer.add_rope_dimension_count(head_size)
    maker.writer.add_rope_freq_base(10000.0)
    maker.outside(width, n_vocab)
    for index in range(n_layers):
        layer = f"blk.{index}."
        maker.ones(layer + "attn_norm.weight", width)
        maker.attention(layer, width, n_heads, n_kv_heads, head_size, sharpness)
        maker.feed_forward(layer, width, 2 * width)
    return maker.write()


def gemma2(
    path: Path, *, window: int = 32, n_layers: int = 2, context_train: int = 8192, seed: int = 0, head_size: int = 64
) -> Path:
    """A gemma2: the even layers see only the last `window` tokens."""
    maker = Maker(path, "gemma2", seed=seed)
    n_vocab = maker.vocabulary(CHATML, 0, SPECIALS)
    width = 2 * head_size
    maker.sizes(n_layers, width, 2 * width, context_train)
    maker.heads(2, 1, head_size)
    maker.writer.add_sliding_window(window)
    maker.writer.add_attn_logit_softcapping(50.0)
    maker.writer.add_final_logit_softcapping(30.0)
    maker.outside(width, n_vocab, tied=True)
    for index in range(n_layers):
        layer = f"blk.{index}."
        maker.norms(layer, width)
        maker.attention(layer, width, 2, 1, head_size)
        maker.feed_forward(layer, width, 2 * width)
    return maker.write()


def gemma3(
    path: Path,
    *,
    window: int = 32,
    pattern: int = 3,
    n_layers: int = 3,
    context_train: int = 8192,
    seed: int = 0,
    head_size: int = 64,
) -> Path:
    """A gemma3: of `pattern` layers all but the last see only `window` tokens; 0: a file that does not say (1 of 6)."""
    maker = Maker(path, "gemma3", seed=seed)
    n_vocab = maker.vocabulary(CHATML, 0, SPECIALS)
    width = 2 * head_size
    maker.sizes(n_layers, width, 2 * width, context_train)
    maker.heads(2, 1, head_size)
    maker.writer.add_sliding_window(window)
    if pattern:
        maker.writer.add_sliding_window_pattern(pattern)
    maker.outside(width, n_vocab, tied=True)
    for index in range(n_layers):
        layer = f"blk.{index}."
        maker.norms(layer, width)
        maker.attention(layer, width, 2, 1, head_size)
        maker.head_norms(layer, head_size)
        maker.feed_forward(layer, width, 2 * width)
    return maker.write()


def gemma4(
    path: Path, *, window: int = 32, n_shared: int = 4, context_train: int = 8192, seed: int = 0, head_size: int = 64
) -> Path:
    """A gemma4: three layers with a window of `window` tokens and a fourth that sees everything, and that again.

    Heads are twice as large in the layers that see everything. The last `n_shared` (0 or 4) of the eight
    layers read the cells of layers 2 and 3; every layer has an own embedding of each token.
    """
    maker = Maker(path, "gemma4", seed=seed)
    n_vocab = maker.vocabulary(CHATML, 0, SPECIALS)
    n_layers, width, n_own = 8, 2 * head_size, 16
    windows = [index % 4 != 3 for index in range(n_layers)]
    maker.sizes(n_layers, width, 2 * width, context_train)
    maker.heads(2, 1, 2 * head_size)
    maker.window_heads(head_size, window, windows)
    maker.writer.add_shared_kv_layers(n_shared)
    maker.writer.add_embedding_length_per_layer_input(n_own)
    maker.outside(width, n_vocab, tied=True)
    maker.matrix("per_layer_token_embd.weight", n_vocab, n_own * n_layers, 4.0)
    maker.matrix("per_layer_model_proj.weight", n_own * n_layers, width)
    maker.ones("per_layer_proj_norm.weight", n_own)
    maker.ones("rope_freqs.weight", head_size)
    for index, has_window in enumerate(windows):
        layer = f"blk.{index}."
        size = head_size if has_window else 2 * head_size
        maker.norms(layer, width)
        maker.ones(layer + "post_norm.weight", width)
        maker.attention(layer, width, 2, 1, size)
        maker.head_norms(layer, size)
        maker.feed_forward(layer, width, 2 * width)
        maker.matrix(layer + "inp_gate.weight", n_own, width)
        maker.matrix(layer + "proj.weight", width, n_own)
    return maker.write()


CANNOT_SHIFT: dict[str, Callable[..., Path]] = {"gemma2": gemma2, "mamba": mamba, "jamba": jamba}
MAKERS: dict[str, Callable[..., Path]] = CANNOT_SHIFT | {
    "llama": llama,
    "gemma3": gemma3,
    "gemma4": gemma4,
    "granitehybrid": granitehybrid,
    "qwen35": qwen35,
    "lfm2": lfm2,
}
"""Every kind of memory, by the name of its architecture."""
