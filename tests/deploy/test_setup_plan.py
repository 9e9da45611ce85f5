"""Which llama.cpp is built for which machine, and what is said where a card cannot be used."""

from pathlib import Path

import pytest

from deploy.setup.cuda_toolchain import Nvcc
from deploy.setup.llama_wheel import processor_mark
from deploy.setup.machine import Facts, GraphicsCard, vulkan_lacks
from deploy.setup.plan import plan_for
from deploy.setup.venv import SetupError

RTX = GraphicsCard("nvidia", "NVIDIA GeForce RTX 3060", "580.95.05", "8.6")
GTX_1060 = GraphicsCard("nvidia", "NVIDIA GeForce GTX 1060 6GB", "580.95.05", "6.1")
GTX_1660 = GraphicsCard("nvidia", "NVIDIA GeForce GTX 1660 SUPER", "580.95.05", "7.5")
OLD_DRIVER = GraphicsCard("nvidia", "NVIDIA GeForce RTX 3060", "535.183.01", "8.6")
NO_DRIVER = GraphicsCard("nvidia", "NVIDIA card 0x2520")
AMD, INTEL = GraphicsCard("amd", "AMD card 0x73bf"), GraphicsCard("intel", "Intel card 0x9a49")
APPLE = GraphicsCard("apple", "Apple GPU")
CUDA_13 = Nvcc(Path("/usr/bin/nvcc"), (13, 0), ("75", "80", "86", "120"), True)
CUDA_12 = Nvcc(Path("/usr/bin/nvcc"), (12, 4), ("50", "61", "75", "86"), True)
BROKEN = "/usr/bin/nvcc does not work and is passed over: it ended with status 1."
NO_CUBLAS = Nvcc(Path("/usr/bin/nvcc"), (13, 0), ("75", "86"), False)


def here(*cards, **more):
    return Facts(**{"system": "Linux", "processor": "x86_64", "cards": cards, **more})


def order(choice, facts):
    plan = plan_for(choice, facts)
    return [f"{build.backend} {build.architecture} {build.compiler}".strip() for build in plan.builds], plan.notes


def cuda(architecture):
    return f"cuda {architecture} nvcc 13.5 from PyPI"


@pytest.mark.parametrize(
    ("cards", "more", "builds", "notes"),
    [
        ((), {}, [], []),
        ((RTX,), {}, [cuda("sm_86"), "vulkan"], []),
        ((RTX, GTX_1660), {}, [cuda("sm_75_86"), "vulkan"], []),
        ((RTX,), {"nvcc": CUDA_13}, ["cuda sm_86-cuda13 nvcc 13.0", cuda("sm_86"), "vulkan"], []),
        ((RTX,), {"nvcc": NO_CUBLAS}, [cuda("sm_86"), "vulkan"], ["cuBLAS (libcublas.so) is missing beside it"]),
        ((RTX,), {"nvcc": BROKEN}, [cuda("sm_86"), "vulkan"], [f"CUDA: {BROKEN}"]),
        (
            (GTX_1060,),
            {},
            ["vulkan"],
            ["needs compute capability 7.5 or newer, not so NVIDIA GeForce GTX 1060"],
        ),
        ((GTX_1060,), {"nvcc": CUDA_12}, ["cuda sm_61-cuda12 nvcc 12.4", "vulkan"], ["GTX 1060"]),
        (
            (GTX_1060,),
            {"nvcc": CUDA_13},
            ["vulkan"],
            ["makes no code for NVIDIA GeForce GTX 1060", "needs compute capability"],
        ),
        ((OLD_DRIVER,), {}, ["vulkan"], ["update NVIDIA's driver (535.183.01 is there)"]),
        ((OLD_DRIVER,), {"nvcc": CUDA_12}, ["cuda sm_86-cuda12 nvcc 12.4", "vulkan"], ["update NVIDIA's driver"]),
        ((OLD_DRIVER,), {"nvcc": CUDA_13}, ["vulkan"], ["is too new for driver 535.183.01", "update NVIDIA's driver"]),
        ((NO_DRIVER,), {}, ["vulkan"], ["NVIDIA card 0x2520 has no driver of NVIDIA's: install it"]),
        ((RTX, INTEL), {}, [cuda("sm_86"), "vulkan"], []),
        ((AMD,), {}, ["vulkan"], []),
        (
            (INTEL,),
            {"vulkan_lacks": "it lacks glslc (`apt install glslc`)"},
            [],
            ["it lacks glslc (`apt install glslc`)"],
        ),
        ((), {"fault": "nvidia-smi does not answer within 20 s"}, [], ["nvidia-smi does not answer within 20 s."]),
    ],
)
def test_the_best_first_and_the_processor_last(cards, more, builds, notes):
    made, said = order("auto", here(*cards, **more))
    assert [name.removesuffix(" x86_64") for name in made[:-1]] == builds
    assert made[-1] == "cpu x86_64"
    assert len(said) == len(notes)
    assert all(words in note for words, note in zip(notes, said, strict=True)), said


def test_a_mac_has_metal_in_every_build():
    mac = Facts("Darwin", "arm64", (APPLE,))
    assert order("auto", mac) == (["metal arm64"], [])
    assert order("cpu", mac) == (["metal arm64"], [])


def test_a_gtx_16_has_the_flags_that_llama_cpp_advises():
    """Turing without tensor cores: Pascal's code where the compiler still makes it, else matrix kernels by force."""
    pascal = plan_for("cuda", here(GTX_1660, nvcc=CUDA_12)).builds[0]
    assert {"-DCMAKE_CUDA_ARCHITECTURES=61-virtual;80-virtual", "-DGGML_CUDA_FORCE_MMQ=ON"} < set(pascal.options)
    newest = plan_for("cuda", here(GTX_1660)).builds[0]
    assert {"-DCMAKE_CUDA_ARCHITECTURES=75-real", "-DGGML_CUDA_FORCE_MMQ=ON"} < set(newest.options)
    assert "-DGGML_CUDA_FORCE_MMQ=ON" not in plan_for("cuda", here(RTX)).builds[0].options


@pytest.mark.parametrize(
    ("choice", "facts", "words"),
    [
        ("cuda", here(AMD), "GPU=cuda cannot be had here. CUDA: no NVIDIA card was found"),
        ("cuda", here(fault="nvidia-smi failed: no driver"), "nvidia-smi failed: no driver"),
        ("cuda", here(OLD_DRIVER), "update NVIDIA's driver (535.183.01 is there) and start again"),
        ("cuda", here(GTX_1060), "compute capability 7.5 or newer, not so NVIDIA GeForce GTX 1060 6GB"),
        ("cuda", here(RTX, processor="ppc64le"), "PyPI has no compiler for Linux on ppc64le"),
        ("vulkan", here(AMD, vulkan_lacks="it lacks glslc"), "GPU=vulkan cannot be had here. Vulkan: it lacks glslc"),
        ("metal", here(RTX), "GPU=metal cannot be had here. Metal: it is Apple's, and this is no Mac"),
        ("rocm", here(AMD), "GPU=rocm is not known: say one of auto, cuda, vulkan, metal, cpu"),
    ],
)
def test_what_was_asked_for_by_name_and_cannot_be_had(choice, facts, words):
    with pytest.raises(SetupError) as fault:
        plan_for(choice, facts)
    assert words in str(fault.value)
    assert choice == "rocm" or "`make run GPU=auto` takes what can be had" in str(fault.value)


def test_the_processor_s_mark_is_of_what_code_may_use_not_of_what_a_kernel_says_besides(tmp_path):
    """Another kernel, or microcode, must not have llama.cpp compiled anew."""

    def mark(flags):
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\n")
        return processor_mark(tmp_path / "cpuinfo")

    usual = mark("fpu sse4_2 avx avx2 fma f16c bmi2 md_clear")
    assert mark("fpu sse4_2 avx avx2 fma f16c bmi2 md_clear user_shstk ibrs its_no") == usual
    assert mark("fpu sse4_2 avx avx2 fma f16c bmi2 avx512f md_clear") != usual
    assert mark("fp asimd asimddp i8mm sve") != mark("fp asimd asimddp")


def test_by_name_there_is_no_second_choice():
    assert [build.backend for build in plan_for("vulkan", here(RTX)).builds] == ["vulkan"]
    assert [build.backend for build in plan_for("cpu", here(RTX)).builds] == ["cpu"]


def headers(folder, core="VK_EXT_layer_settings"):
    for name, text in (("vulkan/vulkan_core.h", core), ("spirv/unified1/spirv.hpp", "")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return (folder,)


def test_what_vulkan_lacks(tmp_path, monkeypatch):
    for name in ("VULKAN_SDK", "CMAKE_ARGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = vulkan_lacks(False, (tmp_path / "none",))
    assert "it lacks the compiler glslc, Vulkan's headers, the headers of SPIR-V, the library libvulkan.so" in said
    assert "`apt install glslc libvulkan-dev spirv-headers`" in said
    assert "`dnf install glslc" in said
    assert f"newer headers of Vulkan than {tmp_path}/vulkan/vulkan_core.h" in vulkan_lacks(False, headers(tmp_path, ""))
    (tmp_path / "glslc").write_text("#!/bin/sh\n")
    (tmp_path / "glslc").chmod(0o755)
    assert vulkan_lacks(False, headers(tmp_path)).startswith("it lacks the library libvulkan.so (")
    monkeypatch.setenv("VULKAN_SDK", str(tmp_path))
    assert vulkan_lacks(False, (tmp_path / "none",)) == ""
