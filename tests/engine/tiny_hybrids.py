"""Tiny models with a recurrent state, alone (mamba) or beside attention (hybrids); see tiny_models.py."""

from pathlib import Path

from tests.engine.tiny_maker import CHATML, SPECIALS, Maker


def mamba(path: Path, *, n_layers: int = 2, width: int = 128, context_train: int = 8192, seed: int = 0) -> Path:
    """A Mamba-1: recurrent, its state has one size however long the text is."""
    maker = Maker(path, "mamba", seed=seed)
    n_vocab = maker.vocabulary(CHATML, 0, SPECIALS)
    maker.sizes(n_layers, width, 0, context_train)
    maker.writer.add_head_count(0)
    maker.recurrence_sizes(2 * width, 16, width // 16)
    maker.outside(width, n_vocab)
    for index in range(n_layers):
        maker.ones(f"blk.{index}.attn_norm.weight", width)
        maker.recurrence(f"blk.{index}.", width)
    return maker.write()


def jamba(path: Path, *, context_train: int = 8192, seed: int = 0, head_size: int = 64) -> Path:
    """A Jamba of two layers: the first recurrent, the second with attention."""
    maker = Maker(path, "jamba", seed=seed)
    n_vocab = maker.vocabulary(CHATML, 0, SPECIALS)
    width = 2 * head_size
    maker.sizes(2, width, 2 * width, context_train)
    maker.heads(2, [0, 1], head_size)
    maker.recurrence_sizes(2 * width, 16, width // 16)
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


def granitehybrid(path: Path, *, context_train: int = 8192, seed: int = 0, head_size: int = 64) -> Path:
    """A Granite 4 H of three layers: two Mamba-2, then one with attention."""
    maker = Maker(path, "granitehybrid", seed=seed)
    n_vocab = maker.vocabulary(CHATML, 0, SPECIALS)
    width, groups, states, ssm_heads = 2 * head_size, 1, 32, 4
    maker.sizes(3, width, 2 * width, context_train)
    maker.heads(2, [0, 0, 1], head_size)
    maker.writer.add_rope_dimension_count(head_size)
    maker.recurrence_sizes(2 * width, states, ssm_heads, groups)
    maker.outside(width, n_vocab)
    for index in range(3):
        layer = f"blk.{index}."
        maker.ones(layer + "attn_norm.weight", width)
        if index == 2:
            maker.attention(layer, width, 2, 1, head_size)
        else:
            maker.recurrence2(layer, width, states, ssm_heads, groups)
        maker.feed_forward(layer, width, 2 * width)
    return maker.write()


def qwen35(
    path: Path, *, n_layers: int = 4, n_mtp: int = 0, context_train: int = 8192, seed: int = 0, head_size: int = 64
) -> Path:
    """A Qwen3.5: three layers of gated delta net, then one with attention. `n_mtp` layers more are listed, not loaded.

    As in published files, the number of KV heads is one number for all layers.
    """
    maker = Maker(path, "qwen35", seed=seed)
    n_vocab = maker.vocabulary(CHATML, 0, SPECIALS)
    width, states, v_heads, k_heads = 2 * head_size, head_size, 2, 1
    maker.sizes(n_layers + n_mtp, width, 2 * width, context_train)
    maker.heads(2, 1, head_size)
    maker.writer.add_rope_dimension_count(head_size)
    maker.writer.add_rope_dimension_sections([11, 11, 10, 0])
    maker.writer.add_full_attention_interval(4)
    maker.recurrence_sizes(width, states, v_heads, k_heads)
    if n_mtp:
        maker.writer.add_nextn_predict_layers(n_mtp)
    maker.outside(width, n_vocab)
    for index in range(n_layers + n_mtp):
        layer = f"blk.{index}."
        for norm in ("attn_norm", "post_attention_norm"):
            maker.ones(f"{layer}{norm}.weight", width)
        if index % 4 == 3 or index >= n_layers:
            maker.gated_attention(layer, width, 2, 1, head_size)
        else:
            maker.delta_net(layer, width, states, v_heads, k_heads)
        maker.feed_forward_alone(layer, width, 2 * width)
        if index >= n_layers:
            maker.matrix(layer + "nextn.eh_proj.weight", width, 2 * width)
            maker.ones(layer + "nextn.enorm.weight", width)
            maker.ones(layer + "nextn.hnorm.weight", width)
    return maker.write()


def lfm2(path: Path, *, context_train: int = 8192, seed: int = 0, head_size: int = 64) -> Path:
    """An LFM2 of three layers: two short convolutions of three taps, then one with attention."""
    maker = Maker(path, "lfm2", seed=seed)
    n_vocab = maker.vocabulary(CHATML, 0, SPECIALS)
    width, taps = 2 * head_size, 3
    maker.sizes(3, width, 2 * width, context_train)
    maker.heads(2, [0, 0, 1], head_size)
    maker.writer.add_rope_freq_base(10000.0)
    maker.writer.add_shortconv_l_cache(taps)
    maker.matrix("token_embd.weight", n_vocab, width, 2.0)
    maker.ones("token_embd_norm.weight", width)
    for index in range(3):
        layer = f"blk.{index}."
        maker.ones(layer + "attn_norm.weight", width)
        if index == 2:
            maker.attention(layer, width, 2, 1, head_size)
            maker.head_norms(layer, head_size)
        else:
            maker.plain(layer + "shortconv.conv.weight", maker.random.standard_normal((width, taps)) * 2)
            maker.matrix(layer + "shortconv.in_proj.weight", 3 * width, width)
            maker.matrix(layer + "shortconv.out_proj.weight", width, width)
        maker.feed_forward(layer, width, 2 * width)
    return maker.write()
