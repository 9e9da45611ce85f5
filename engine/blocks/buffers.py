"""Buffer pool: reuses the memory of evicted blocks for new large blocks.

Fresh memory costs as much as the copy into it, because the kernel zeroes it first. malloc reuses small buffers well,
but glibc maps buffers above 32 MB anew each time. So large blocks (most blocks of large models, the snapshots of models
that cannot shift) get their memory from this pool.

No buffer is overwritten while it is in use: Python refuses to resize a mapping while any object on any thread refers to
its bytes (a block, a slice, an array, a pending disk write), and the pool reuses only a mapping that it has just
resized. Used by the engine's thread. What it refuses to know: blocks and tiers.
"""

import contextlib
import mmap
import sys

from engine.backend import StateBytes

LARGE_BYTES = 4 << 20  # above this size, huge pages are worth asking for


class BufferPool:
    """Mappings whose blocks have left RAM. Some may still be in use, for instance by a pending disk write."""

    def __init__(self, large_bytes: int = LARGE_BYTES) -> None:
        self._large_bytes = large_bytes if sys.platform == "linux" else sys.maxsize  # mremap, huge pages
        self._returned: list[mmap.mmap] = []

    def is_large(self, n_bytes: int) -> bool:
        """Whether a buffer of this size should come from the pool."""
        return n_bytes > self._large_bytes

    def take(self, n_bytes: int) -> memoryview:
        """A buffer of `n_bytes`: the unused mapping nearest in size, else a new mapping."""
        for mapping in sorted(self._returned, key=lambda mapping: abs(len(mapping) - n_bytes)):
            if _try_resize(mapping, n_bytes):
                self._returned.remove(mapping)
                return memoryview(mapping)
        mapping = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # advice only: some kernels have no huge pages
            mapping.madvise(mmap.MADV_HUGEPAGE)
        return memoryview(mapping)

    def give_back(self, payload: StateBytes) -> None:
        """Return the buffer of an evicted block; it is reused once no object refers to its bytes."""
        mapping = payload.obj if isinstance(payload, memoryview) else None
        if isinstance(mapping, mmap.mmap) and mapping not in self._returned:
            self._returned.append(mapping)

    def trim(self, n_bytes: int) -> None:
        """Free unused mappings, the oldest first, until at most `n_bytes` of them are left."""
        for mapping in self._unused():
            if self.unused_bytes > n_bytes:
                self._returned.remove(mapping)

    @property
    def unused_bytes(self) -> int:
        """Bytes of the returned mappings that no object refers to."""
        return sum(len(mapping) for mapping in self._unused())

    def _unused(self) -> list[mmap.mmap]:
        return [mapping for mapping in self._returned if _try_resize(mapping, len(mapping))]


def _try_resize(mapping: mmap.mmap, n_bytes: int) -> bool:
    try:
        mapping.resize(n_bytes)
    except BufferError:  # still referred to
        return False
    return True
