"""A model that fits nowhere: the header of a real one, and as a sparse file as many bytes as it says."""

from pathlib import Path

import gguf
import numpy as np

N_LAYERS, WIDTH, INNER = 40, 16_384, 1 << 20


def huge_model(path: Path) -> Path:
    """Write it: 3 TB by its header and by its size, some kB on the disk."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Mountain 2000B")
    writer.add_block_count(N_LAYERS)
    writer.add_context_length(8192)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(128)
    writer.add_head_count_kv(8)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b"])
    n_bytes = 0
    for layer in range(N_LAYERS):
        for name in ("ffn_up", "ffn_down"):
            size = 2 * WIDTH * INNER
            writer.add_tensor_info(f"blk.{layer}.{name}.weight", (INNER, WIDTH), np.dtype(np.float16), size)
            n_bytes += size
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + n_bytes + (1 << 20))
    return path
