"""The plan of builds: which llama.cpp to build for this machine, the best first, and why others are left out. Pure.

`auto` takes the first that can be built and finds the card; a backend that was asked for by name is the only one in its
plan, and where it cannot be had the plan is a SetupError that says what to do.
To add a backend: a function that yields its builds or says why not, in BACKENDS, and its line in `_automatic`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.setup.cuda_toolchain import LEAST_COMPUTE, LEAST_DRIVER, Nvcc, cuda_options, driver_library, pypi_build
from deploy.setup.llama_wheel import WantedBuild
from deploy.setup.machine import Facts, GraphicsCard
from deploy.setup.venv import SetupError

CHOICES = ("auto", "cuda", "vulkan", "metal", "cpu")
NO_TENSOR_CORES = re.compile(r"GTX 16\d\d")  # Turing in name: llama.cpp itself advises these flags
PASCAL_CODE = ("-DCMAKE_CUDA_ARCHITECTURES=61-virtual;80-virtual", "-DGGML_CUDA_FORCE_MMQ=ON")
DRIVER_OF_TOOLKIT = {13: 580, 12: 525, 11: 450}


@dataclass
class Plan:
    """Builds in the order in which they are tried, and why others are left out; `later`: if the first one fails."""

    builds: list[WantedBuild] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)


def plan_for(choice: str, facts: Facts) -> Plan:
    """The plan for what was asked. Raises SetupError for a backend by name that this machine cannot have."""
    if choice not in CHOICES:
        raise SetupError(f"GPU={choice} is not known: say one of {', '.join(CHOICES)}.")
    if choice == "auto":
        return _automatic(facts)
    plan = BACKENDS[choice](facts)
    if not plan.builds:
        why = " ".join(plan.notes)
        raise SetupError(f"GPU={choice} cannot be had here. {why} `make run GPU=auto` takes what can be had.")
    return plan


def _automatic(facts: Facts) -> Plan:
    names = {"nvidia": ("cuda", "vulkan"), "amd": ("vulkan",), "intel": ("vulkan",), "apple": ("metal",)}
    wanted = list(dict.fromkeys(name for card in facts.cards for name in names[card.vendor]))
    whole = Plan(notes=[f"{facts.fault.rstrip('.')}."] if facts.fault else [])
    for name in (*wanted, "cpu"):
        part = BACKENDS[name](facts)
        said = whole.later if whole.builds else whole.notes
        said += part.notes if not facts.fault or name != "cuda" else []
        whole.builds += [build for build in part.builds if build not in whole.builds]
    return whole


def _cuda(facts: Facts) -> Plan:
    """CUDA with nvcc from the PATH, then with PyPI's; only for the cards that are there."""
    nvidia = [card for card in facts.cards if card.vendor == "nvidia"]
    if not nvidia:
        why = facts.fault or "nvidia-smi, which comes with NVIDIA's driver, is not there"
        return Plan(notes=[f"CUDA: no NVIDIA card was found ({why}); install the driver anew."])
    if not any(card.driver_release for card in nvidia):
        return Plan(notes=[f"CUDA: {nvidia[0].name} has no driver of NVIDIA's: install it, and start again."])
    plan = Plan()
    for attempt in (_from_path, _from_pypi):
        found = attempt(facts, nvidia)
        if isinstance(found, WantedBuild):
            plan.builds.append(found)
        elif found:
            plan.notes.append(f"CUDA: {found}")
    return plan


def _from_path(facts: Facts, nvidia: list[GraphicsCard]) -> WantedBuild | str:
    """The build with the nvcc of this machine; else why not (nothing where there is none)."""
    nvcc = facts.nvcc
    if not isinstance(nvcc, Nvcc):
        return nvcc or ""
    name = f"{nvcc.path} (CUDA {nvcc.version[0]}.{nvcc.version[1]})"
    if not nvcc.complete:
        return f"{name} is not used, cuBLAS (libcublas.so) is missing beside it."
    if nvidia[0].driver_release < DRIVER_OF_TOOLKIT.get(nvcc.version[0], LEAST_DRIVER):
        return f"{name} is too new for driver {nvidia[0].driver}."
    known = [card for card in nvidia if _architecture(card) in nvcc.architectures]
    if not known:
        return f"{name} makes no code for {nvidia[0]}."
    compiler = "nvcc {}.{}".format(*nvcc.version)
    return _build(known, compiler, nvcc)


def _build(cards: list[GraphicsCard], compiler: str, nvcc: Nvcc) -> WantedBuild:
    architectures = _architectures(cards)
    options = cuda_options(architectures, driver_library())
    name = "sm_" + "_".join(architectures)
    if NO_TENSOR_CORES.search(cards[0].name) and "61" in nvcc.architectures:
        options, name = (options[0], *PASCAL_CODE, options[2]), f"{name}-pascal"
    return WantedBuild("cuda", f"{name}-cuda{nvcc.version[0]}", options, compiler)


def _from_pypi(facts: Facts, nvidia: list[GraphicsCard]) -> WantedBuild | str:
    """The build with PyPI's toolchain; else why not."""
    able = [card for card in nvidia if card.capability >= LEAST_COMPUTE]
    if facts.system != "Linux" or facts.processor not in ("x86_64", "aarch64"):
        return f"PyPI has no compiler for {facts.system} on {facts.processor}."
    if not able:
        least = ".".join(map(str, LEAST_COMPUTE))
        return f"the compiler from PyPI needs compute capability {least} or newer, not so {nvidia[0]}."
    if able[0].driver_release < LEAST_DRIVER:
        needs = f"the compiler from PyPI needs driver {LEAST_DRIVER} or newer"
        return f"{needs}: update NVIDIA's driver ({able[0].driver} is there) and start again."
    more = ("-DGGML_CUDA_FORCE_MMQ=ON",) if NO_TENSOR_CORES.search(able[0].name) else ()
    return pypi_build(_architectures(able), more)


def _vulkan(facts: Facts) -> Plan:
    if facts.system != "Linux":
        return Plan(notes=[f"Vulkan: it is not built on {facts.system}."])
    if facts.vulkan_lacks:
        return Plan(notes=[f"Vulkan: {facts.vulkan_lacks}."])
    return Plan([WantedBuild("vulkan", facts.processor, ("-DGGML_VULKAN=ON",))])


def _metal(facts: Facts) -> Plan:
    if facts.system != "Darwin":
        return Plan(notes=["Metal: it is Apple's, and this is no Mac."])
    return Plan([WantedBuild("metal", facts.processor)])


def _cpu(facts: Facts) -> Plan:
    """On a Mac Metal is always in it: `make run GPU=cpu` puts no layers on the card."""
    if facts.system == "Darwin":
        return _metal(facts)
    return Plan([WantedBuild("cpu", facts.processor)])


BACKENDS: dict[str, Callable[[Facts], Plan]] = {"cuda": _cuda, "vulkan": _vulkan, "metal": _metal, "cpu": _cpu}


def _architecture(card: GraphicsCard) -> str:
    return card.compute.replace(".", "")


def _architectures(cards: list[GraphicsCard]) -> tuple[str, ...]:
    return tuple(sorted({_architecture(card) for card in cards}, key=int))
