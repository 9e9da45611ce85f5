"""GGUF parser: the metadata and the tensor sizes of a model file, with bounded memory. Reads no weights.

A truncated file, wrong lengths or another format raise a ModelError of one sentence. No file makes this module read
more than `MAX_HEADER` bytes or build more than a few thousand values; long lists (the vocabulary) are only counted.
What it refuses to know: llama.cpp, devices, and what the values mean (engine/model/info.py).

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little endian.
To add a quantization: an entry in `_SIZES` here (type:weights:bytes; without one, sizes follow from the offsets), its
name in `_FILE_TYPE_NAMES` of engine/model/info.py, a case in tests/engine/test_gguf.py.
"""

import math
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from engine.errors import CutOff, ModelError

MAX_HEADER = 512 << 20
MAX_VALUES = 100_000
MAX_TENSORS = 100_000
MAX_LIST = 1 << 22
MAX_KEPT_LIST = 4096
MAX_KEPT_TEXT = 1 << 20
MAX_DEPTH = 3
_ALIGNMENT = 32
_TEXT, _LIST = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SIZES = (
    "0:1:4 1:1:2 2:32:18 3:32:20 6:32:22 7:32:24 8:32:34 9:32:40 10:256:84 11:256:110 12:256:144 13:256:176 14:256:210 "
    "15:256:292 16:256:66 17:256:74 18:256:98 19:256:50 20:32:18 21:256:110 22:256:82 23:256:136 24:1:1 25:1:2 26:1:4 "
    "27:1:8 28:1:8 29:256:56 30:1:2 34:256:54 35:256:66 39:32:17 40:64:36 41:128:18"
)
TENSOR_TYPES = {
    kind: (block, n_bytes) for kind, block, n_bytes in (map(int, entry.split(":")) for entry in _SIZES.split())
}
"""ggml type: (weights in a block, bytes of a block)."""

TensorInfo = tuple[str, tuple[int, ...], int, int]
"""Name, shape, type, offset."""
Value = int | float | bool | str | list["Value"] | None


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its name, its shape (innermost first), its ggml type, and its bytes in the file."""

    name: str
    shape: tuple[int, ...]
    kind: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """Everything before the weights. Long lists and texts have the value None; `lengths` has the length of every
    list."""

    values: dict[str, Value]
    lengths: dict[str, int]
    tensors: tuple[Tensor, ...]


def read_header(path: Path, whole_bytes: int = 0) -> Header:
    """Read a file's metadata. `whole_bytes`: the size of the whole file, where `path` holds only its beginning. Raises
    ModelError."""
    try:
        with path.open("rb") as file:
            return _Reader(file, path, whole_bytes).header()
    except FileNotFoundError as error:
        raise ModelError(f"there is no model file at {path}: give the path of a GGUF file") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): check the path and its permissions") from error


class _Reader:
    """Reads one open file from its beginning."""

    def __init__(self, file: BinaryIO, path: Path, whole_bytes: int) -> None:
        self._file, self._path = file, path
        self._size = whole_bytes or path.stat().st_size
        self._offset = 0
        self._n_values = 0
        self._lengths: dict[str, int] = {}

    def header(self) -> Header:
        magic = self._file.read(4)
        self._offset = 4
        if magic != b"GGUF":
            raise ModelError(
                f"{self._path} is not a GGUF model (it starts with {magic!r}): download it again or choose another"
            )
        version, n_tensors, n_pairs = self._numbers("IQQ")
        if version not in (2, 3):
            raise self._bad(f"its version is {version}, known are 2 and 3 (little endian)")
        if n_tensors > MAX_TENSORS or n_pairs > MAX_VALUES:
            raise self._bad(f"it claims {n_tensors} tensors and {n_pairs} values")
        values = dict(self._pair() for _ in range(n_pairs))
        infos = [self._tensor_info() for _ in range(n_tensors)]
        return Header(values, self._lengths, self._sized(infos, values))

    def _pair(self) -> tuple[str, Value]:
        key = self._text(MAX_KEPT_LIST) or ""
        (kind,) = self._numbers("I")
        return key, self._value(kind, key, 0)

    def _value(self, kind: int, key: str, depth: int) -> Value:
        if kind in _NUMBERS:
            number: Value = self._numbers(_NUMBERS[kind])[0]
            return number
        if kind == _TEXT:
            return self._text(MAX_KEPT_TEXT)
        if kind == _LIST and depth < MAX_DEPTH:
            return self._list(key, depth)
        raise self._bad(f"the value of {key[:60]!r} has the unknown type {kind}")

    def _list(self, key: str, depth: int) -> Value:
        kind, length = self._numbers("IQ")
        self._lengths.setdefault(key, length)
        if kind in _NUMBERS:
            if length > MAX_KEPT_LIST:
                self._skip(length * struct.calcsize("<" + _NUMBERS[kind]))
                return None
            return list(self._numbers(f"{length}{_NUMBERS[kind]}"))
        if length > min(MAX_LIST, (self._size - self._offset) // 8):
            raise self._cut_off()
        if length <= MAX_KEPT_LIST:
            return [self._value(kind, key, depth + 1) for _ in range(length)]
        if kind != _TEXT:
            raise self._bad("it has a long list of lists")
        for _ in range(length):
            self._skip(self._numbers("Q")[0])
        return None

    def _text(self, most: int) -> str | None:
        (length,) = self._numbers("Q")
        if length > most:
            self._skip(length)
            return None
        return self._bytes(length).decode(errors="replace")

    def _tensor_info(self) -> TensorInfo:
        name = self._text(MAX_KEPT_LIST) or ""
        (n_dimensions,) = self._numbers("I")
        if n_dimensions > 8:
            raise self._bad(f"the tensor {name[:60]!r} has {n_dimensions} dimensions")
        *shape, kind, offset = self._numbers(f"{n_dimensions}QIQ")
        return name, tuple(shape), kind, offset

    def _sized(self, infos: list[TensorInfo], values: dict[str, Value]) -> tuple[Tensor, ...]:
        alignment = values.get("general.alignment", _ALIGNMENT)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            raise self._bad(f"its alignment is {alignment!r}")
        start = -(-self._offset // alignment) * alignment
        ends = sorted({offset for _, _, _, offset in infos} | {self._size - start})
        following = dict(pairwise(ends))
        tensors = []
        for name, shape, kind, offset in infos:
            n_bytes = _n_bytes(shape, kind)
            if n_bytes is None:
                n_bytes = following.get(offset, offset) - offset
            if start + offset + n_bytes > self._size:
                raise self._cut_off()
            tensors.append(Tensor(name, shape, kind, n_bytes))
        return tuple(tensors)

    # -- bytes ------------------------------------------------------------------------------------------------------

    def _numbers(self, layout: str) -> tuple[int, ...]:
        layout = "<" + layout
        return struct.unpack(layout, self._bytes(struct.calcsize(layout)))

    def _bytes(self, n_bytes: int) -> bytes:
        self._count(n_bytes)
        data = self._file.read(n_bytes)
        if len(data) != n_bytes:
            raise self._cut_off()
        return data

    def _skip(self, n_bytes: int) -> None:
        self._count(n_bytes)
        self._file.seek(n_bytes, 1)

    def _count(self, n_bytes: int) -> None:
        self._offset += n_bytes
        if self._offset > self._size:
            raise self._cut_off()
        if self._offset > MAX_HEADER:
            raise self._bad(f"its metadata is longer than {MAX_HEADER >> 20} MiB")

    def _cut_off(self) -> CutOff:
        return CutOff(
            f"{self._path} is cut off or damaged (it ends after {self._size} bytes, in the middle of something): "
            "download it again"
        )

    def _bad(self, what: str) -> ModelError:
        return ModelError(
            f"{self._path} is damaged or of an unknown kind ({what}): download it again or choose another"
        )


def _n_bytes(shape: tuple[int, ...], kind: int) -> int | None:
    if kind not in TENSOR_TYPES:
        return None
    block, block_bytes = TENSOR_TYPES[kind]
    return -(-math.prod(shape) // block) * block_bytes
