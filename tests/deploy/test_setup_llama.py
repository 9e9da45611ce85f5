"""From a card to an installed llama.cpp: real pip, a shelf instead of PyPI, a package that is quickly built.

The source package on the shelf is built by a few lines of Python that ask the compiler for CUDA as CMake would, print
steps as ninja does, and make a package that finds the card for which it was built.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deploy.setup import venv
from deploy.setup.build_folder import locked_alone
from deploy.setup.failed_builds import forget_failure, remember_failure, why_failed
from deploy.setup.llama import ensure_any_llama, ensure_llama, installed_build, try_llama
from deploy.setup.llama_wheel import LABEL, WantedBuild, keep_wheel, wheel_folder
from deploy.setup.machine import facts
from deploy.setup.plan import plan_for
from deploy.setup.venv import SetupError, pinned
from tests.harness import shelf
from tests.harness.nvidia import GTX_1060, OLD_DRIVER, RTX_3060, nvidia_smi, script
from tests.harness.shelf import bare_venv, sdist, wheel

NAME, VERSION = pinned("llama-cpp-python").split("==")
BUILDER = """
import os, subprocess, sys
from shelf import wheel
from pathlib import Path

INFO = "llama_cpp_python-VERSION.dist-info"

def prepare_metadata_for_build_wheel(folder, *_):
    Path(folder, INFO).mkdir()
    Path(folder, INFO, "METADATA").write_text("Metadata-Version: 2.1\\nName: llama-cpp-python\\nVersion: VERSION\\n")
    return INFO

def build_wheel(folder, *_):
    print("[1/3] c++ ggml.c", flush=True)
    flags = os.environ["CMAKE_ARGS"]
    backend = "cuda" if "GGML_CUDA=ON" in flags else "vulkan" if "GGML_VULKAN=ON" in flags else "cpu"
    if backend == "cuda":
        subprocess.run([os.environ["CUDACXX"], "--version"], check=True)
    print("[3/3] c++ llama.cpp", flush=True)
    package = f"def llama_supports_gpu_offload(): return {backend != 'cpu'}"
    files = {"llama_cpp/__init__.py": package, f"llama_cpp/lib/libggml-{backend}.so": "", "lib/copy.so": ""}
    return wheel(Path(folder), "llama-cpp-python", files, "VERSION").name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "builder"\nbackend-path = ["."]\n'
TOOLCHAIN = {
    "nvidia-cuda-nvcc": "13.5.37",
    "nvidia-cuda-crt": "13.5.37",
    "nvidia-nvvm": "13.5.37",
    "nvidia-cuda-cccl": "13.3.5.0.6",
    "nvidia-cuda-runtime": "13.5.37",
    "nvidia-cublas": "13.10.0.20",
}


class FreshClone:
    """A fresh clone's .venv, the programs on the PATH, and the packages that pip can get."""

    def __init__(self, folder, capfd):
        self.folder, self._capfd = folder, capfd
        self.bin, self.shelf, self.cache = (folder / name for name in ("bin", "shelf", "cache"))
        for path in (self.bin, self.shelf):
            path.mkdir()
        self.is_another()
        script(self.bin / "c++", "exit 0")
        builder = BUILDER.replace("VERSION", VERSION)
        sdist(
            self.shelf,
            NAME,
            {
                "pyproject.toml": PYPROJECT,
                "builder.py": builder,
                "shelf.py": Path(shelf.__file__).read_text().replace("import pip", ""),
            },
            VERSION,
        )
        for name, version in TOOLCHAIN.items():
            wheel(self.shelf, name, {f"nvidia/cu13/lib/lib{name}.so.13": ""}, version)

    def is_another(self):
        """A clone beside it, with the same cache."""
        venv.VENV = Path(tempfile.mkdtemp(dir=self.folder))
        bare_venv(venv.VENV)

    def toolchain(self, status):
        files = {"nvidia/cu13/bin/nvcc": f"#!/bin/sh\necho nvcc is here\nexit {status}\n"}
        path = wheel(self.shelf, "nvidia-cuda-nvcc", files, TOOLCHAIN["nvidia-cuda-nvcc"])
        subprocess.run([sys.executable, "-c", EXECUTABLE, str(path)], check=True)

    def has_built_for_the_processor(self):
        package = {"llama_cpp/__init__.py": "def llama_supports_gpu_offload(): return False"}
        keep_wheel(wheel(self.folder, NAME, package, VERSION), plan_for("cpu", facts()).builds[0])

    def runs(self, choice="auto"):
        """What is said while llama.cpp is set up."""
        self._capfd.readouterr()
        ensure_llama(choice)
        return self._capfd.readouterr().out


EXECUTABLE = """
import sys, zipfile
path = sys.argv[1]
with zipfile.ZipFile(path) as old:
    entries = [(entry, old.read(entry)) for entry in old.infolist()]
with zipfile.ZipFile(path, "w") as new:
    for entry, content in entries:
        entry.external_attr = 0o100755 << 16
        new.writestr(entry, content)
"""


@pytest.fixture
def clone(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(venv, "VENV", tmp_path / ".venv")
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    settings = {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "shelf"),
        "PIP_CACHE_DIR": str(tmp_path / "pip"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return FreshClone(tmp_path, capfd)


def test_a_good_card(clone):
    nvidia_smi(clone.bin, RTX_3060)
    clone.toolchain(status=0)
    said = clone.runs()
    assert "Found NVIDIA GeForce RTX 3060, driver 580.95.05, compute capability 8.6." in said
    assert "Fetching NVIDIA's CUDA compiler from PyPI: 570 MB" in said
    assert "compiling for CUDA: step 3 of 3" in said
    assert "llama.cpp computes with CUDA for sm_86" in said
    assert installed_build()["backend"] == "cuda"
    assert [path.suffix for path in (clone.cache / "inglenook" / "building").iterdir()] == [".lock"]  # all is gone
    assert clone.runs() == ""  # the second start says nothing and does nothing
    ensure_any_llama()
    assert installed_build()["backend"] == "cuda"  # the tests take what is there
    clone.has_built_for_the_processor()
    assert "that was built before" in clone.runs("cpu")
    assert "that was built before" in clone.runs("cuda")
    assert installed_build()["architecture"].startswith("sm_86")


def test_a_card_that_is_lost_for_one_start_compiles_nothing(clone):
    """A driver that was updated and waits for a restart, or does not answer for once."""
    nvidia_smi(clone.bin, RTX_3060)
    clone.toolchain(status=0)
    clone.runs()
    nvidia_smi(clone.bin, "Failed to initialize NVML: Driver/library version mismatch", status=18)
    said = clone.runs()
    assert "Driver/library version mismatch" in said
    assert "stays" in said
    assert "compiling" not in said
    assert installed_build()["backend"] == "cuda"
    nvidia_smi(clone.bin, RTX_3060)
    assert clone.runs() == ""


def test_a_kept_wheel_that_does_not_work_here_is_compiled_anew(clone):
    """The cache of a home that machines share, or of a system that was older."""
    package = {"llama_cpp/__init__.py": "raise OSError('GLIBC_2.38 not found')"}
    keep_wheel(wheel(clone.folder, NAME, package, VERSION), plan_for("cpu", facts()).builds[0])
    said = clone.runs()
    assert "GLIBC_2.38 not found" in said
    assert "compiling for the processor: step 3 of 3" in said
    assert installed_build()["backend"] == "cpu"


def test_a_broken_toolchain(clone):
    clone.has_built_for_the_processor()
    nvidia_smi(clone.bin, RTX_3060)
    clone.toolchain(status=1)
    said = clone.runs()
    assert "CUDA for sm_86" in said
    assert "could not be had: llama.cpp could not be compiled, all of its words are in" in said
    assert "Next: the processor." in said
    assert "llama.cpp computes with the processor." in said
    again = clone.runs()
    assert "could not be had" in again  # not in silence, and without compiling again
    assert "`make run GPU=cuda` tries it again" in again
    assert "compiling" not in again
    with pytest.raises(SetupError, match=r"llama\.cpp could not be compiled"):
        ensure_llama("cuda")
    clone.runs("cpu")
    after_another_choice = clone.runs()
    assert "CUDA for sm_86 with nvcc 13.5 from PyPI has failed here before (llama.cpp could" in after_another_choice
    assert "and is not tried: `make run GPU=cuda` tries it again. Next: the processor." in after_another_choice
    assert "ompiling" not in after_another_choice
    assert "has failed here before" in clone.runs(), "every start says it"
    script(clone.bin / "c++", "echo 'c++ (Debian) 15.1'")
    clone.toolchain(status=0)
    clone.is_another()
    assert "llama.cpp computes with CUDA for sm_86" in clone.runs(), "another compiler"


def test_a_failure_is_remembered_for_one_build_until_it_works(clone):
    cuda, others = WantedBuild("cuda", "sm_86", (), "nvcc 12.4"), ("13.0", "12.4")
    builds = [WantedBuild("cuda", "sm_75", (), "nvcc 12.4"), *(WantedBuild("vulkan", "sm_86", (), n) for n in others)]
    remember_failure(cuda, "no such file")
    remember_failure(builds[0], "x" * 5000)
    assert [why_failed(build) for build in (cuda, *builds)] == ["no such file", "x" * 300, "", ""]
    forget_failure(cuda)
    assert [why_failed(build) for build in (cuda, builds[0])] == ["", "x" * 300]
    (clone.cache / "inglenook" / "failed-builds.json").write_text("rubbish")
    assert why_failed(builds[0]) == ""


def test_what_could_not_be_fetched_has_not_failed(clone):
    """No line to PyPI: at the next change of mind it is tried again."""
    clone.has_built_for_the_processor()
    nvidia_smi(clone.bin, RTX_3060)
    next(clone.shelf.glob("nvidia_cuda_nvcc*")).unlink()
    assert "could not be had: llama.cpp could not be compiled, `pip install" in clone.runs()
    assert why_failed(plan_for("cuda", facts()).builds[0]) == ""


def test_an_nvcc_that_does_not_work_is_named_and_passed_over(clone):
    nvidia_smi(clone.bin, RTX_3060)
    nvcc = script(clone.bin / "nvcc", "echo 'sh: cudafe++: not found' >&2; exit 127")
    clone.toolchain(status=0)
    said = clone.runs()
    why = "it ended with status 127 (sh: cudafe++: not found)"
    assert f"CUDA: {nvcc} does not work and is passed over: {why}." in said
    assert "llama.cpp computes with CUDA for sm_86 with nvcc 13.5 from PyPI." in said


def test_old_builds_are_removed_when_a_new_one_works(clone):
    """Of what is built the one in use and the one before stay; of others the last; none that is being built."""
    kept = wheel_folder(plan_for("cpu", facts()).builds[0])
    old = [kept.with_name(kept.name.replace(VERSION, version)) for version in ("0.3.1", "0.3.2", "0.3.3")]
    other = [kept.with_name(f"llama-cpp-python-{version}-vulkan-x86_64-abc") for version in ("0.3.2", "0.3.3")]
    building = [clone.cache / "inglenook" / "building" / name for name in ("busy", "older", "newer")]
    for number, folder in enumerate((*old, *other, *building)):
        folder.mkdir(parents=True)
        (folder / "file.whl").write_bytes(b"x" * 2_000_000)
        os.utime(folder, (number, number))
    with locked_alone(building[0]):
        said = clone.runs("cpu")
    assert "Removed 4 old builds of llama.cpp from" in said
    assert "8 MB:" in said
    there = [folder.is_dir() for folder in (kept, *old, *other, *building)]
    assert there == [True, False, False, True, False, True, True, False, True]
    assert "Removed" not in clone.runs("cpu")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (GTX_1060, "needs compute capability 7.5 or newer, not so NVIDIA GeForce GTX 1060 6GB"),
        (OLD_DRIVER, "update NVIDIA's driver (535.183.01 is there) and start again"),
        ("\a rubbish", "nvidia-smi answers what cannot be understood"),
    ],
)
def test_a_card_that_cannot_be_used(clone, answers, words):
    clone.has_built_for_the_processor()
    nvidia_smi(clone.bin, answers)
    said = clone.runs()
    assert words in said
    assert "llama.cpp computes with the processor." in said
    assert words in clone.runs()


def test_no_card(clone):
    """Compiled once, labelled, taken by the second clone; and a second start has nothing to say."""
    said = clone.runs()
    assert "Found no graphics card: the processor computes." in said
    assert "compiling for the processor: step 3 of 3" in said
    assert installed_build()["backend"] == "cpu"
    info = next(venv.site_packages().glob("llama_cpp_python-*.dist-info"))
    assert f"{info.name}/{LABEL}" in (info / "RECORD").read_text()
    assert not (venv.site_packages() / "lib" / "copy.so").exists()
    assert clone.runs() == ""
    clone.is_another()
    assert "that was built before" in clone.runs()


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("def llama_supports_gpu_offload(): return False", r"works and finds no card\."),
        ("import sys; sys.exit('ggml_cuda_init: no driver')", r"cannot be loaded \(ggml_cuda_init: no driver\)"),
    ],
)
def test_a_new_llama_is_tried(clone, package, words):
    (venv.site_packages() / "llama_cpp.py").write_text(package)
    with pytest.raises(SetupError, match=words):
        try_llama(WantedBuild("cuda", "sm_86"))


def test_a_ready_made_wheel_is_preferred_if_it_is_for_the_card(clone):
    nvidia_smi(clone.bin, RTX_3060)
    files = {
        "llama_cpp/__init__.py": "def llama_supports_gpu_offload(): return True",
        "llama_cpp/lib/libggml-cuda.so": "",
    }
    wheel(clone.shelf, NAME, files, VERSION)
    said = clone.runs()
    assert "Found a ready-made wheel with CUDA" in said
    assert "compiling" not in said
    assert installed_build() == {"backend": "cuda"}
    assert clone.runs() == ""
