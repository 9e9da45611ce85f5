"""Devices of llama.cpp: the cards that this build can use, by the names and the free memory that it reads from them.

What it refuses to know: how a build comes to be, and cards that this build has no backend for (engine/model/cards.py
finds those). Asking a CUDA card for its memory sets its driver up in this process.
"""

import ctypes
from dataclasses import dataclass

import llama_cpp as llama
from llama_cpp.llama_cpp import _lib as libggml  # libllama, which finds what it is linked with; _ggml has a copy

_GPU, _INTEGRATED = 1, 2  # ggml-backend.h, enum ggml_backend_dev_type
_METAL = "MTL"  # ggml-metal.cpp


@dataclass(frozen=True, slots=True)
class Device:
    """A card: llama.cpp's backend for it (CUDA, Vulkan, Metal), its name, its memory in bytes.

    `shares_ram`: its memory is the machine's RAM (a part of the processor, or Apple's).
    """

    backend: str
    name: str
    free_bytes: int
    total_bytes: int
    shares_ram: bool


def devices() -> tuple[Device, ...]:
    """Every card, in the order of llama.cpp."""
    llama.llama_backend_init()
    handles = [_call("ggml_backend_dev_get", ctypes.c_void_p, number, of=ctypes.c_size_t) for number in _numbers()]
    return tuple(device for handle in handles if (device := _device(handle)) is not None)


def usable_devices() -> tuple[Device, ...]:
    """The cards that a model can be put on, by `main_gpu`: those with memory of their own, else the first of all."""
    found = devices()
    return tuple(device for device in found if not device.shares_ram) or found[:1]


def _numbers() -> range:
    return range(_call("ggml_backend_dev_count", ctypes.c_size_t))


def _device(handle: int) -> Device | None:
    """None: the processor, or a helper of it."""
    kind = _call("ggml_backend_dev_type", ctypes.c_int, handle)
    if kind not in (_GPU, _INTEGRATED):
        return None
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    memory = libggml.ggml_backend_dev_memory
    memory.argtypes, memory.restype = [ctypes.c_void_p] * 3, None
    memory(handle, ctypes.byref(free), ctypes.byref(total))
    registry = _call("ggml_backend_dev_backend_reg", ctypes.c_void_p, handle)
    backend = _text(_call("ggml_backend_reg_name", ctypes.c_char_p, registry))
    return Device(
        backend="Metal" if backend == _METAL else backend,
        name=_text(_call("ggml_backend_dev_description", ctypes.c_char_p, handle)),
        free_bytes=free.value,
        total_bytes=total.value,
        shares_ram=kind == _INTEGRATED or backend == _METAL,
    )


def _call(name: str, returns: type, *arguments: int | None, of: type = ctypes.c_void_p) -> int:
    """One function of libggml, whose arguments are all `of` one type."""
    function = getattr(libggml, name)
    function.argtypes, function.restype = [of] * len(arguments), returns
    return function(*arguments)  # type: ignore[no-any-return]


def _text(value: object) -> str:
    return value.decode(errors="replace").strip() if isinstance(value, bytes) else ""
