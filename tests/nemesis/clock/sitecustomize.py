"""Read by every Python of the nemesis' installation at its start: a wall clock that jumps when the nemesis says so.

NEMESIS_CLOCK names a file of eight bytes, a float: seconds to add to `time.time`. Only that function is changed; the
monotonic clock is what it was, as when somebody sets the date of a machine.
"""

import mmap
import os
import struct
import time


def _jumpy(path):
    with open(path, "r+b") as file:
        offset = mmap.mmap(file.fileno(), 8)
    real, read = time.time, struct.Struct("d").unpack_from

    def jumpy_time():
        return real() + read(offset)[0]

    return jumpy_time


if os.environ.get("NEMESIS_CLOCK"):
    time.time = _jumpy(os.environ["NEMESIS_CLOCK"])
