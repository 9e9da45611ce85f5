"""Tiny GGUF models with random weights and a byte tokenizer: real llama.cpp, real KV rules, milliseconds per decode.

Each maker writes one file and returns its path. The weights depend on the seed alone. The text that comes out is
noise; what matters is that two sessions write the same noise exactly when their caches are the same.

    llama(path, head_size=64)   full attention, can shift; head sizes 32, 64, 96, 128
    gemma2(path)                every second layer has a sliding window: cannot shift
    mamba(path)                 recurrent: no KV cells at all
    jamba(path)                 hybrid: one layer recurrent, one with attention
"""

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = ("<|im_start|>", "<|im_end|>")
_QUANTS = {
    "f32": (gguf.GGMLQuantizationType.F32, 0),
    "f16": (gguf.GGMLQuantizationType.F16, 1),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, 7),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, 2),
}


class _Maker:
    """One file in the making: metadata, vocabulary, random tensors."""

    def __init__(self, path: Path, architecture: str, *, seed: int, quant: str = "f32") -> None:
        self.path, self.random = path, np.random.default_rng(seed)
        self.writer = gguf.GGUFWriter(path, architecture)
        self.quant, file_type = _QUANTS[quant]
        self.writer.add_file_type(file_type)
        self.writer.add_name(f"tiny-{architecture}")

    def vocabulary(
        self, template: str | None, n_words: int, specials: tuple[str, ...], blank_first: bool = False
    ) -> int:
        """Control tokens 0..2, the 256 bytes, a space, the specials, and `n_words` words; returns the size."""
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *specials]
        kinds = [2, 3, 3, *[6] * 256, 1, *[3] * len(specials)]
        tokens += [f"▁w{index}" for index in range(n_words)]
        kinds += [1] * n_words
        writer = self.writer
        writer.add_vocab_size(len(tokens))
        writer.add_tokenizer_model("llama")
        writer.add_token_list([token.encode() for token in tokens])
        writer.add_token_scores([0.0] * 3 + [-1.0] * (len(tokens) - 3))
        writer.add_token_types(kinds)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_add_bos_token(True)
        writer.add_add_space_prefix(blank_first)
        if template is not None:
            writer.add_chat_template(template)
        return len(tokens)

    def sizes(self, n_layers: int, width: int, feed_forward: int, context: int) -> None:
        self.writer.add_context_length(context)
        self.writer.add_embedding_length(width)
        self.writer.add_block_count(n_layers)
        self.writer.add_feed_forward_length(feed_forward)
        self.writer.add_layer_norm_rms_eps(1e-5)

    def heads(self, n_heads: int, n_kv_heads: int | list[int], head_size: int) -> None:
        self.writer.add_head_count(n_heads)
        self.writer.add_head_count_kv(n_kv_heads)
        self.writer.add_key_length(head_size)
        self.writer.add_value_length(head_size)

    def matrix(self, name: str, rows: int, columns: int, scale: float = 1.0) -> None:
        """A random matrix of `columns` inputs and `rows` outputs."""
        values = self.random.standard_normal((rows, columns), dtype=np.float32) * scale / np.sqrt(columns)
        self.writer.add_tensor(name, gguf.quants.quantize(values, self.quant), raw_dtype=self.quant)

    def plain(self, name: str, values: np.ndarray) -> None:
        """A tensor that stays f32."""
        self.writer.add_tensor(name, values.astype(np.float32))

    def ones(self, name: str, size: int) -> None:
        self.plain(name, np.ones(size))

    def outside(self, width: int, n_vocab: int, tied: bool = False) -> None:
        """What stands before the first layer and behind the last one; `tied` uses the embeddings for both."""
        self.matrix("token_embd.weight", n_vocab, width, 3.0 if tied else float(np.sqrt(width)))
        self.ones("output_norm.weight", width)
        if not tied:
            self.matrix("output.weight", n_vocab, width, 3.0)

    def attention(self, layer: str, width: int, n_heads: int, n_kv_heads: int, head_size: int) -> None:
        self.matrix(layer + "attn_q.weight", n_heads * head_size, width, 2.0)
        self.matrix(layer + "attn_k.weight", n_kv_heads * head_size, width, 2.0)
        self.matrix(layer + "attn_v.weight", n_kv_heads * head_size, width)
        self.matrix(layer + "attn_output.weight", width, n_heads * head_size)

    def feed_forward(self, layer: str, width: int, inner: int) -> None:
        self.ones(layer + "ffn_norm.weight", width)
        self.matrix(layer + "ffn_gate.weight", inner, width)
        self.matrix(layer + "ffn_up.weight", inner, width)
        self.matrix(layer + "ffn_down.weight", width, inner)

    def recurrence(self, layer: str, width: int) -> None:
        """The tensors of a Mamba-1 layer: inner size 2 x width, 16 states, 4 taps, width / 16 time-step ranks."""
        inner, rank = 2 * width, width // 16
        self.matrix(layer + "ssm_in.weight", 2 * inner, width)
        self.plain(layer + "ssm_conv1d.weight", self.random.standard_normal((inner, 4)) / 2)
        self.plain(layer + "ssm_conv1d.bias", np.zeros(inner))
        self.matrix(layer + "ssm_x.weight", rank + 32, inner)
        self.plain(layer + "ssm_dt.weight", self.random.standard_normal((inner, rank)) / np.sqrt(rank))
        self.plain(layer + "ssm_dt.bias", self.random.uniform(-4, -1, inner))
        self.plain(layer + "ssm_a", -np.tile(np.arange(1.0, 17.0), (inner, 1)))
        self.plain(layer + "ssm_d", np.ones(inner))
        self.matrix(layer + "ssm_out.weight", width, inner)

    def recurrence_sizes(self, width: int) -> None:
        self.writer.add_ssm_conv_kernel(4)
        self.writer.add_ssm_inner_size(2 * width)
        self.writer.add_ssm_state_size(16)
        self.writer.add_ssm_time_step_rank(width // 16)

    def write(self) -> Path:
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        return self.path


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
) -> Path:
    """A llama with full attention; its width is n_heads x head_size. `blank_first`: every text begins with a blank."""
    maker = _Maker(path, "llama", seed=seed, quant=quant)
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
        maker.attention(layer, width, n_heads, n_kv_heads, head_size)
        maker.feed_forward(layer, width, 2 * width)
    return maker.write()


def gemma2(
    path: Path, *, window: int = 32, n_layers: int = 2, context_train: int = 8192, seed: int = 0, head_size: int = 64
) -> Path:
    """A gemma2: the even layers see only the last `window` tokens."""
    maker = _Maker(path, "gemma2", seed=seed)
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
        for norm in ("attn_norm", "post_attention_norm", "post_ffw_norm"):
            maker.ones(f"{layer}{norm}.weight", width)
        maker.attention(layer, width, 2, 1, head_size)
        maker.feed_forward(layer, width, 2 * width)
    return maker.write()


def mamba(path: Path, *, n_layers: int = 2, width: int = 128, context_train: int = 8192, seed: int = 0) -> Path:
    """A Mamba-1: recurrent, its state has one size however long the text is."""
    maker = _Maker(path, "mamba", seed=seed)
    n_vocab = maker.vocabulary(CHATML, 0, SPECIALS)
    maker.sizes(n_layers, width, 0, context_train)
    maker.writer.add_head_count(0)
    maker.recurrence_sizes(width)
    maker.outside(width, n_vocab)
    for index in range(n_layers):
        maker.ones(f"blk.{index}.attn_norm.weight", width)
        maker.recurrence(f"blk.{index}.", width)
    return maker.write()


def jamba(path: Path, *, context_train: int = 8192, seed: int = 0, head_size: int = 64) -> Path:
    """A Jamba of two layers: the first recurrent, the second with attention."""
    maker = _Maker(path, "jamba", seed=seed)
    n_vocab = maker.vocabulary(CHATML, 0, SPECIALS)
    width = 2 * head_size
    maker.sizes(2, width, 2 * width, context_train)
    maker.heads(2, [0, 1], head_size)
    maker.recurrence_sizes(width)
    maker.outside(width, n_vocab)
    for index in range(2):
        layer = f"blk.{index}."
        maker.ones(layer + "attn_norm.weight", width)
        if index:
            maker.attention(layer, width, 2, 1, head_size)
        else:
            maker.recurrence(layer, width)
            for norm, size in (("dt", width // 16), ("b", 16), ("c", 16)):
                maker.ones(f"{layer}ssm_{norm}_norm.weight", size)
        maker.feed_forward(layer, width, 2 * width)
    return maker.write()


CANNOT_SHIFT: dict[str, Callable[..., Path]] = {"gemma2": gemma2, "mamba": mamba, "jamba": jamba}
