"""The wheel: its label, what is left out of it, and the options with which it is built."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from deploy.setup.cuda_toolchain import cuda_options, link_libraries, nvcc_on_path
from deploy.setup.llama_wheel import (
    LABEL,
    WantedBuild,
    backend_of_wheel,
    cmake_arguments,
    kept_wheel,
    label_wheel,
    processor_mark,
    wheel_folder,
)
from tests.harness.nvidia import script
from tests.harness.shelf import wheel

BUILD = WantedBuild("cuda", "sm_86", ("-DGGML_CUDA=ON", r"-DFLAGS=-rpath,\$ORIGIN/x"), "nvcc 13.5 from PyPI")


def test_a_labelled_wheel_has_each_library_once_and_its_label_in_the_record(tmp_path):
    files = [f"llama_cpp/lib/libllama.so{end}" for end in ("", ".0", ".0.5.0")]
    source = wheel(tmp_path, "llama-cpp-python", dict.fromkeys([*files, "lib/libllama.so", "llama_cpp/a.py"], "x"))
    label_wheel(source, tmp_path / "new.whl", BUILD.label())
    with zipfile.ZipFile(tmp_path / "new.whl") as made:
        info = "llama_cpp_python-1.0.0.dist-info"
        assert set(made.namelist()) == {
            *files[:2],
            "llama_cpp/a.py",
            *(f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", LABEL)),
        }
        assert json.loads(made.read(f"{info}/{LABEL}"))["compiler"] == "nvcc 13.5 from PyPI"
        assert f"{info}/{LABEL},sha256=" in made.read(f"{info}/RECORD").decode()
        assert made.testzip() is None


@pytest.mark.parametrize("backend", ["cuda", "vulkan", "metal"])
def test_the_backend_of_a_wheel_is_seen_by_its_libraries(tmp_path, backend):
    assert backend_of_wheel(wheel(tmp_path, "a", {f"llama_cpp/lib/libggml-{backend}.so": ""})) == backend
    assert backend_of_wheel(wheel(tmp_path, "a", {"llama_cpp/lib/libggml-cpu.so": ""})) == "cpu"


def test_ones_own_flags_win_and_make_another_build(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    key = BUILD.key
    assert cmake_arguments(BUILD) == r"-DLLAVA_BUILD=OFF -DGGML_CUDA=ON '-DFLAGS=-rpath,\$ORIGIN/x'"
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_NATIVE=OFF")
    assert cmake_arguments(BUILD).endswith("' -DGGML_NATIVE=OFF")
    assert BUILD.key.startswith(f"{key}-")
    assert BUILD.label()["options"].endswith(" -DGGML_NATIVE=OFF")
    assert kept_wheel(BUILD) is None


def test_code_for_one_processor_is_not_given_to_another(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert wheel_folder(BUILD) == tmp_path / "inglenook" / "wheels" / f"{BUILD.key}-{processor_mark()}"


def test_a_build_links_the_driver_where_there_is_one():
    assert cuda_options(("75", "86"), Path("/usr/lib64/libcuda.so.1")) == (
        "-DGGML_CUDA=ON",
        "-DCMAKE_CUDA_ARCHITECTURES=75-real;86-real",
        "-DCUDA_cuda_driver_LIBRARY=/usr/lib64/libcuda.so.1",
    )
    assert cuda_options(("75",), None)[-1] == "-DGGML_CUDA_NO_VMM=ON"


def test_the_links_that_a_linker_asks_for(tmp_path):
    (tmp_path / "lib").mkdir()
    for name in ("libcudart.so.13", "libnvvm.so.4", "libcudadevrt.a"):
        (tmp_path / "lib" / name).touch()
    link_libraries(tmp_path)
    link_libraries(tmp_path)
    assert os.readlink(tmp_path / "lib" / "libcudart.so") == "libcudart.so.13"
    assert (tmp_path / "lib64" / "libnvvm.so").exists()


NVCC = """case "$*" in
--version) echo 'Cuda compilation tools, release 12.4, V12.4.131' ;;
--list-gpu-arch) printf 'compute_61\\ncompute_86\\n' ;;
*--dryrun*) echo '#$ TOP=HOME' >&2 ;;
esac"""


def test_the_nvcc_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    script(tmp_path / "nvcc", NVCC.replace("HOME", str(tmp_path)))
    found = nvcc_on_path()
    assert (found.version, found.architectures) == ((12, 4), ("61", "86"))
    (tmp_path / "lib64").mkdir()
    (tmp_path / "lib64" / "libcublas.so").touch()
    assert nvcc_on_path().complete


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("exit 1", "it ended with status 1"),
        ("echo; echo 'gcc: not found.' >&2; exit 127", "it ended with status 127 (gcc: not found)"),
        ("echo rubbish", "it does not say its version"),
        ("printf '\\377'", "it does not say its version"),
    ],
)
def test_an_nvcc_that_does_not_work_says_so(tmp_path, monkeypatch, lines, why):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program = script(tmp_path / "nvcc", lines)
    assert nvcc_on_path() == f"{program} does not work and is passed over: {why}."


def test_an_nvcc_that_is_no_program_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program = script(tmp_path / "nvcc", "")
    program.write_bytes(b"\x7fELF for another processor")
    assert nvcc_on_path() == f"{program} does not work and is passed over: Exec format error."


def test_without_nvcc_there_is_nothing_to_say(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvcc_on_path() is None
