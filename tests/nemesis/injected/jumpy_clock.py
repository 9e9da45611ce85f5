"""A wall clock that jumps when the nemesis says so.

The file has eight bytes, a float: seconds to add to `time.time`. Only that function is changed; the monotonic clock is
what it was, as when somebody sets the date of a machine.
"""

import mmap
import struct
import time


def install(path):
    """Put it in the place of `time.time`."""
    with open(path, "r+b") as file:
        offset = mmap.mmap(file.fileno(), 8)
    real, read = time.time, struct.Struct("d").unpack_from
    time.time = lambda: real() + read(offset)[0]
