"""llama.cpp with its Vulkan backend, built once into the user's cache folder out of Debian's own files.

A software device is enough to run it: Mesa's llvmpipe, a Vulkan device with buffers of its own. Debian 12's headers are
too old for this llama.cpp (1.3.239 has no VK_EXT_layer_settings), so those of the next Debian are unpacked into a
folder, by an apt with lists of its own: nothing of the machine is changed by that. Only ggml is built; the installed
package's own libllama, which any ggml of its version serves, is put beside it. A build that was broken off goes on
where it was. `LLAMA_CPP_LIB_PATH` makes the Python package load what lies in `libraries()`.
"""

import ctypes.util
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.bootstrap import pinned
from deploy.setup.build_folder import unpack

NEWER_DEBIAN = "trixie"
NEEDED = {"glslc": "glslc", "cmake": "cmake", "ninja": "ninja-build", "c++": "g++", "dpkg-deb": "dpkg"}
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SYSTEM_HEADERS = Path("/usr/include")
DRIVERS = Path("/usr/share/vulkan/icd.d")
LIBRARY = "libggml-vulkan.so"


class CannotBuild(Exception):
    """What is missing, and what to do, in one sentence."""


def cache_folder() -> Path:
    """Where the build lies: outside the tree, one folder for each version of llama-cpp-python."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "inglenook" / f"vulkan-{pinned('llama-cpp-python').split('==')[1]}"


def libraries() -> Path:
    """The folder of the built libraries."""
    return cache_folder() / "build" / "bin"


def driver() -> Path:
    """The description of Mesa's software driver (llvmpipe)."""
    found = sorted(DRIVERS.glob("lvp_icd*.json"))
    if not found:
        raise CannotBuild("There is no software device for Vulkan here: apt install mesa-vulkan-drivers.")
    return found[0]


def build() -> Path:
    """Build what is missing, and return the folder of the libraries. Raises CannotBuild."""
    install_packages()
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    source = fetch_source(folder)
    headers = fetch_headers(folder)
    if not (folder / "build" / "build.ninja").is_file():
        run("cmake", *configuration(source, folder / "build", headers), log=folder / "configure.log")
    say("building ggml with Vulkan: about 20 minutes on two cores the first time, seconds after that")
    run("cmake", "--build", folder / "build", "--target", "ggml", log=None)
    if not (libraries() / LIBRARY).is_file():
        raise CannotBuild(f"The build has made no {LIBRARY} in {libraries()}: remove {folder} and try again.")
    shutil.copy2(packaged_llama(), libraries())
    return libraries()


def packaged_llama() -> Path:
    """The libllama of the installed llama-cpp-python; found without loading it."""
    package = importlib.util.find_spec("llama_cpp")
    if package is None or package.origin is None:
        raise CannotBuild("llama-cpp-python is not installed: say `make venv-dev`.")
    return Path(package.origin).parent / "lib" / "libllama.so"


def environment(libraries: Path) -> dict[str, str]:
    """Only the software device is seen, whatever cards the machine has; the Python package loads our build."""
    device = {"VK_DRIVER_FILES": str(driver()), "VK_ICD_FILENAMES": str(driver()), "GGML_VK_VISIBLE_DEVICES": "0"}
    return {**os.environ, **device, "LLAMA_CPP_LIB_PATH": str(libraries)}


def install_packages() -> None:
    """Debian's packages for the build and the software device, where they are missing and this user may."""
    missing = [package for program, package in NEEDED.items() if not shutil.which(program)]
    missing += [] if ctypes.util.find_library("vulkan") else ["libvulkan1"]
    missing += [] if any(DRIVERS.glob("lvp_icd*.json")) else ["mesa-vulkan-drivers"]
    if not missing:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise CannotBuild(f"These packages are needed: {', '.join(missing)} (Debian: apt install them).")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *missing]):
        subprocess.run(["apt-get", *arguments], check=True, env=environ, stdout=subprocess.DEVNULL)


def fetch_source(folder: Path) -> Path:
    """The source of the pinned llama-cpp-python, from PyPI."""
    source = folder / "source"
    if not source.is_dir():
        say("fetching the source of llama.cpp")
        run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "llama-cpp-python",
            "--dest", folder, pinned("llama-cpp-python"), log=folder / "download.log")  # fmt: skip
        unpacked = folder / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        unpack(next(folder.glob("llama_cpp_python-*.tar.gz")), unpacked)
        next(unpacked.iterdir()).rename(source)
    return source / "vendor" / "llama.cpp"


def fetch_headers(folder: Path) -> Path:
    """Headers of Vulkan and SPIR-V that are new enough: the system's, else those of a newer Debian."""
    core = SYSTEM_HEADERS / "vulkan" / "vulkan_core.h"
    has_spirv = any(Path("/usr").glob("*/cmake/SPIRV-Headers"))
    if has_spirv and core.is_file() and "VK_EXT_layer_settings" in core.read_text():
        return Path("/usr")
    headers = folder / "headers"
    if not headers.is_dir():
        say(f"fetching the headers of Vulkan from Debian {NEWER_DEBIAN}")
        apt = private_apt(folder / "apt")
        run("apt-get", "update", "-q", log=folder / "headers.log", APT_CONFIG=str(apt))
        run("apt-get", "download", "libvulkan-dev", "spirv-headers", log=folder / "headers.log", cwd=apt.parent,
            APT_CONFIG=str(apt))  # fmt: skip
        for package in sorted(apt.parent.glob("*.deb")):
            run("dpkg-deb", "-x", package, folder / "headers.new", log=folder / "headers.log")
        (folder / "headers.new").rename(headers)
    return headers / "usr"


def private_apt(folder: Path) -> Path:
    """The configuration of an apt that knows the newer Debian only, and keeps its lists in `folder`."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    source = f"deb [signed-by={KEYS}] http://deb.debian.org/debian {NEWER_DEBIAN} main\n"
    (folder / "sources.list").write_text(source)
    config = folder / "apt.conf"
    config.write_text(
        f'Dir::State "{folder}/state";\nDir::State::status "{folder}/status";\nDir::Cache "{folder}/cache";\n'
        f'Dir::Etc::SourceList "{folder}/sources.list";\nDir::Etc::SourceParts "-";\n'
        'Acquire::Languages "none";\nAPT::Sandbox::User "root";\n'
    )
    return config


def configuration(source: Path, build_folder: Path, headers: Path) -> list[object]:
    """CMake's arguments."""
    spirv = next(path.parent for path in headers.glob("*/cmake/SPIRV-Headers/SPIRV-HeadersConfig.cmake"))
    off = ("TESTS", "TOOLS", "EXAMPLES", "SERVER", "COMMON", "APP")
    return [
        "-S", source, "-B", build_folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON",
        "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON", "-DCMAKE_INSTALL_RPATH=$ORIGIN", "-DGGML_VULKAN=ON",
        f"-DVulkan_INCLUDE_DIR={headers / 'include'}", f"-DVulkan_LIBRARY={vulkan_library()}",
        f"-DSPIRV-Headers_DIR={spirv}", "-DLLAMA_CURL=OFF", *(f"-DLLAMA_BUILD_{name}=OFF" for name in off),
    ]  # fmt: skip


def vulkan_library() -> Path:
    """The loader to link with; the package without headers has no libvulkan.so."""
    found = [*Path("/usr/lib").glob("*-linux-gnu/libvulkan.so.1"), Path("/usr/lib/libvulkan.so.1")]  # not Chromium's
    return found[0]


def run(*command: object, log: Path | None, cwd: Path | None = None, **environ: str) -> None:
    """Run a command with its words in a log (None: for all to see). Raises CannotBuild with the end of that log."""
    words = list(map(str, command))
    with (log or Path(os.devnull)).open("a") as file:
        output = file if log else None
        done = subprocess.run(words, check=False, cwd=cwd, stdout=output, stderr=subprocess.STDOUT if log else None,
            env={**os.environ, **environ})  # fmt: skip
    if done.returncode:
        tail = "\n".join(log.read_text().splitlines()[-12:]) if log else "(see above)"
        raise CannotBuild(f"`{' '.join(words[:3])} ...` failed:\n{tail}")


def say(text: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"test-vulkan: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    build()
