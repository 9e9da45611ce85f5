"""The models folder of the containers: writable for their group after a start; its owner and all else stay."""

import os
import stat

import pytest

from deploy.models_folder import hand_over, main, ours_in

ME, ANOTHER = os.getuid(), 10001


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path):
    """As root's or a person's own: nobody else may write."""
    path = tmp_path / "models"
    path.mkdir()
    path.chmod(0o755)
    return path


def test_a_folder_that_may_be_written_already_stays_as_it_is(folder):
    assert hand_over(folder, ME) is False
    assert mode(folder) == 0o755
    folder.chmod(0o777)
    assert hand_over(folder, ANOTHER) is False
    assert mode(folder) == 0o777


@pytest.mark.skipif(ME != 0, reason="only root may give a file to another group")
@pytest.mark.parametrize("owner", [0, 1234])
def test_the_group_of_the_containers_may_write_and_the_owner_keeps_the_folder(folder, owner):
    os.chown(folder, owner, owner)
    assert hand_over(folder) is True
    status = folder.stat()
    assert (status.st_uid, status.st_gid) == (owner, ANOTHER)
    assert mode(folder) & 0o777 == 0o775
    assert hand_over(folder) is False


@pytest.mark.skipif(ME != 0, reason="only root may give a file to another group")
def test_what_make_run_has_left_there_can_be_written_and_a_model_of_a_person_is_not_touched(folder, tmp_path):
    elsewhere = tmp_path / "secret"
    for path in (elsewhere, *(folder / name for name in (".downloader.lock", ".x.gguf.part", "own.gguf", ".profile"))):
        path.write_text("x")
        path.chmod(0o600)
    (folder / ".y.gguf.part").symlink_to(elsewhere)
    assert sorted(path.name for path in ours_in(folder)) == [".downloader.lock", ".x.gguf.part"]
    assert main([str(folder)]) == 0
    assert {path.name: mode(path) for path in folder.iterdir() if not path.is_symlink()} == {
        ".downloader.lock": 0o660,
        ".x.gguf.part": 0o660,
        "own.gguf": 0o600,
        ".profile": 0o600,
    }
    assert mode(elsewhere) == 0o600


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 1
    said = capsys.readouterr().err
    assert "nowhere cannot be made writable for user 10001: No such file or directory." in said
    assert len(said.splitlines()) == 1
