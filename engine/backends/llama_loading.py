"""Loading with llama.cpp: from options to a model and its context, and the sentences for what can go wrong there.

What it refuses to know: decoding and cells (llama.py). To add an option of llama.cpp: a field of LlamaOptions, and its
parameter in `load_model` or `make_context`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import llama_cpp as llama

from engine.backends import llama_log
from engine.errors import MemoryShortage, ModelError

KV_TYPES = {"f16": 1, "q8_0": 8}
ALL_LAYERS = 999
NO_CARD = -1
"""As the main card: none computes, not even large batches for layers on the CPU."""


@dataclass(frozen=True, slots=True)
class LlamaOptions:
    """How to load a model. `n_cells` tokens are shared by `n_sequences` sequences (the last one is the scratch).

    `n_outputs` bounds the rows of logits of one batch (at least `n_sequences`; 0: one for each token): memory is
    reserved for all of them. `n_threads` 0: what suits where the layers are (llama_affinity.py).
    """

    n_cells: int = 4096
    n_sequences: int = 16
    n_batch: int = 512
    n_threads: int = 0
    n_gpu_layers: int = -1
    kv_type: str = "f16"
    main_gpu: int = 0
    swa_full: bool = True
    n_outputs: int = 0


def check_model_file(path: Path) -> None:
    """Raise ModelError with one clear sentence when `path` cannot be a GGUF model."""
    if not path.is_file():
        raise ModelError(f"there is no model file at {path}: give the path of a GGUF file")
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise ModelError(f"{path} is not a GGUF model (it starts with {magic!r}): download it again or choose another")


def has_gpu() -> bool:
    """Whether this build of llama.cpp can offload to a GPU and there is one."""
    return bool(llama.llama_supports_gpu_offload())


def load_model(path: Path, options: LlamaOptions) -> tuple[llama.llama_model_p, int, int]:
    """Load the weights; returns the model, the number of layers on the card, and of all (the output counts as one).

    Raises ModelError; MemoryShortage where there is too little memory.
    """
    params = llama.llama_model_default_params()
    params.n_gpu_layers = options.n_gpu_layers if options.n_gpu_layers >= 0 else ALL_LAYERS
    params.split_mode = 0  # one card, as planned: the others belong to other workers
    params.main_gpu = options.main_gpu if options.n_gpu_layers else NO_CARD
    llama_log.forget_complaints()
    llama_log.take_offloaded()
    model = llama.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        _check_memory(f"the weights of {path.name}")
        raise ModelError(f"llama.cpp cannot load {path}: the file is damaged or of an unknown architecture")
    n_on_card, n_layers = llama_log.take_offloaded() or (0, llama.llama_model_n_layer(model) + 1)
    llama_log.log.info("%d of %d layers of %s are on the card", n_on_card, n_layers, path.name)
    return model, n_on_card, n_layers


def make_context(model: llama.llama_model_p, options: LlamaOptions, n_threads: int) -> llama.llama_context_p:
    """Make a context with flash attention and one unified cache. Raises ModelError, MemoryShortage."""
    if options.kv_type not in KV_TYPES:
        raise ModelError(f"KV type {options.kv_type!r} is not supported: choose one of {', '.join(KV_TYPES)}")
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_seq_max, params.kv_unified = options.n_cells, options.n_sequences, True
    params.n_batch = params.n_ubatch = min(options.n_batch, options.n_cells)
    params.n_threads = params.n_threads_batch = n_threads
    params.type_k = params.type_v = KV_TYPES[options.kv_type]
    params.flash_attn_type = 1
    params.swa_full = options.swa_full
    params.n_outputs_max = max(options.n_outputs, options.n_sequences) if options.n_outputs else 0
    params.no_perf = True
    llama_log.forget_complaints()
    context = llama.llama_init_from_model(model, params)
    if not context:
        _check_memory(f"{options.n_cells} KV cells of {options.kv_type} and a batch of {options.n_batch} tokens")
        raise ModelError(
            f"llama.cpp refuses a context of {options.n_cells} tokens with {options.kv_type} KV cells for this "
            "model: choose the KV type f16, or a smaller context"
        )
    return context


def fingerprint(path: Path, kv_type: str) -> str:
    """Hash of everything that KV bytes depend on: samples of the file, the build, the KV type, flash attention."""
    digest = hashlib.sha256()
    size = path.stat().st_size
    with path.open("rb") as file:
        for offset in (0, size // 3, 2 * size // 3, max(0, size - (1 << 20))):
            file.seek(offset)
            digest.update(file.read(1 << 20))
    build = llama.llama_print_system_info().decode()
    facts = (size, llama.__version__, build, kv_type, "flash", "unified", 1)
    digest.update(repr(facts).encode())
    return digest.hexdigest()


def _check_memory(what: str) -> None:
    """Raise MemoryShortage if llama.cpp has just complained about memory."""
    if complaint := llama_log.memory_complaint():
        raise MemoryShortage(
            f"there is too little memory for {what} (llama.cpp: {complaint}): end other programs that use the card, "
            "give the engine less of it (INGLENOOK_VRAM_GB), or choose a smaller model"
        )
