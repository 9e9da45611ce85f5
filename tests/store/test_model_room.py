"""Room for models: the downloader's heartbeat with what is free, and what rows of the shelf take and still need."""

import os
import shutil

import pytest

from store.shelf import asking, folder, reading, transfers
from store.shelf.beat import BEAT_FILE, LENGTH, DownloaderBeat, read_beat, write_beat
from store.shelf.names import source_of
from store.shelf.room import KEPT_FREE, room_of
from store.shelf.views import PartView
from tests.harness.full_disk import SmallDisk

GB = 10**9


def test_a_beat_says_what_is_free_and_gets_old(tmp_path):
    assert read_beat(tmp_path) is None
    write_beat(tmp_path, tmp_path / "nowhere")
    assert read_beat(tmp_path) == DownloaderBeat(None)
    write_beat(tmp_path, tmp_path)
    assert abs(read_beat(tmp_path).free - shutil.disk_usage(tmp_path).free) < GB
    written = (tmp_path / BEAT_FILE).stat()
    assert written.st_size == LENGTH
    assert read_beat(tmp_path, written.st_mtime + 299) is not None
    assert read_beat(tmp_path, written.st_mtime + 301) is None


def test_a_beat_from_the_future_is_no_sign_of_life(tmp_path):
    """A machine whose clock was set back would call a dead downloader alive for as long."""
    write_beat(tmp_path, tmp_path)
    os.utime(tmp_path / BEAT_FILE, (9e9, 9e9))
    assert read_beat(tmp_path) is None


@pytest.mark.parametrize("told", [b"", b"{", b"[]", b'{"free": -1}', b'{"free": true}', b'{"free": 1e99}', b"9" * 500])
def test_a_beat_that_makes_no_sense_is_still_a_sign_of_life(tmp_path, told):
    (tmp_path / BEAT_FILE).write_bytes(told)
    assert read_beat(tmp_path) == DownloaderBeat(None)


def test_a_beat_needs_no_room(tmp_path):
    with SmallDisk(tmp_path / "disk", 1 << 20) as disk:
        write_beat(disk.folder, tmp_path)
        os.utime(disk.folder / BEAT_FILE, (1.0, 1.0))
        disk.fill()
        write_beat(disk.folder, disk.folder)
        assert read_beat(disk.folder) == DownloaderBeat(0 if disk.is_mounted else read_beat(disk.folder).free)


def test_what_is_here_what_stories_keep_and_what_is_still_to_come(database):
    folder.record_folder(database, {"here.gguf": 3 * GB})
    here = reading.find_file(database, "here.gguf")
    for worker, n_bytes in (("gpu0", GB), ("gpu1", 2 * GB)):
        folder.record_plan(database, here.id, worker, {"block_bytes": n_bytes})
    for wanted, name in ((asking.ask_to_look, "looked.gguf"), (asking.ask_to_get, "coming.gguf")):
        file = wanted(database, source_of("a/b", name))
        found = source_of("a/b", name, revision="f00d")
        transfers.record_source(database, file.id, found, [PartView(1, name, 5 * GB, "0" * 64)])
        transfers.record_state(database, file.id, "fetching" if name == "coming.gguf" else "looked")
    transfers.record_progress(database, file.id, {1: 2 * GB})
    files = reading.list_files(database)
    room = room_of(files, 4 * GB)
    assert (room.models, room.stories, room.to_come, room.is_enough) == (3 * GB, 3 * GB, 3 * GB, True)
    assert room.fits(4 * GB - KEPT_FREE)
    assert not room.fits(4 * GB - KEPT_FREE + 1)
    assert room_of(files, 3 * GB).is_enough is False
    assert room_of(files, None).is_enough is True
    assert room_of(files, 0, {"gpu0": 7 * GB}).stories == 9 * GB  # a worker that is there knows its blocks better
    transfers.record_state(database, file.id, "failed")
    assert room_of(reading.list_files(database), 0).is_enough is True
