"""Memory for large blocks, used again: what a block lay in that has left RAM becomes the place of the next one.

New memory costs as much as the copy into it, because the kernel clears it first. malloc uses again what was freed, and
does so well with small blocks; the larger they are, the less (glibc maps anew each time what exceeds 32 MB). So the
large ones are looked after here: most blocks of large models, the snapshots of those that cannot shift.

Nothing that anybody still needs is overwritten: Python refuses to resize a mapping while anybody refers to its bytes (a
block, a slice, an array, a write that waits for the disk, on whichever thread), and none is used again that it has not
resized just before. Used by the engine's thread.
"""

import contextlib
import mmap
import sys

from engine.backend import StateBytes

LARGE_BYTES = 4 << 20  # from here on, huge pages are worth asking for


class BufferPool:
    """Mappings whose blocks have left RAM; others may still refer to them, such as a write that waits."""

    def __init__(self, large_bytes: int = LARGE_BYTES) -> None:
        self._large_bytes = large_bytes if sys.platform == "linux" else sys.maxsize  # mremap, huge pages
        self._spare: list[mmap.mmap] = []

    def is_large(self, n_bytes: int) -> bool:
        """Whether memory of this size is looked after here."""
        return n_bytes > self._large_bytes

    def take(self, n_bytes: int) -> memoryview:
        """Memory of this size: what is spare and nearest in size, else new memory."""
        for memory in sorted(self._spare, key=lambda memory: abs(len(memory) - n_bytes)):
            if _resized(memory, n_bytes):
                self._spare.remove(memory)
                return memoryview(memory)
        memory = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # advice only: some kernels have no huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
        return memoryview(memory)

    def give_back(self, payload: StateBytes) -> None:
        """A block has left RAM. Nothing is done with its bytes for as long as somebody refers to them."""
        memory = payload.obj if isinstance(payload, memoryview) else None
        if isinstance(memory, mmap.mmap) and memory not in self._spare:
            self._spare.append(memory)

    def trim(self, n_bytes: int) -> None:
        """Of what nobody refers to, keep so many bytes at most; the rest goes back to the system, the oldest first."""
        for memory in self._unused():
            if self.unused_bytes > n_bytes:
                self._spare.remove(memory)

    @property
    def unused_bytes(self) -> int:
        """Bytes that nobody refers to."""
        return sum(len(memory) for memory in self._unused())

    def _unused(self) -> list[mmap.mmap]:
        return [memory for memory in self._spare if _resized(memory, len(memory))]


def _resized(memory: mmap.mmap, n_bytes: int) -> bool:
    try:
        memory.resize(n_bytes)
    except BufferError:  # somebody refers to it
        return False
    return True
