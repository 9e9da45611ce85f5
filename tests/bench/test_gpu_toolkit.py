"""The card and its toolkit, with a faked nvidia-smi and toolkits that lie in parts."""

import pytest

from bench.gpu.toolkit import CardFacts, ToolkitError, card, find_nvcc, lacking, toolkit_root, used_mib


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a script on an otherwise empty PATH."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name, text):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)

    return write


def test_the_card_is_what_nvidia_smi_says(program):
    program("nvidia-smi", "echo 'NVIDIA H200, 580.159.03, 9.0, 143771'")
    assert card() == CardFacts("NVIDIA H200", "580.159.03", "90", 143771)


def test_the_memory_in_use_is_that_of_the_first_card(program):
    program("nvidia-smi", "echo 512; echo 3")
    assert used_mib() == 512


@pytest.mark.parametrize("text", ["exit 9", "echo 'No devices were found'"])
def test_a_machine_without_a_card_is_told(program, text):
    program("nvidia-smi", text)
    with pytest.raises(ToolkitError, match="names no NVIDIA card here: `--backend cpu`"):
        card()


def test_a_strange_compute_capability_is_told(program):
    program("nvidia-smi", "echo 'NVIDIA X, 580, [N/A], 1'")
    with pytest.raises(ToolkitError, match=r"gives '\[N/A\]' as compute capability where 9\.0 or such was expected"):
        card()


def files(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"ELF")
    return root


COMPILER = ("bin/nvcc", "bin/nvcc.profile", "bin/ptxas", "nvvm/bin/cicc", "include/cuda_runtime.h", "include/crt/x.h")
RUNTIME = ("lib64/libcudart.so", "lib64/libcudart_static.a")
CUBLAS = ("include/cublas_v2.h", "lib/libcublas.so.13", "lib/libcublasLt.so.13")


def test_a_whole_toolkit_is_used_as_it_is(tmp_path):
    whole = files(tmp_path / "cuda", *COMPILER, *RUNTIME, "include/cublas_v2.h", "lib64/libcublas.so")
    assert toolkit_root(whole / "bin" / "nvcc", tmp_path / "links") == whole
    assert not (tmp_path / "links").exists()


def test_parts_are_linked_together_with_the_names_that_a_linker_wants(tmp_path, monkeypatch):
    compiler = files(tmp_path / "cuda", *COMPILER, *RUNTIME)
    monkeypatch.setenv("CUDA_HOME", str(files(tmp_path / "cublas", *CUBLAS)))
    root = toolkit_root(compiler / "bin" / "nvcc", tmp_path / "links")
    assert root == tmp_path / "links"
    assert lacking([root], versions=False) == []
    for name in (
        "bin/nvcc",
        "bin/ptxas",
        "nvvm/bin/cicc",
        "include/crt/x.h",
        "lib64/libcublasLt.so",
        "lib/libcudart.so",
    ):
        assert (root / name).is_file(), name
    assert not (root / "bin" / "nvcc").is_symlink()  # it looks for the rest around itself


def test_a_toolkit_that_has_versions_only_is_linked_too(tmp_path):
    names = (*COMPILER, "lib/libcudart.so.13", *CUBLAS)
    root = toolkit_root(files(tmp_path / "cu13", *names) / "bin" / "nvcc", tmp_path / "links")
    assert lacking([root], versions=False) == []


def test_a_script_that_calls_the_compiler_is_seen_through(program, tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_HOME", raising=False)
    real = files(tmp_path / "cuda-13", *COMPILER) / "bin" / "nvcc"
    program("nvcc", f'exec {real} "$@"')
    assert find_nvcc() == real
