"""`python -m tests.vulkan.on_device MODULE [ARGUMENT ...]`: another module, with all layers on the software device."""

import os
import sys

from tests.vulkan import build

if __name__ == "__main__":
    environ = build.environment(build.build())
    os.execve(sys.executable, [sys.executable, "-m", *sys.argv[1:]], environ)
