"""`make check-cuda-build`: compiles and links llama.cpp for a card (sm_75) with PyPI's toolchain, without a card.

The same code as `make run` on a machine with such a card, but for the trial at the end. Prints the library for the
card, its size and what it needs; the wheel is kept like any other.
"""

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from deploy.setup.cuda_toolchain import pypi_build
from deploy.setup.llama import compile_build
from deploy.setup.venv import SetupError, make_venv, say

ARCHITECTURES = ("75",)


def main() -> int:
    """Build and print; 0, or 1 after one clear sentence."""
    try:
        make_venv()
        wheel = compile_build(pypi_build(ARCHITECTURES))
    except SetupError as fault:
        print(f"inglenook: {fault}", file=sys.stderr)
        return 1
    for line in about(wheel):
        say(line)
    return 0


def about(wheel: Path) -> list[str]:
    """What was made: the wheel, the library for the card, its size, and the libraries that it needs."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        name = next(name for name in archive.namelist() if re.search(r"/libggml-cuda\.so$", name))
        library = Path(archive.extract(name, folder))
        dynamic = subprocess.run(["readelf", "-d", str(library)], capture_output=True, text=True, check=True).stdout
        size = library.stat().st_size
    needed = re.findall(r"NEEDED.*\[(.+)\]", dynamic)
    searched = re.findall(r"(?:RUNPATH|RPATH).*\[(.+)\]", dynamic)
    return [
        f"made {wheel.name}, {wheel.stat().st_size / 1e6:.0f} MB",
        f"in it {name}, {size / 1e6:.0f} MB",
        f"it needs {', '.join(needed)}",
        f"and looks for them in {' '.join(searched)}",
    ]


if __name__ == "__main__":
    sys.exit(main())
