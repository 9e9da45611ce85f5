"""Shapes of twelve models that people run on cards of 6 and 8 GB, as published in the config.json of each.

`source` says where a number was checked beside the config, and what is not sure. Language part only: no eyes, no ears.
"""

from bench.model_outlines import Shape

_EVERY_SIXTH = tuple(range(5, 64, 6))
"""Gemma 3 and 4: five layers with a window, then one that sees everything."""
_EVERY_FOURTH = tuple(range(3, 32, 4))
"""Qwen3.5: three gated delta nets, then one layer with attention (full_attention_interval 4)."""
_DELTA_128 = (32, 16, 128)
"""linear_num_value_heads, linear_num_key_heads, linear_value_head_dim."""

QWEN35_4B = Shape(
    "Qwen3.5 4B", "qwen35", 32, 2560, 9216, 16, 4, 256, 248320, 262144, True,
    "config.json; a GGUF's tensor list (candle#3821): ffn 9216, ssm_out 4096 x 2560, attn_k 2560 x 1024",
    attention=_EVERY_FOURTH, delta=_DELTA_128,
)  # fmt: skip
QWEN35_9B = Shape(
    "Qwen3.5 9B", "qwen35", 32, 4096, 12288, 16, 4, 256, 248320, 262144, False,
    "config.json; GGUF metadata (llama.cpp#22785, ollama#16685)",
    attention=_EVERY_FOURTH, delta=_DELTA_128,
)  # fmt: skip
GEMMA3_4B = Shape(
    "Gemma 3 4B", "gemma3", 34, 2560, 10240, 8, 4, 256, 262144, 131072, True, "config.json",
    full=_EVERY_SIXTH, window=1024,
)  # fmt: skip
GEMMA3_12B = Shape(
    "Gemma 3 12B", "gemma3", 48, 3840, 15360, 16, 8, 256, 262144, 131072, True, "config.json",
    full=_EVERY_SIXTH, window=1024,
)  # fmt: skip
GEMMA4_E4B = Shape(
    "Gemma 4 E4B", "gemma4", 42, 2560, 10240, 8, 2, 512, 262144, 131072, True,
    "config.json; GGUF metadata (ollama#18123, #16532): 18 shared layers, window 512",
    full=_EVERY_SIXTH, window=512, window_heads=(2, 256), n_shared=18, n_per_layer=256,
)  # fmt: skip
GEMMA4_12B = Shape(
    "Gemma 4 12B", "gemma4", 48, 3840, 15360, 16, 1, 512, 262144, 262144, True,
    "GGUF metadata (zackshen/gguf#21): 48 layers, KV heads 8, 8, 8, 8, 8, 1; the window of 1,024 is that of the 31B, "
    "not seen for the 12B",
    full=_EVERY_SIXTH, window=1024, window_heads=(8, 256),
)  # fmt: skip
LLAMA31_8B = Shape(
    "Llama 3.1 8B", "llama", 32, 4096, 14336, 32, 8, 128, 128256, 131072, False, "config.json",
)  # fmt: skip
QWEN3_4B = Shape("Qwen3 4B", "qwen3", 36, 2560, 9728, 32, 8, 128, 151936, 40960, True, "config.json")
QWEN3_8B = Shape("Qwen3 8B", "qwen3", 36, 4096, 12288, 32, 8, 128, 151936, 40960, False, "config.json")
NEMO_12B = Shape(
    "Mistral Nemo 12B", "llama", 40, 5120, 14336, 32, 8, 128, 131072, 131072, False, "config.json",
)  # fmt: skip
MINISTRAL3_8B = Shape(
    "Ministral 3 8B", "mistral3", 34, 4096, 14336, 32, 8, 128, 131072, 262144, False,
    "NVIDIA's Megatron Bridge page: 34 layers, 4096 wide, 32 heads, 8 KV heads; the inner width of 14336 and the "
    "untied output from memory of the config.json",
)  # fmt: skip
LFM2_26B = Shape(
    "LFM2 2.6B", "lfm2", 30, 2048, 10752, 32, 8, 64, 65536, 128000, True,
    "GGUF metadata (ollama.com/sam860/LFM2); 8 layers with attention, the places of the last two not sure",
    attention=(2, 5, 9, 13, 17, 21, 24, 27),
)  # fmt: skip

SHAPES = (
    QWEN35_4B, QWEN35_9B, GEMMA3_4B, GEMMA3_12B, GEMMA4_E4B, GEMMA4_12B, LLAMA31_8B, QWEN3_4B, QWEN3_8B, NEMO_12B,
    MINISTRAL3_8B, LFM2_26B,
)  # fmt: skip
