"""CHARX reader: a zip archive with card.json at its root; only the wanted files are unpacked, each within a limit.

What it does: `list_files` reads the central directory, `unpack` one file. Zip bombs are refused: the directory has at
most MAX_LIST_BYTES, and unpacking stops at the limit, whatever the archive claims.
What it refuses to know: cards. Encryption, split archives and zip64 are refused; a card needs none of them.
Format: PKWARE APPNOTE 6.3, sections 4.3 and 4.4.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from store.cards.errors import CardError

MAX_FILES, MAX_LIST_BYTES = 1_000, 1 << 19
_END, _LISTED, _LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True)
class ArchivedFile:
    """One file of an archive: offset of its local header, packed size, method, flags, CRC-32."""

    at: int
    size: int
    method: int
    flags: int
    crc: int


def is_archive(data: bytes) -> bool:
    """Whether the bytes end in a zip archive; a picture may stand before it."""
    return data.rfind(_END, max(0, len(data) - (1 << 16) - 22)) >= 0


def list_files(data: bytes) -> Mapping[str, ArchivedFile]:
    """The files of an archive. Raises CardError."""
    end = data.rfind(_END, max(0, len(data) - (1 << 16) - 22))
    if end < 0 or end + 22 > len(data):
        raise CardError("bad_zip")
    count, list_bytes, list_at = struct.unpack_from("<HII", data, end + 10)
    if count > MAX_FILES or list_bytes > MAX_LIST_BYTES:
        raise CardError("zip_too_large")
    ahead = end - list_bytes - list_at  # bytes before the archive
    if ahead < 0:
        raise CardError("bad_zip")
    return _listed(data[end - list_bytes : end], count, ahead)


def _listed(listing: bytes, count: int, ahead: int) -> dict[str, ArchivedFile]:
    files: dict[str, ArchivedFile] = {}
    at = 0
    for _ in range(count):
        if listing[at : at + 4] != _LISTED or at + 46 > len(listing):
            raise CardError("bad_zip")
        flags, method, _, crc, size, _, n_name, n_extra, n_comment = struct.unpack_from("<HHIIIIHHH", listing, at + 8)
        name = listing[at + 46 : at + 46 + n_name].decode("utf-8", "replace")
        offset = struct.unpack_from("<I", listing, at + 42)[0] + ahead
        files.setdefault(name, ArchivedFile(offset, size, method, flags, crc))
        at += 46 + n_name + n_extra + n_comment
    return files


def unpack(data: bytes, file: ArchivedFile, max_bytes: int, too_large: str) -> bytes:
    """The content of one file, at most `max_bytes` bytes; `too_large` is the code of the refusal. Raises CardError."""
    if file.flags & 1 or file.method not in (_STORED, _DEFLATED) or file.size == 0xFFFFFFFF:
        raise CardError("zip_unsupported")
    if data[file.at : file.at + 4] != _LOCAL or file.at + 30 > len(data):
        raise CardError("bad_zip")
    n_name, n_extra = struct.unpack_from("<HH", data, file.at + 26)
    begin = file.at + 30 + n_name + n_extra
    if begin + file.size > len(data):
        raise CardError("cut_off")
    content = _inflated(data[begin : begin + file.size], file.method, max_bytes)
    if len(content) > max_bytes:
        raise CardError(too_large)
    if zlib.crc32(content) != file.crc:
        raise CardError("damaged")
    return content


def _inflated(packed: bytes, method: int, max_bytes: int) -> bytes:
    if method == _STORED:
        return packed
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, max_bytes + 1)
    except zlib.error as error:
        raise CardError("bad_zip") from error
