"""The CUDA toolchain: nvcc from the PATH, or NVIDIA's packages from PyPI, put together as CMake expects a toolkit.

PyPI has the compiler (nvidia-cuda-nvcc brings -crt, -nvvm and -runtime), CUB (-cccl) and cuBLAS. What they lack are the
links without a version by which a linker finds a library, and `lib64`. cuBLAS and the runtime are needed to run as
well: RUNTIME is installed in .venv, and the libraries that are built look for it there (RPATH).
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.setup.llama_wheel import WantedBuild
from deploy.setup.venv import pip, say

RUNTIME = ("nvidia-cuda-runtime==13.5.*", "nvidia-cublas==13.10.*")
COMPILER = ("nvidia-cuda-nvcc==13.5.*", "nvidia-cuda-crt==13.5.*", "nvidia-nvvm==13.5.*", "nvidia-cuda-cccl==13.3.5.*")
LEAST_DRIVER, LEAST_COMPUTE = 580, (7, 5)  # of CUDA 13
RPATH = r"-Wl,-rpath,\$ORIGIN/../../nvidia/cu13/lib"  # from site-packages/llama_cpp/lib
DRIVER_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/wsl/lib",
)


@dataclass(frozen=True)
class Nvcc:
    """A CUDA compiler: path, version, the architectures that it knows ("86"), and whether cuBLAS lies beside it."""

    path: Path
    version: tuple[int, int]
    architectures: tuple[str, ...]
    complete: bool


def nvcc_on_path() -> Nvcc | str | None:
    """The nvcc of this machine; None where there is none; a sentence about one that does not work."""
    program = shutil.which("nvcc")
    if program is None:
        return None
    try:
        version = _output([program, "--version"])
        planned = _output([program, "--dryrun", "-x", "cu", "/dev/null"])
        architectures = re.findall(r"compute_(\d+)", _output([program, "--list-gpu-arch"]))
    except (OSError, subprocess.SubprocessError) as error:
        return f"{program} does not work and is passed over: {_reason(error)}."
    release = re.search(r"release (\d+)\.(\d+)", version)
    if release is None:
        return f"{program} does not work and is passed over: it does not say its version."
    top = re.search(r"^#\$ TOP=(.+)$", planned, re.MULTILINE)
    home = Path(top[1].strip()).resolve() if top else Path(program).resolve().parent.parent
    return Nvcc(Path(program), (int(release[1]), int(release[2])), tuple(architectures), _has_cublas(home))


def _reason(error: Exception) -> str:
    """Why a program gave no answer, in a few words."""
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line.strip() for line in str(error.output or "").splitlines() if line.strip()]
        words = f" ({lines[-1][:200].rstrip('.')})" if lines else ""
        return f"it ended with status {error.returncode}{words}"
    if isinstance(error, subprocess.TimeoutExpired):
        return "it did not answer within a minute"
    return str(getattr(error, "strerror", None) or error)


def _output(command: list[str]) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=60, check=True
    )
    return done.stdout


def _has_cublas(home: Path) -> bool:
    folders = (home / "lib64", home / "lib", *(home / "targets").glob("*/lib"), *map(Path, DRIVER_FOLDERS))
    return any((folder / "libcublas.so").exists() for folder in folders)


def pypi_build(architectures: tuple[str, ...], more: tuple[str, ...] = ()) -> WantedBuild:
    """The build for these cards (compute capabilities without the dot) with PyPI's toolchain."""
    compiler = "nvcc {} from PyPI".format(COMPILER[0].split("==")[1].removesuffix(".*"))
    options = (*cuda_options(architectures, driver_library()), f"-DCMAKE_SHARED_LINKER_FLAGS={RPATH}", *more)
    return WantedBuild("cuda", "sm_" + "_".join(architectures), options, compiler)


def cuda_options(architectures: tuple[str, ...], driver: Path | None) -> tuple[str, ...]:
    """CMake's options: machine code for these cards only, and the driver's memory pool where there is a driver."""
    real = ";".join(f"{architecture}-real" for architecture in architectures)
    pool = f"-DCUDA_cuda_driver_LIBRARY={driver}" if driver else "-DGGML_CUDA_NO_VMM=ON"
    return ("-DGGML_CUDA=ON", f"-DCMAKE_CUDA_ARCHITECTURES={real}", pool)


def toolchain_from_pypi(folder: Path) -> dict[str, str]:
    """Fetch the toolchain into a folder, unless it is there; returns the environment that makes CMake find it."""
    place = folder / "toolchain"
    if not place.is_dir():
        say("Fetching NVIDIA's CUDA compiler from PyPI: 570 MB, only while llama.cpp is compiled ...")
        pip("install", "--target", str(folder / "toolchain.new"), "--upgrade", "--no-deps", *COMPILER, *RUNTIME)
        (folder / "toolchain.new").rename(place)
    home = place / "nvidia" / "cu13"
    link_libraries(home)
    return {"CUDACXX": str(home / "bin" / "nvcc"), "CUDAToolkit_ROOT": str(home), "CUDA_PATH": str(home)}


def link_libraries(home: Path) -> None:
    """The names by which a linker asks: lib*.so for lib*.so.13, and lib64."""
    for library in sorted((home / "lib").glob("lib*.so.*")):
        link = library.with_name(library.name.split(".so.")[0] + ".so")
        if not link.exists():
            link.symlink_to(library.name)
    if not (home / "lib64").exists():
        (home / "lib64").symlink_to("lib")


def driver_library(folders: tuple[str, ...] = DRIVER_FOLDERS) -> Path | None:
    """The driver's own library, which a build links for its memory pool; None on a machine without a driver."""
    found = (Path(folder) / name for folder in folders for name in ("libcuda.so", "libcuda.so.1"))
    return next((path for path in found if path.exists()), None)
