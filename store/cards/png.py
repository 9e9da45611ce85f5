"""PNG chunks: reads and writes the text chunks that hold a card. Pixels are never decoded here.

What it does: `chunks` splits a picture and checks every length and CRC; `texts` finds the texts under some keywords;
`with_texts` replaces them and leaves every other chunk as it is, byte for byte; `without_metadata` keeps only the
chunks that make the picture. What it refuses to know: what the texts say. Format: W3C Portable Network Graphics (Third
Edition), chapters 5 and 11.3.
"""

import struct
import zlib
from collections.abc import Collection, Iterator, Mapping

from store.cards.errors import CardError

MAGIC = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS, MAX_PIXEL_CHUNKS = 64, 10_000
MAX_TEXT_BYTES = 3 << 19  # base64 of 1 MiB, with room for line ends
_PIXELS = frozenset({b"IDAT", b"fdAT", b"fcTL"})
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_VISUAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT"})

Chunk = tuple[bytes, bytes]


def chunks(data: bytes) -> Iterator[Chunk]:
    """(type, content) of every chunk up to the end of the picture. Raises CardError."""
    at, n_chunks, n_others, view = len(MAGIC), 0, 0, memoryview(data)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        n_chunks += 1
        n_others += kind not in _PIXELS
        if n_others > MAX_CHUNKS or n_chunks > MAX_PIXEL_CHUNKS:
            raise CardError("too_many_chunks")
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            raise CardError("damaged")
        yield kind, bytes(view[at + 8 : end - 4])
        if kind == b"IEND":
            return
        at = end
    raise CardError("cut_off")


def texts(data: bytes, keywords: Collection[str]) -> dict[str, bytes]:
    """The first text under each of these keywords, whose case does not matter. Raises CardError."""
    texts_by_keyword: dict[str, bytes] = {}
    for kind, content in chunks(data):
        keyword = _keyword(kind, content)
        if keyword is not None and keyword in keywords and keyword not in texts_by_keyword:
            texts_by_keyword[keyword] = _text(kind, content)
    return texts_by_keyword


def with_texts(data: bytes, texts_by_keyword: Mapping[str, bytes]) -> bytes:
    """The same picture with these tEXt chunks instead of those of the same keywords. Raises CardError."""
    rest = [chunk for chunk in chunks(data) if _keyword(*chunk) not in texts_by_keyword and chunk[0] != b"IEND"]
    new = [(b"tEXt", keyword.encode("latin-1") + b"\0" + text) for keyword, text in texts_by_keyword.items()]
    return MAGIC + b"".join(_bytes_of(kind, content) for kind, content in (*rest, *new, (b"IEND", b"")))


def without_metadata(data: bytes) -> bytes:
    """The picture with its visual chunks only. Raises CardError."""
    return MAGIC + b"".join(_bytes_of(kind, content) for kind, content in chunks(data) if kind in _VISUAL)


def _keyword(kind: bytes, content: bytes) -> str | None:
    return content[:80].split(b"\0", 1)[0].decode("latin-1").casefold() if kind in _TEXTS else None


def _text(kind: bytes, content: bytes) -> bytes:
    rest = content.split(b"\0", 1)[1] if b"\0" in content else b""
    if kind == b"tEXt":
        return _bounded(rest)
    if kind == b"zTXt":
        return inflate(rest[1:])
    is_compressed = rest[:1] == b"\1"  # iTXt: flag, method, language, translated keyword, text
    parts = rest[2:].split(b"\0", 2)
    return inflate(parts[-1]) if is_compressed else _bounded(parts[-1])


def _bounded(text: bytes) -> bytes:
    if len(text) > MAX_TEXT_BYTES:
        raise CardError("card_too_large")
    return text


def inflate(packed: bytes) -> bytes:
    """Decompress zlib data, at most MAX_TEXT_BYTES. Raises CardError."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, MAX_TEXT_BYTES + 1)
    except zlib.error as error:
        raise CardError("bad_compression") from error
    if len(text) <= MAX_TEXT_BYTES and not unpacker.eof:
        raise CardError("bad_compression")
    return _bounded(text)


def _bytes_of(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
