"""The C++ compiler: which one CMake would take, which version it is, and what to install where there is none."""

import os
import shutil
import subprocess

from deploy.setup.venv import SetupError

COMPILERS = (
    "Debian, Ubuntu: `apt install g++ make`; Fedora: `dnf install gcc-c++ make`; macOS: `xcode-select --install`"
)


def check_compiler() -> None:
    """Raise SetupError when llama.cpp must be compiled and there is no compiler."""
    if find_compiler():
        return
    raise SetupError(f"No C++ compiler was found, and llama.cpp has to be compiled once: install one ({COMPILERS}).")


def find_compiler() -> str | None:
    """The C++ compiler that CMake would take: $CXX, else the usual names on the PATH."""
    names = [os.environ.get("CXX", "").split(" ")[0], "c++", "g++", "clang++"]
    return next((found for found in (shutil.which(name) for name in names if name) if found), None)


def compiler_version() -> str:
    """The first line of what the compiler says about itself; empty where it says nothing."""
    command = [find_compiler() or "c++", "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (done.stdout.splitlines() or [""])[0].strip()
