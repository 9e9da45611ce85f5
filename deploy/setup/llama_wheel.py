"""The wheel of llama-cpp-python: built for one backend and one architecture, kept for the next clone, and labelled.

A wheel that was built is kept in the user's cache folder by version, backend and architecture. It carries a label
(`inglenook-build.json` in its dist-info) that says what it was built for; the engine reads it where it is installed
(engine/model/llama_build.py). pip's own cache knows no backend: only plain builds for the CPU go through it.
What it refuses to know: which build is wanted (deploy/setup/plan.py), whether it finds a card (deploy/setup/llama.py).
"""

import base64
import hashlib
import json
import os
import re
import shlex
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.setup.compiling import compile_with_pip
from deploy.setup.venv import cache_folder, pinned, run_pip

LABEL = "inglenook-build.json"
PLAIN_OPTIONS = ("-DLLAVA_BUILD=OFF",)  # the multimodal library is not used
FOR_COMPILERS = re.compile(r"avx|amx|s?sse|fma|f16c|bmi|asimd|sve|sme|i8mm|bf16|fphp")
_LIBRARY = re.compile(r"llama_cpp/lib/libggml-(cuda|vulkan|metal|hip|sycl)\.")
_COPY = re.compile(r"^lib/|\.so\.\d+\.\d+")  # a wheel has no links: each library would be in it six times


@dataclass(frozen=True)
class WantedBuild:
    """What is built: the backend, the architecture of the card (or CPU), CMake's options, and with which compiler."""

    backend: str
    architecture: str
    options: tuple[str, ...] = ()
    compiler: str = ""

    @property
    def is_from_pypi(self) -> bool:
        """Whether CUDA's compiler and libraries are PyPI's."""
        return self.compiler.endswith("from PyPI")

    @property
    def key(self) -> str:
        """The name by which the wheel is kept. No driver to link, and CMAKE_ARGS of the person, make other builds."""
        own = os.environ.get("CMAKE_ARGS", "")
        mark = "-no-vmm" if "-DGGML_CUDA_NO_VMM=ON" in self.options else ""
        mark += "-" + hashlib.sha256(own.encode()).hexdigest()[:8] if own else ""
        return f"{pinned('llama-cpp-python').replace('==', '-')}-{self.backend}-{self.architecture}{mark}"

    def label(self) -> dict[str, str]:
        """What the wheel says about itself."""
        options = " ".join((*self.options, os.environ.get("CMAKE_ARGS", ""))).strip()
        return {
            "backend": self.backend,
            "architecture": self.architecture,
            "compiler": self.compiler,
            "options": options,
        }


def processor_mark(file: Path = Path("/proc/cpuinfo")) -> str:
    """A mark of what this processor can do: code made for one does not run on an older one.

    Only of what a compiler uses: a kernel's list changes with the kernel, too.
    """
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "any"
    abilities = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    used = sorted(filter(FOR_COMPILERS.match, abilities.split()))
    return hashlib.sha256(" ".join(used).encode()).hexdigest()[:8]


def wheel_folder(build: WantedBuild) -> Path:
    """Where the wheel of this build is kept, for this processor: every build has code for it."""
    return cache_folder() / "wheels" / f"{build.key}-{processor_mark()}"


def kept_wheel(build: WantedBuild) -> Path | None:
    """The wheel of an earlier build, in the user's cache folder."""
    return next(iter(sorted(wheel_folder(build).glob("*.whl"))), None)


def ready_made_wheel(build: WantedBuild, folder: Path) -> Path | None:
    """A wheel from an index of pip's settings, if it is for this backend."""
    arguments = ("download", "--only-binary=:all:", "--no-deps", "--dest", str(folder), pinned("llama-cpp-python"))
    if run_pip(*arguments).returncode != 0:
        return None
    wheel = next(iter(folder.glob("*.whl")), None)
    return wheel if wheel and backend_of_wheel(wheel) == build.backend else None


def wheel_of_pip(build: WantedBuild) -> Path | None:
    """A labelled copy of the wheel that pip has built and kept, for the processor only: pip knows no backend."""
    if build.backend != "cpu" or os.environ.get("CMAKE_ARGS"):
        return None
    name = pinned("llama-cpp-python").replace("-", "_").replace("==", "-")
    listed = run_pip("cache", "list", name.split("-")[0], "--format=abspath").stdout.splitlines()
    found = [Path(line) for line in listed if f"/{name}-" in line]
    return next((keep_wheel(path, build) for path in found if backend_of_wheel(path) == "cpu"), None)


def compile_wheel(build: WantedBuild, source: Path, what: str, environ: Mapping[str, str]) -> Path:
    """Compile the source, label and keep the wheel; returns its path in the cache folder. Raises SetupError.

    The folder of the objects lies beside the source: what is there already is not compiled again.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("wheel", "-v", "--no-deps", "--wheel-dir", folder, str(source))
        objects = {"SKBUILD_BUILD_DIR": str(source.with_name("objects")), "CMAKE_ARGS": cmake_arguments(build)}
        compile_with_pip(what, arguments, {**environ, **objects})
        return keep_wheel(next(Path(folder).glob("*.whl")), build)


def cmake_arguments(build: WantedBuild) -> str:
    """CMAKE_ARGS: ours first, the person's own behind them, where they win."""
    return " ".join(filter(None, (shlex.join((*PLAIN_OPTIONS, *build.options)), os.environ.get("CMAKE_ARGS", ""))))


def keep_wheel(built: Path, build: WantedBuild) -> Path:
    """Put a labelled copy into the cache folder, whole or not at all."""
    target = wheel_folder(build) / built.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        label_wheel(built, Path(folder) / built.name, build.label())
        (Path(folder) / built.name).replace(target)
    return target


def label_wheel(source: Path, target: Path, label: Mapping[str, str]) -> None:
    """Copy a wheel without its doubled libraries and with a label in its dist-info."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        kept = [entry for entry in old.infolist() if not _COPY.search(entry.filename)]
        record = next(entry for entry in kept if entry.filename.endswith(".dist-info/RECORD"))
        for entry in kept:
            if entry is not record:
                with old.open(entry) as content, new.open(entry, "w") as copy:
                    shutil.copyfileobj(content, copy, 1 << 20)
        text, name = json.dumps(label), record.filename.replace("RECORD", LABEL)
        new.writestr(name, text)
        rows = [row for row in old.read(record).decode().splitlines() if not _COPY.search(row)]
        new.writestr(record, "\n".join([*rows, f"{name},sha256={_record_hash(text)},{len(text)}", ""]))


def _record_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def backend_of_wheel(wheel: Path) -> str:
    """The backend that a wheel holds, by its libraries."""
    with zipfile.ZipFile(wheel) as archive:
        return backend_of_files(archive.namelist())


def backend_of_files(names: list[str]) -> str:
    """The backend that these library files are for."""
    return next((found[1] for found in map(_LIBRARY.search, names) if found), "cpu")
