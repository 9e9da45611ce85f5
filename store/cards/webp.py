"""WEBP reader: the EXIF texts of a picture, where some programs put a card.

What it does: finds the EXIF chunk, and in it the tags ImageDescription and UserComment.
What it refuses to know: pixels, all other tags, and what the texts say.
Formats: WebP container specification (RIFF); TIFF 6.0 chapter 2; Exif 2.32, UserComment with its 8 bytes of encoding.
"""

import struct
from collections.abc import Iterator

from store.cards.errors import CardError

MAX_CHUNKS, MAX_ENTRIES = 64, 64
_DESCRIPTION, _EXIF, _COMMENT = 0x010E, 0x8769, 0x9286
_PIXELS = frozenset({b"ANMF"})
_WIDTHS = {1: 1, 2: 1, 7: 1, 4: 4}  # of the TIFF types that texts and pointers have
_ENCODINGS = {b"ASCII\0\0\0": "utf-8", b"UNICODE\0": "", b"\0" * 8: "utf-8"}


def is_webp(data: bytes) -> bool:
    """Whether the bytes begin as a WEBP picture does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def texts(data: bytes) -> list[bytes]:
    """The texts in the EXIF data, in UTF-8, the longest first; none if there are none. Raises CardError."""
    return sorted(_exif_texts(_exif_chunk(data)), key=len, reverse=True)


def _exif_chunk(data: bytes) -> bytes:
    at, n_chunks = 12, 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        n_chunks += kind not in _PIXELS
        if at + 8 + length > len(data):
            raise CardError("cut_off")
        if n_chunks > MAX_CHUNKS:
            raise CardError("too_many_chunks")
        if kind == b"EXIF":
            return data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0")
        at += 8 + length + length % 2
    return b""


def _exif_texts(tiff: bytes) -> Iterator[bytes]:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return
    first = struct.unpack_from(f"{order}I", tiff, 4)[0]
    for tag, value in _entries(tiff, order, first):
        if tag == _DESCRIPTION:
            yield value.rstrip(b"\0")
        elif tag == _EXIF and len(value) == 4:
            inner = struct.unpack(f"{order}I", value)[0]
            yield from (_comment(text, order) for tag, text in _entries(tiff, order, inner) if tag == _COMMENT)


def _entries(tiff: bytes, order: str, at: int) -> Iterator[tuple[int, bytes]]:
    """(tag, value) of a directory, as far as it lies within the data."""
    if at + 2 > len(tiff):
        return
    count = min(struct.unpack_from(f"{order}H", tiff, at)[0], MAX_ENTRIES)
    for start in range(at + 2, min(at + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, n = struct.unpack_from(f"{order}HHI", tiff, start)
        size = n * _WIDTHS.get(kind, 0)
        offset = start + 8 if size <= 4 else struct.unpack_from(f"{order}I", tiff, start + 8)[0]
        if size and offset + size <= len(tiff):
            yield tag, tiff[offset : offset + size]


def _comment(value: bytes, order: str) -> bytes:
    encoding = _ENCODINGS.get(value[:8])
    if encoding is None:
        return value.rstrip(b"\0")
    if encoding:
        return value[8:].rstrip(b"\0")
    wide = "utf-16-le" if order == "<" else "utf-16-be"
    return value[8:].decode(wide, "replace").rstrip("\0").encode()
