"""Step: a model of random weights in the shape and the quantization (Q4_K_M) of a published one, written in seconds.

Random bytes are the numbers of a quantized block already; only the scales in front of each block are computed, so that
values are as large as those of a model made by tests/engine/tiny_maker.py. What it writes is noise, at full speed.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gguf
import numpy as np

from bench.gpu.asked import ask
from bench.gpu.rows import Row, tell
from bench.model_outlines import Q4, Outline, Shape, outline_of

SEVEN_B = Shape("Mistral 7B", "llama", 32, 4096, 14336, 32, 8, 128, 32768, 32768, False, "config.json of v0.3")
TOY = Shape("toy", "llama", 4, 256, 512, 4, 2, 64, 512, 8192, False, "made up")
POOL_BYTES, CHUNK_BLOCKS = 1 << 24, 1 << 15
_SCALE = 8  # of 63, for every part of a Q4_K block
_SCALES = bytes([_SCALE] * 8 + [_SCALE | _SCALE << 4] * 4)  # packed as get_scale_min_k4 reads them (ggml-quants.c)
_SPREAD = {4: 4.61, 6: 18.47}
"""Standard deviations of evenly drawn numbers of 4 and 6 bits."""


class RandomModel(Outline):
    """An outline whose holes are filled."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._pool = np.frombuffer(self.random.bytes(POOL_BYTES), np.uint8)
        self._parts: list[Callable[[], Iterator[bytes]]] = []

    def matrix(self, name: str, rows: int, columns: int, scale: float = 1.0) -> None:
        """A matrix of random blocks."""
        super().matrix(name, rows, columns, scale)
        is_q4, n_blocks = self._kind(name) == Q4, rows * columns // 256
        self._parts.append(lambda: self._blocks(is_q4, n_blocks, scale / np.sqrt(columns)))

    def plain(self, name: str, values: np.ndarray) -> None:
        """A tensor that stays f32."""
        super().plain(name, values)
        self._parts.append(lambda: iter([values.astype(np.float32).tobytes()]))

    def _blocks(self, is_q4: bool, n_blocks: int, deviation: float) -> Iterator[bytes]:
        make = q4_blocks if is_q4 else q6_blocks
        for start in range(0, n_blocks, CHUNK_BLOCKS):
            yield make(self._drawn, min(CHUNK_BLOCKS, n_blocks - start), deviation).tobytes()

    def _drawn(self, n_rows: int, n_bytes: int) -> np.ndarray:
        """Random bytes, from a place in the pool that is drawn anew."""
        first = int(self.random.integers(0, POOL_BYTES - n_rows * n_bytes + 1))
        return self._pool[first : first + n_rows * n_bytes].reshape(n_rows, n_bytes)

    def write(self) -> Path:
        """The header, then every tensor at its place."""
        path = super().write()
        with path.open("r+b") as file:
            file.seek(path.stat().st_size - self._n_bytes)
            for part in self._parts:
                for data in part():
                    file.write(data)
                file.seek(-file.tell() % gguf.GGUF_DEFAULT_ALIGNMENT, 1)
        return path


def q4_blocks(drawn: Callable[[int, int], np.ndarray], n: int, deviation: float) -> np.ndarray:
    """block_q4_K: factor and offset (f16), packed scales, 256 numbers of 4 bits; the mean is 0."""
    blocks = np.empty((n, 144), np.uint8)
    factor = deviation / (_SCALE * _SPREAD[4])
    head = np.array([factor, 7.5 * factor], np.float16).tobytes() + _SCALES
    blocks[:, :16] = np.frombuffer(head, np.uint8)
    blocks[:, 16:] = drawn(n, 128)
    return blocks


def q6_blocks(drawn: Callable[[int, int], np.ndarray], n: int, deviation: float) -> np.ndarray:
    """block_q6_K: 256 numbers of 6 bits, scales of 1, factor (f16); the mean is nearly 0."""
    blocks = np.empty((n, 210), np.uint8)
    blocks[:, :192] = drawn(n, 192)
    tail = bytes([1] * 16) + np.array([deviation / _SPREAD[6]], np.float16).tobytes()
    blocks[:, 192:] = np.frombuffer(tail, np.uint8)
    return blocks


def random_model(path: Path, shape: Shape) -> Path:
    """Write it, unless it is there; returns the path."""
    if not path.is_file():
        outline_of(RandomModel(path.with_suffix(".part"), shape)).rename(path)
    return path


def main() -> int:
    asked = ask(__doc__)
    shape = TOY if asked.toy else SEVEN_B
    path = random_model(asked.model, shape)
    detail = f"{shape.n_layers} layers of {shape.width}, {path.stat().st_size / 1e9:.2f} GB, random weights"
    tell(Row("model", "the model", f"{shape.name}-shaped, Q4_K_M", detail=detail))
    return 0


if __name__ == "__main__":
    sys.exit(main())
