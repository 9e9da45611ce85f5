"""What card is there, and which tools to build for it: the facts from which the plan of builds follows.

The cards are found by the engine (engine/model/cards.py), asked as a program: deploy may not import the engine, and
nothing is installed yet. Here are only those facts of it that a build depends on.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.setup.cuda_toolchain import Nvcc, nvcc_on_path
from deploy.setup.venv import ROOT

INCLUDES = (Path("/usr/include"), Path("/usr/local/include"))
LIBRARIES = ("/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
VULKAN_PACKAGES = (
    "Debian 13, Ubuntu 24.04: `apt install glslc libvulkan-dev spirv-headers`; "
    "Fedora: `dnf install glslc vulkan-loader-devel vulkan-headers spirv-headers-devel`"
)


@dataclass(frozen=True)
class GraphicsCard:
    """A card as the set-up sees it: `driver` and `compute` ("8.6") of NVIDIA's only."""

    vendor: str
    name: str
    driver: str = ""
    compute: str = ""

    @property
    def capability(self) -> tuple[int, ...]:
        """The compute capability, (0,) where it is not known."""
        parts = self.compute.split(".")
        return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else (0,)

    @property
    def driver_release(self) -> int:
        """The first number of the driver's version, 0 without NVIDIA's driver."""
        first = self.driver.split(".")[0]
        return int(first) if first.isdecimal() else 0

    def __str__(self) -> str:
        """Name, driver, compute capability."""
        driver = f"driver {self.driver}" if self.driver else ""
        compute = f"compute capability {self.compute}" if self.compute else ""
        return ", ".join(filter(None, (self.name, driver, compute)))


@dataclass(frozen=True)
class Facts:
    """The machine: `fault` says why nvidia-smi failed, `vulkan_lacks` what is missing to build with Vulkan; `nvcc` is a
    sentence where it does not work."""

    system: str
    processor: str
    cards: tuple[GraphicsCard, ...] = ()
    fault: str = ""
    nvcc: Nvcc | str | None = None
    vulkan_lacks: str = ""


def facts() -> Facts:
    """Look at this machine."""
    command = [sys.executable, "-S", str(ROOT / "engine" / "model" / "cards.py")]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    said = json.loads(output)
    cards = tuple(GraphicsCard(card["vendor"], card["name"], card["driver"], card["compute"]) for card in said["cards"])
    nvcc = nvcc_on_path() if any(card.vendor == "nvidia" for card in cards) else None
    lacks = vulkan_lacks(said["vulkan_loader"]) if cards and said["system"] == "Linux" else ""
    return Facts(said["system"], said["processor"], cards, said["fault"], nvcc, lacks)


def vulkan_lacks(loader: bool, includes: tuple[Path, ...] = INCLUDES) -> str:
    """What is missing to build with Vulkan, with the line that installs it; empty where all is there."""
    own = "VULKAN_SDK" in os.environ or "Vulkan_INCLUDE_DIR" in os.environ.get("CMAKE_ARGS", "")
    missing = [] if shutil.which("glslc") else ["the compiler glslc"]
    if not own:
        missing += _missing_headers(includes)
        missing += [] if loader and _linkable_loader() else ["the library libvulkan.so"]
    return f"it lacks {', '.join(missing)} ({VULKAN_PACKAGES})" if missing else ""


def _missing_headers(includes: tuple[Path, ...]) -> list[str]:
    core = [path for folder in includes if (path := folder / "vulkan" / "vulkan_core.h").is_file()]
    spirv = any((folder / "spirv" / "unified1" / "spirv.hpp").is_file() for folder in includes)
    missing = [] if core else ["Vulkan's headers"]
    if core and "VK_EXT_layer_settings" not in core[0].read_text(encoding="utf-8", errors="replace"):
        missing = [f"newer headers of Vulkan than {core[0]}"]
    return missing + ([] if spirv else ["the headers of SPIR-V"])


def _linkable_loader() -> bool:
    return any(path.exists() for pattern in LIBRARIES for path in Path("/").glob(f"{pattern[1:]}/libvulkan.so"))
