"""Size of a story: the bytes that one session of full length keeps in the RAM tier and in the disk tier.

Of every token its cells in layers without a window; of the others one window of them (what is further back is the first
that goes, engine/kv/resume.py); and checkpoints of the recurrent state, one of which is on disk.
"""

from dataclasses import dataclass
from typing import Self

from engine.model.info import ModelInfo
from engine.model.memory_plan import KV_VALUE_BYTES

CHECKPOINTS_IN_RAM, CHECKPOINTS_ON_DISK = 3, 1
"""At the end of the persona, before the reply, at the end of the turn; or the last alone."""


@dataclass(frozen=True, slots=True)
class StorySize:
    """Bytes that a story keeps: of each token, of what a window sees, and of one recurrent state."""

    token_bytes: int
    window_bytes: int
    state_bytes: int

    @classmethod
    def of(cls, model: ModelInfo, kv_type: str) -> Self:
        """Of a model with cells of this type."""
        sizes = {False: 0, True: 0}
        for layer, windowed in enumerate(model.windowed):
            sizes[windowed] += model.cell_values(layer)
        n_bytes = KV_VALUE_BYTES[kv_type]
        window = int(sizes[True] * n_bytes) * model.sliding_window
        return cls(int(sizes[False] * n_bytes), window, model.state_bytes)

    def at(self, n_tokens: int, n_checkpoints: int) -> int:
        """Bytes of a story of `n_tokens` with so many checkpoints."""
        return n_tokens * self.token_bytes + self.window_bytes + n_checkpoints * self.state_bytes

    def in_ram(self, n_tokens: int) -> int:
        """Bytes that it takes of the RAM tier."""
        return self.at(n_tokens, CHECKPOINTS_IN_RAM)

    def on_disk(self, n_tokens: int) -> int:
        """Bytes that it takes of the disk tier."""
        return self.at(n_tokens, CHECKPOINTS_ON_DISK)
