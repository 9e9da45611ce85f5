"""Graphics cards of this machine, with driver and compute capability: NVIDIA by nvidia-smi, others by the kernel.

    python3 engine/model/cards.py       prints a Machine as JSON; runs before anything is installed

What it does: asks nvidia-smi (which may hang or print rubbish: then `fault` says so), and reads /sys/class/drm for AMD,
Intel, and NVIDIA cards without NVIDIA's driver; on a Mac the card is Apple's. It uses the standard library only and
imports nothing of the engine, because the set-up runs it as a program (deploy/setup/machine.py).
What it refuses to know: what llama.cpp was built for (engine/model/llama_build.py), what fits (memory_plan.py).
To add a vendor: its PCI number in VENDORS.
"""

import contextlib
import ctypes.util
import json
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

VENDORS = {"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel"}
NAMES = {"nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel", "apple": "Apple"}
_FIELDS = ("name", "memory.total", "memory.free", "driver_version", "compute_cap")
_DRM, _DEVICES = Path("/sys/class/drm"), Path("/dev/dri")
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card. Memory in MiB, 0 where it is not known or shared with the processor.

    `driver` is the version of NVIDIA's driver, and `compute` its compute capability ("8.6"); both are empty for other
    vendors, and for an NVIDIA card without NVIDIA's driver.
    """

    name: str
    total_mib: int = 0
    free_mib: int = 0
    vendor: str = "nvidia"
    driver: str = ""
    compute: str = ""

    def __str__(self) -> str:
        """Name, and what of driver and compute capability is known."""
        driver = f"driver {self.driver}" if self.driver else ""
        compute = f"compute capability {self.compute}" if self.compute else ""
        return ", ".join(filter(None, (self.name, driver, compute)))


@dataclass(frozen=True, slots=True)
class Machine:
    """What the set-up has to know of a machine; `fault` says why nvidia-smi gave no answer."""

    system: str
    processor: str
    cards: tuple[Card, ...]
    fault: str = ""
    render_nodes: bool = False
    vulkan_loader: bool = False


def cards(command: str = "nvidia-smi") -> tuple[Card, ...]:
    """The cards of this machine, NVIDIA's first; those with no driver that could compute are among them."""
    return machine(command).cards


def machine(command: str = "nvidia-smi", drm: Path = _DRM, devices: Path = _DEVICES) -> Machine:
    """Everything at once: see Machine."""
    system = platform.system()
    if system == "Darwin":
        found: tuple[Card, ...] = (Card("Apple GPU", vendor="apple"),)
        return Machine(system, platform.machine(), found)
    nvidia, fault = nvidia_cards(command)
    others = tuple(card for card in kernel_cards(drm) if card.vendor != "nvidia" or not nvidia)
    render_nodes = any(devices.glob("renderD*"))
    loader = ctypes.util.find_library("vulkan") is not None
    return Machine(system, platform.machine(), (*nvidia, *others), fault, render_nodes, loader)


def nvidia_cards(command: str = "nvidia-smi", timeout_s: float = 20.0) -> tuple[tuple[Card, ...], str]:
    """The cards that nvidia-smi names, and why there are none; ("", no fault) without the program."""
    program = shutil.which(command)
    if program is None:
        return (), ""
    try:
        rows = _ask(program, _FIELDS, timeout_s)
    except subprocess.CalledProcessError as error:
        return _old_nvidia_cards(program, error, timeout_s)
    except subprocess.TimeoutExpired:
        return (), f"nvidia-smi does not answer within {timeout_s:.0f} s"
    except (OSError, ValueError) as error:
        return (), f"nvidia-smi does not run ({error})"
    return _parsed(rows)


def _old_nvidia_cards(
    program: str, error: subprocess.CalledProcessError, timeout_s: float
) -> tuple[tuple[Card, ...], str]:
    """Ask without the compute capability, which nvidia-smi of old drivers does not know."""
    words = " ".join(str(error.output).split())[:200]
    if "compute_cap" in words:
        with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
            return _parsed([[*row, ""] for row in _ask(program, _FIELDS[:-1], timeout_s)])
    return (), f"nvidia-smi failed: {words or f'exit status {error.returncode}'}"


def _ask(program: str, fields: tuple[str, ...], timeout_s: float) -> list[list[str]]:
    """Rows of columns. Raises OSError, ValueError (no text), SubprocessError."""
    query = ["--query-gpu=" + ",".join(fields), "--format=csv,noheader,nounits"]
    process = subprocess.Popen(
        [program, *query], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except BaseException:
        _give_up(process)
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, program, output)
    lines = [line for line in output.splitlines() if line.strip()]
    return [[part.strip() for part in line.rsplit(",", len(fields) - 1)] for line in lines]


def _give_up(process: "subprocess.Popen[str]") -> None:
    """End a program without waiting for it: one that hangs in the driver cannot be killed."""
    process.kill()
    if process.stdout:
        process.stdout.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)


def _parsed(rows: list[list[str]]) -> tuple[tuple[Card, ...], str]:
    found = []
    for row in rows:
        try:
            name, total, free, driver, compute = row
            float(driver.split(".")[0] or "x")
            found.append(Card(name, int(total), int(free), "nvidia", driver, compute))
        except ValueError:  # rubbish, or "[N/A]" of a card that is lost
            return tuple(found), f"nvidia-smi answers what cannot be understood: {', '.join(row)[:80]!r}"
    return tuple(found), "" if found else "nvidia-smi names no card"


def kernel_cards(drm: Path = _DRM) -> tuple[Card, ...]:
    """Cards that the kernel knows, of the vendors in VENDORS; AMD's driver tells their memory."""
    found: dict[str, Card] = {}
    for device in sorted(drm.glob("card[0-9]*/device")):
        vendor = VENDORS.get(_word(device / "vendor"))
        if vendor and "-" not in device.parent.name:  # card0-HDMI-A-1 is a plug
            number = _word(device / "device")
            total, used = (_mib(device / f"mem_info_vram_{what}") for what in ("total", "used"))
            found[str(device.resolve())] = Card(f"{NAMES[vendor]} card {number}", total, max(0, total - used), vendor)
    return tuple(sorted(found.values(), key=lambda card: (list(VENDORS.values()).index(card.vendor), -card.total_mib)))


def _word(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text().strip()
    return ""


def _mib(path: Path) -> int:
    with contextlib.suppress(ValueError):
        return int(_word(path)) // _MIB
    return 0


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(machine())) + "\n")
