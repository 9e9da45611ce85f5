"""A build that was broken off goes on where it was; one that is finished, or has failed, leaves nothing."""

import tarfile

import pytest

from deploy.setup import venv
from deploy.setup.build_folder import build_folder, source_in, unpack
from deploy.setup.llama_wheel import WantedBuild
from deploy.setup.venv import BrokenOff, SetupError, cache_folder, pinned
from tests.harness.shelf import bare_venv, sdist, wheel

BUILD = WantedBuild("cuda", "sm_86")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def break_off(error):
    """Begin a build that ends with this error; returns its folder."""

    def build():
        with build_folder(BUILD) as folder:
            (folder / "object.o").touch()
            raise error

    with pytest.raises(type(error)):
        build()
    return cache_folder() / "building" / BUILD.key


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BrokenOff("killed")])
def test_what_was_compiled_is_there_after_ctrl_c_and_after_a_kill(error):
    folder = break_off(error)
    with build_folder(BUILD) as again:
        assert again == folder
        assert (again / "object.o").exists()
    assert not folder.exists()


def test_a_build_that_has_failed_begins_anew():
    assert not break_off(SetupError("no")).exists()


def test_other_builds_have_other_folders_and_locks():
    with build_folder(BUILD) as one, build_folder(WantedBuild("cuda", "sm_75")) as other:
        assert one != other


def test_the_source_is_unpacked_by_the_first_pythons_3_11_too(tmp_path, monkeypatch):
    """Debian 12's is 3.11.2, whose tarfile has no filters yet."""
    (tmp_path / "a.txt").write_text("a")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a.txt", "source/a.txt")
    extractall = tarfile.TarFile.extractall

    def of_3_11_2(self, path=".", members=None, *, numeric_owner=False):
        extractall(self, path, members, numeric_owner=numeric_owner)

    unpack(tmp_path / "a.tar.gz", tmp_path / "new")
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.setattr(tarfile.TarFile, "extractall", of_3_11_2)
    unpack(tmp_path / "a.tar.gz", tmp_path / "old")
    assert [(tmp_path / name / "source" / "a.txt").read_text() for name in ("new", "old")] == ["a", "a"]


def test_only_llama_cpp_comes_as_source_not_the_tools_that_build_it(tmp_path, monkeypatch):
    """Where the machine has no ninja and no CMake they would be compiled first, for longer than llama.cpp."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel(shelf, "ninja", {"ninja.py": ""})
    builder = "import ninja\n\ndef build_wheel(*_):\n    raise NotImplementedError\n"
    project = '[build-system]\nrequires = ["ninja"]\nbuild-backend = "builder"\nbackend-path = ["."]\n'
    name, version = pinned("llama-cpp-python").split("==")
    sdist(shelf, name, {"pyproject.toml": project, "builder.py": builder + METADATA, "read.me": "source"}, version)
    monkeypatch.setattr(venv, "VENV", tmp_path / ".venv")
    bare_venv(tmp_path / ".venv")
    settings = {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(shelf),
        "PIP_NO_CACHE_DIR": "1",
    }
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    assert (source_in(tmp_path) / "read.me").read_text() == "source"


METADATA = f"""
def prepare_metadata_for_build_wheel(folder, *_):
    from pathlib import Path
    info = Path(folder) / "llama_cpp_python.dist-info"
    info.mkdir()
    version = "{pinned("llama-cpp-python").split("==")[1]}"
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: llama-cpp-python\\nVersion: " + version + "\\n")
    return info.name
"""
