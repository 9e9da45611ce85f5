"""The maker of tiny GGUF models: metadata, a byte tokenizer, random tensors that depend on the seed alone.

The models themselves: tiny_models.py, tiny_hybrids.py.
"""

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


class Maker:
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

    def attention(
        self, layer: str, width: int, n_heads: int, n_kv_heads: int, head_size: int, sharpness: float = 2.0
    ) -> None:
        """`sharpness`: how far the weights of what is visible lie apart."""
        self.matrix(layer + "attn_q.weight", n_heads * head_size, width, sharpness)
        self.matrix(layer + "attn_k.weight", n_kv_heads * head_size, width, sharpness)
        self.matrix(layer + "attn_v.weight", n_kv_heads * head_size, width)
        self.matrix(layer + "attn_output.weight", width, n_heads * head_size)

    def gated_attention(self, layer: str, width: int, n_heads: int, n_kv_heads: int, head_size: int) -> None:
        """Attention whose queries bring a gate each (Qwen3.5)."""
        self.matrix(layer + "attn_q.weight", 2 * n_heads * head_size, width, 2.0)
        self.matrix(layer + "attn_k.weight", n_kv_heads * head_size, width, 2.0)
        self.matrix(layer + "attn_v.weight", n_kv_heads * head_size, width)
        self.matrix(layer + "attn_output.weight", width, n_heads * head_size)
        self.head_norms(layer, head_size)

    def head_norms(self, layer: str, head_size: int) -> None:
        """Larger than 1, so that attention is sharp and the text depends on what stands far back."""
        self.plain(layer + "attn_q_norm.weight", np.full(head_size, 2.0))
        self.plain(layer + "attn_k_norm.weight", np.full(head_size, 2.0))

    def norms(self, layer: str, width: int) -> None:
        """Gemma's norms; what a layer adds is large, or a model with tied embeddings would repeat its last token."""
        self.ones(layer + "attn_norm.weight", width)
        self.plain(layer + "post_attention_norm.weight", np.full(width, 30.0))
        self.plain(layer + "post_ffw_norm.weight", np.full(width, 30.0))

    def window_heads(self, head_size: int, window: int, layers: list[bool]) -> None:
        """Heads of the layers with a sliding window, and which layers those are."""
        self.writer.add_key_length_swa(head_size)
        self.writer.add_value_length_swa(head_size)
        self.writer.add_rope_dimension_count(2 * head_size)
        self.writer.add_rope_dimension_count_swa(head_size)
        self.writer.add_sliding_window(window)
        self.writer.add_sliding_window_pattern(layers)

    def feed_forward(self, layer: str, width: int, inner: int) -> None:
        self.ones(layer + "ffn_norm.weight", width)
        self.feed_forward_alone(layer, width, inner)

    def feed_forward_alone(self, layer: str, width: int, inner: int) -> None:
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

    def recurrence2(self, layer: str, width: int, states: int, n_heads: int, n_groups: int) -> None:
        """The tensors of a Mamba-2 layer: inner size 2 x width, 4 taps."""
        inner = 2 * width
        convolved = inner + 2 * n_groups * states
        self.matrix(layer + "ssm_in.weight", inner + convolved + n_heads, width)
        self.plain(layer + "ssm_conv1d.weight", self.random.standard_normal((convolved, 4)) / 2)
        self.plain(layer + "ssm_conv1d.bias", np.zeros(convolved))
        self.plain(layer + "ssm_dt.bias", self.random.uniform(-4, -1, n_heads))
        self.plain(layer + "ssm_a", -np.arange(1.0, n_heads + 1.0).reshape(n_heads, 1))
        self.plain(layer + "ssm_d", np.ones((n_heads, 1)))
        self.plain(layer + "ssm_norm.weight", np.ones((n_groups, inner // n_groups)))
        self.matrix(layer + "ssm_out.weight", width, inner)

    def delta_net(self, layer: str, width: int, states: int, v_heads: int, k_heads: int) -> None:
        """The tensors of a gated delta net: `v_heads` states of `states` x `states`, 4 taps."""
        values = states * v_heads
        mixed = 2 * states * k_heads + values
        self.matrix(layer + "attn_qkv.weight", mixed, width, 2.0)
        self.matrix(layer + "attn_gate.weight", values, width)
        self.plain(layer + "ssm_conv1d.weight", self.random.standard_normal((mixed, 4)) / 2)
        self.plain(layer + "ssm_dt.bias", self.random.uniform(-4, -1, v_heads))
        self.plain(layer + "ssm_a", -np.ones(v_heads))
        self.matrix(layer + "ssm_beta.weight", v_heads, width)
        self.matrix(layer + "ssm_alpha.weight", v_heads, width)
        self.ones(layer + "ssm_norm.weight", states)
        self.matrix(layer + "ssm_out.weight", width, values)

    def recurrence_sizes(self, inner: int, states: int, time_steps: int, n_groups: int = 0) -> None:
        self.writer.add_ssm_conv_kernel(4)
        self.writer.add_ssm_inner_size(inner)
        self.writer.add_ssm_state_size(states)
        self.writer.add_ssm_time_step_rank(time_steps)
        if n_groups:
            self.writer.add_ssm_group_count(n_groups)

    def write(self) -> Path:
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        return self.path
