"""What the installed llama.cpp was built for: backend, architecture and compiler.

The set-up puts a label into the wheel that it builds (deploy/setup/llama_wheel.py, LABEL). Where there is none (a wheel
from elsewhere, a container) the libraries beside it say the backend.
What it refuses to know: which cards there are (engine/model/cards.py). llama_cpp is not imported.
"""

import contextlib
import json
import re
from dataclasses import dataclass
from importlib import metadata

from engine.model.cards import Card

LABEL = "inglenook-build.json"
NAMES = {"cuda": "CUDA", "vulkan": "Vulkan", "metal": "Metal", "cpu": "the processor", "hip": "HIP", "sycl": "SYCL"}
VENDOR_OF_BACKEND = {"cuda": ("nvidia",), "hip": ("amd",), "metal": ("apple",), "sycl": ("intel",)}
_LIBRARY = re.compile(r"llama_cpp/lib/libggml-(cuda|vulkan|metal|hip|sycl)\.")


@dataclass(frozen=True, slots=True)
class LlamaBuild:
    """A build of llama.cpp: `architecture` is the card's ("sm_86") or empty, the rest how it was made."""

    version: str
    backend: str
    architecture: str = ""
    compiler: str = ""
    options: str = ""

    @property
    def for_card(self) -> bool:
        """Whether it can compute on a card."""
        return self.backend != "cpu"

    def __str__(self) -> str:
        """For people: `CUDA (sm_86)`."""
        name = NAMES.get(self.backend, self.backend)
        return f"{name} ({self.architecture})" if self.architecture and self.for_card else name

    def card(self, cards: tuple[Card, ...]) -> Card | None:
        """The first card that this backend can use."""
        vendors = VENDOR_OF_BACKEND.get(self.backend, ("nvidia", "amd", "intel") if self.for_card else ())
        return next((card for card in cards if card.vendor in vendors), None)


def llama_build(package: str = "llama-cpp-python") -> LlamaBuild:
    """The installed build, for `cpu` and without a version where none is installed."""
    try:
        installed = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return LlamaBuild("", "cpu")
    with contextlib.suppress(ValueError, TypeError):
        return LlamaBuild(installed.version, **json.loads(installed.read_text(LABEL) or ""))
    names = [str(path) for path in installed.files or ()]
    return LlamaBuild(installed.version, next((m[1] for m in map(_LIBRARY.search, names) if m), "cpu"))
