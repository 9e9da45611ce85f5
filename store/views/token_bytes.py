"""Token ids as bytes, as they are kept in SQL."""

import array
import sys


def pack_tokens(tokens: tuple[int, ...] | None) -> bytes | None:
    """Token ids as int32, little endian: four bytes each."""
    return None if tokens is None else _little_endian(array.array("i", tokens)).tobytes()


def unpack_tokens(data: bytes | None) -> tuple[int, ...] | None:
    """The reverse of `pack_tokens`."""
    return None if data is None else tuple(_little_endian(array.array("i", data)))


def _little_endian(numbers: "array.array[int]") -> "array.array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
