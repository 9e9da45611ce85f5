"""Remote header: the beginning of a GGUF file, up to where its weights begin, by Range requests of growing length.

What it does: `fetch_header` appends to a file until the header is whole; a kill costs one piece. `header_bytes` finds
where a header ends, by walking over it; it keeps nothing of what it reads.
What it refuses to know: what a header says (engine/model/gguf.py reads it, in the worker).
"""

import struct
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from store.shelf.views import PartView
from web.downloader.http import LOST, Client, host
from web.downloader.part_file import Step, disk_trouble
from web.downloader.troubles import Final, Passing, Trouble, weightiest

FIRST_BYTES, MOST_BYTES = 2 << 20, 64 << 20
MAX_ITEMS = 1 << 22
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _LIST, _MAX_DEPTH, _MAX_DIMENSIONS = 8, 9, 3, 8


class NotGguf(ValueError):
    """These bytes are not the beginning of a GGUF file."""


class _Short(Exception):
    """The header goes on behind these bytes."""


def fetch_header(client: Client, places: Sequence[str], part: PartView, file: Path, on_step: Step) -> None:
    """Write the beginning of a part, at least its header, to `file`. Raises Trouble, and what `on_step` raises."""
    draft = file.with_name(f".{file.name}.{part.sha256[:16]}.part")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = min(FIRST_BYTES, part.size)
    while True:
        _fetch_to(client, places, draft, wanted, on_step)
        data = draft.read_bytes()
        try:
            if header_bytes(data) is not None:
                break
        except NotGguf:
            draft.unlink()
            raise Final("fetch.not_gguf", name=part.path.rsplit("/", 1)[-1]) from None
        if wanted >= min(MOST_BYTES, part.size):
            draft.unlink()
            raise Final("fetch.not_gguf", name=part.path.rsplit("/", 1)[-1])
        wanted = min(2 * wanted, MOST_BYTES, part.size)
    draft.replace(file)


def header_bytes(data: bytes) -> int | None:
    """How many bytes the header has that `data` begins with; None where it is longer. Raises NotGguf."""
    try:
        return _Walk(data).over_header()
    except _Short:
        return None


def _fetch_to(client: Client, places: Sequence[str], draft: Path, wanted: int, on_step: Step) -> None:
    """Append until the draft has `wanted` bytes. Raises Trouble."""
    troubles: list[Trouble] = []
    for place in places:
        try:
            _append(client, place, draft, wanted, on_step)
            return
        except Trouble as trouble:
            troubles.append(trouble)
        except LOST:
            troubles.append(Passing("fetch.lost_line", host=host(place)))
        on_step(0)
    raise weightiest(troubles)


def _append(client: Client, place: str, draft: Path, wanted: int, on_step: Step) -> None:
    with draft.open("ab", buffering=0) as file:
        have = file.tell()
        if have >= wanted:
            return
        with client.stream(place, have, wanted) as answer:
            skip = have - answer.start
            for piece in answer.pieces():
                dropped, skip = min(skip, len(piece)), max(0, skip - len(piece))
                data = piece[dropped:][: wanted - have]
                _write(file, data)
                have += len(data)
                on_step(have)
                if have >= wanted:
                    return
    raise Passing("fetch.lost_line", host=host(place))


def _write(file: FileIO, data: bytes) -> None:
    """Raises Final: a disk that takes nothing is no line that is lost."""
    try:
        while data:
            data = data[file.write(data) :]
    except OSError as error:
        raise disk_trouble(error, Path(str(file.name)).parent, len(data)) from None


class _Walk:
    """Steps over one header."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def over_header(self) -> int:
        """Where it ends, with the gap before the weights left out."""
        if self._data[:4] != b"GGUF"[: len(self._data)]:
            raise NotGguf
        self._at = 4
        version, n_tensors, n_pairs = self._numbers("<IQQ")
        if version not in (2, 3) or n_tensors > MAX_ITEMS or n_pairs > MAX_ITEMS:
            raise NotGguf
        for _ in range(n_pairs):
            self._text()
            self._value(self._numbers("<I")[0], 0)
        for _ in range(n_tensors):
            self._text()
            (n_dimensions,) = self._numbers("<I")
            if n_dimensions > _MAX_DIMENSIONS:
                raise NotGguf
            self._skip(8 * n_dimensions + 4 + 8)
        return self._at

    def _value(self, kind: int, depth: int) -> None:
        if kind in _SIZES:
            self._skip(_SIZES[kind])
        elif kind == _TEXT:
            self._text()
        elif kind == _LIST and depth < _MAX_DEPTH:
            self._list(depth)
        else:
            raise NotGguf

    def _list(self, depth: int) -> None:
        kind, length = self._numbers("<IQ")
        if length > MAX_ITEMS:
            raise NotGguf
        if kind in _SIZES:
            self._skip(_SIZES[kind] * length)
            return
        for _ in range(length):
            self._value(kind, depth + 1)

    def _text(self) -> None:
        self._skip(self._numbers("<Q")[0])

    def _numbers(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        if self._at + size > len(self._data):
            raise _Short
        numbers = struct.unpack_from(layout, self._data, self._at)
        self._at += size
        return numbers

    def _skip(self, n_bytes: int) -> None:
        if n_bytes > MOST_BYTES:
            raise NotGguf
        self._at += n_bytes
        if self._at > len(self._data):
            raise _Short
