"""Read by every Python of the nemesis' installation at its start: what the environment asks for is injected.

NEMESIS_CLOCK: a wall clock that jumps (jumpy_clock.py). NEMESIS_FAILPOINTS: places at which the process kills itself
(failpoints.py).
"""

import os

if os.environ.get("NEMESIS_CLOCK"):
    import jumpy_clock

    jumpy_clock.install(os.environ["NEMESIS_CLOCK"])
if os.environ.get("NEMESIS_FAILPOINTS"):
    import failpoints

    failpoints.install(os.environ["NEMESIS_FAILPOINTS"])
