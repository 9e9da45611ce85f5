"""The models folder, looked at again and again."""

import os

from worker.shelf.models_folder import ModelFolder, scan


def put(folder, name, n_bytes=3, at=1):
    path = folder / name
    path.write_bytes(b"x" * n_bytes)
    os.utime(path, ns=(at, at))
    return path


def test_only_whole_models_count(tmp_path):
    put(tmp_path, "a.gguf", 5)
    put(tmp_path, "UPPER.GGUF", 1)
    put(tmp_path, "我的 模型.gguf", 2)
    for name in ("b.gguf.part", ".hidden.gguf", "notes.txt", "half-00001-of-00002.gguf", "late-00002-of-00002.gguf"):
        put(tmp_path, name)
    (tmp_path / "folder.gguf").mkdir()
    (tmp_path / "nowhere.gguf").symlink_to(tmp_path / "missing")
    for number in (1, 2, 3):
        put(tmp_path, f"split-0000{number}-of-00003.gguf", number)
    found = scan(tmp_path)
    assert {name: one.size for name, one in found.items()} == {
        "UPPER.GGUF": 1, "a.gguf": 5, "split-00001-of-00003.gguf": 6, "我的 模型.gguf": 2,
    }  # fmt: skip
    assert scan(tmp_path / "nowhere") == {}


def test_a_file_counts_once_it_is_at_rest(tmp_path):
    folder = ModelFolder(tmp_path)
    put(tmp_path, "a.gguf")
    assert folder.look() is None, "nothing to compare with yet"
    put(tmp_path, "b.gguf", 1)
    assert list(folder.look()) == ["a.gguf"]
    put(tmp_path, "b.gguf", 2)
    assert list(folder.look()) == ["a.gguf"], "it still grows"
    assert sorted(folder.look()) == ["a.gguf", "b.gguf"]


def test_a_file_that_changes_stays_as_it_was_until_it_is_at_rest_again(tmp_path):
    folder = ModelFolder(tmp_path)
    put(tmp_path, "a.gguf", 1)
    folder.look()
    assert folder.look()["a.gguf"].size == 1
    put(tmp_path, "a.gguf", 9, at=2)
    assert folder.look()["a.gguf"].size == 1
    assert folder.look()["a.gguf"].size == 9
    (tmp_path / "a.gguf").unlink()
    assert folder.look() == {}
