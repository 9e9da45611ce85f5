"""The envelope around everything the engine puts on disk. Pure: bytes in, bytes out.

llama.cpp's own states carry no checksum and no identity: flipped bits and another model's cells are accepted as they
are. So nothing is given to llama.cpp that has not come out of an envelope whose every field is what was expected.

Layout: magic (8 bytes), length of the header (u32, little endian), sha256 of header and payload (32 bytes), header
(UTF-8 JSON object), payload.
"""

import hashlib
import json
import struct
from collections.abc import Mapping

MAGIC = b"INGLEKV1"
_FRONT = struct.Struct("<8sI32s")
_MAX_HEADER = 1 << 20


class SealError(ValueError):
    """These bytes are not an intact envelope, or not the one that was asked for."""


def seal(header: Mapping[str, object], payload: bytes | bytearray | memoryview) -> bytes:
    """Wrap `payload`; `header` must be JSON."""
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return b"".join((_FRONT.pack(MAGIC, len(text), _digest(text, payload)), text, payload))


def unseal(data: bytes, expected: Mapping[str, object]) -> tuple[dict[str, object], bytes]:
    """Header and payload of intact bytes whose header has all the `expected` fields; BadEnvelope otherwise."""
    if len(data) < _FRONT.size:
        raise SealError("too short for an envelope")
    magic, n_header, digest = _FRONT.unpack_from(data)
    if magic != MAGIC or n_header > _MAX_HEADER or len(data) < _FRONT.size + n_header:
        raise SealError("not an envelope of this version")
    text, payload = data[_FRONT.size : _FRONT.size + n_header], data[_FRONT.size + n_header :]
    if _digest(text, payload) != digest:
        raise SealError("the checksum differs: the file is damaged")
    header = json.loads(text)
    for name, value in expected.items():
        if header.get(name) != value:
            raise SealError(f"{name} is {header.get(name)!r}, expected {value!r}")
    return header, payload


def _digest(text: bytes, payload: bytes | bytearray | memoryview) -> bytes:
    digest = hashlib.sha256(text)
    digest.update(payload)
    return digest.digest()
