"""Sealed files: checksum and identity around every file that the engine writes to disk. Pure: bytes in, bytes out.

llama.cpp's own states carry neither a checksum nor an identity: it accepts flipped bits and the cells of another model.
So llama.cpp only gets bytes whose seal is intact and whose header has every expected field.

Layout: magic (8 bytes), length of the header (u32, little endian), sha256 of header and payload (32 bytes), header
(UTF-8 JSON object), payload.
"""

import hashlib
import json
import struct
from collections.abc import Mapping

MAGIC = b"INGLEKV1"
_PREAMBLE = struct.Struct("<8sI32s")
_MAX_HEADER_BYTES = 1 << 20


class SealError(ValueError):
    """These bytes are no intact sealed file, or not the expected one."""


def seal(header: Mapping[str, object], payload: bytes | bytearray | memoryview) -> bytes:
    """The bytes of a sealed file; `header` must be JSON."""
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return b"".join((_PREAMBLE.pack(MAGIC, len(text), _digest(text, payload)), text, payload))


def unseal(data: bytes, expected: Mapping[str, object]) -> tuple[dict[str, object], bytes]:
    """Header and payload of a sealed file. Raises SealError if it is damaged or lacks one of the `expected` fields."""
    if len(data) < _PREAMBLE.size:
        raise SealError("too short for a sealed file")
    magic, n_header, digest = _PREAMBLE.unpack_from(data)
    if magic != MAGIC or n_header > _MAX_HEADER_BYTES or len(data) < _PREAMBLE.size + n_header:
        raise SealError("not a sealed file of this version")
    text, payload = data[_PREAMBLE.size : _PREAMBLE.size + n_header], data[_PREAMBLE.size + n_header :]
    if _digest(text, payload) != digest:
        raise SealError("the checksum differs: the file is damaged")
    header = _parsed(text)
    for name, value in expected.items():
        if header.get(name) != value:
            raise SealError(f"{name} is {header.get(name)!r}, expected {value!r}")
    return header, payload


def _parsed(text: bytes) -> dict[str, object]:
    """The checksum does not cover the header's length: a wrong one cuts the header off, or takes in some payload."""
    try:
        header = json.loads(text) if text.endswith(b"}") else None
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise SealError("the header is not the one that was sealed: the file is damaged")
    return header


def _digest(text: bytes, payload: bytes | bytearray | memoryview) -> bytes:
    digest = hashlib.sha256(text)
    digest.update(payload)
    return digest.digest()
