"""The downloader against a hub of our own: whole files or none, whatever the hub, the line and the disk do."""

import errno
import os
import random
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.shelf import asking, transfers
from store.shelf.names import HEADERS, ModelSource, header_names
from store.shelf.reading import get_file, list_files
from tests.harness.hub import Faults, Hub
from web.downloader import header, hubs, part_file
from web.downloader.http import Client, Token, origin, retry_after_s
from web.downloader.hubs import hub_of
from web.downloader.jobs import Jobs
from web.downloader.service import Locked, Service, lock_of

REPO, PATH, NAME = "family/Tiny-GGUF", "q4/tiny-Q4_K_M.gguf", "tiny-Q4_K_M.gguf"
KEYS = ("type", "path", "size", "lfs", "oid", "Type", "Path", "Size", "Sha256", "cardData", "license", "license_name")
SECRET = "hf_only_for_its_hub"


def gguf(n_bytes=700_000, seed=1):
    """A header of one text, and weights that nothing can guess."""
    head = b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (1).to_bytes(8, "little")
    key, value = b"general.architecture", b"llama"
    head += len(key).to_bytes(8, "little") + key + (8).to_bytes(4, "little")
    head += len(value).to_bytes(8, "little") + value
    return head + random.Random(seed).randbytes(n_bytes - len(head))


FILE = gguf()
SOURCE = ModelSource(REPO, PATH)


class Downloader:
    """A models folder, a data folder, and a downloader that uses the given hubs."""

    def __init__(self, database, folder, *hubs, token=""):
        self.db, self.models, self.data = database, folder / "models", folder / "data"
        self.now, self.tick = 0.0, 0.001
        origins = frozenset(origin(hub.url) for hub in hubs[:1])
        speaks = [hub_of(getattr(hub, "address", hub.url)) for hub in hubs]
        client = Client(Token(token, origins))
        self.in_use = set()
        more = {"pause_s": 0.0, "clock": self.clock, "in_use": lambda: self.in_use}
        self.jobs = Jobs(database, client, speaks, self.models, self.data, **more)
        self.service = Service(database, self.jobs, clock=self.clock)

    def clock(self):
        self.now += self.tick
        return self.now

    def work(self, most=30):
        """All that is to be done now."""
        for _ in range(most):
            file = self.service.next_work()
            if file is None:
                return
            self.service.work(file)
        raise AssertionError("it never ends")

    def get(self, source=SOURCE, **more):
        file = asking.ask_to_get(self.db, source, **more)
        self.work()
        return self.files()[-1] if file.id not in [one.id for one in self.files()] else get_file(self.db, file.id)

    def files(self):
        return list_files(self.db)

    def content(self, name=NAME):
        return (self.models / name).read_bytes()

    def lying(self):
        return sorted(path.name for path in self.models.iterdir() if path.name != ".downloader.lock")


@pytest.fixture(autouse=True)
def short_headers(monkeypatch):
    """The first look takes a piece of these small files, not all of them."""
    monkeypatch.setattr(header, "FIRST_BYTES", 20_000)


@pytest.fixture
def hub():
    with Hub() as hub:
        hub.add(REPO, PATH, FILE)
        hub.add(REPO, "q8/tiny-Q8_0.gguf", gguf(900_000, 2))
        hub.add(REPO, "mmproj-tiny-Q4_K_M.gguf", gguf(1000, 3))
        yield hub


@pytest.fixture
def downloader(database, tmp_path, hub):
    return Downloader(database, tmp_path, hub)


def reason(file):
    return file.failure.reason if file.failure else ""


def test_looking_fetches_the_header_and_getting_the_whole_file_no_byte_twice(downloader, hub):
    looked = asking.ask_to_look(downloader.db, SOURCE)
    downloader.work()
    looked = get_file(downloader.db, looked.id)
    assert (looked.state, looked.size, looked.licence) == ("looked", len(FILE), "apache-2.0")
    assert looked.revision.startswith("c0ffee")
    head = (downloader.data / HEADERS / header_names(looked.id, 1)[0]).read_bytes()
    assert FILE.startswith(head)
    assert header.header_bytes(head) is not None
    assert not downloader.models.exists()
    asking.get(downloader.db, looked.id)
    downloader.work()
    got = get_file(downloader.db, looked.id)
    assert (got.state, got.done, got.parts[0].done) == ("installed", len(FILE), len(FILE))
    assert downloader.content() == FILE
    assert downloader.lying() == [NAME]
    assert hub.sent_twice(PATH) == 0
    assert not list((downloader.data / HEADERS).iterdir())


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_line_that_is_lost_after_every_tenth_goes_on_where_it_broke(database, tmp_path, tenth):
    with Hub(Faults(cut_after=[len(FILE) * tenth // 10, 1 << 30])) as hub:
        hub.add(REPO, PATH, FILE)
        downloader = Downloader(database, tmp_path, hub)
        assert downloader.get().state == "installed"
        assert downloader.content() == FILE
        assert hub.sent_twice(PATH) == 0


def test_a_server_that_knows_no_ranges_still_gives_a_whole_file(database, tmp_path):
    with Hub(Faults(no_range=True, cut_after=[200_000, 400_000, 600_000, 1 << 30])) as hub:
        hub.add(REPO, PATH, FILE)
        downloader = Downloader(database, tmp_path, hub)
        assert downloader.get().state == "installed"
        assert downloader.content() == FILE


def test_addresses_that_have_expired_are_asked_for_again(downloader, hub):
    hub.faults.expired = 1
    first = downloader.get()
    if first.state != "installed":  # the only place gave nothing twice in a row
        downloader.now += 1000
        downloader.work()
    assert downloader.content() == FILE


def test_a_hub_that_is_busy_is_left_alone_as_long_as_it_asks_for(downloader, hub):
    hub.faults.busy, hub.faults.retry_after = 1, "120"
    file = downloader.get()
    assert (file.state, reason(file)) == ("asked", "fetch.busy")
    n_asked = len(hub.asked)
    downloader.now += 60
    downloader.work()
    assert len(hub.asked) == n_asked
    downloader.now += 60
    downloader.work()
    assert get_file(downloader.db, file.id).state == "installed"


def test_a_wrong_file_is_never_installed(downloader, hub):
    hub.faults.lies = True
    file = asking.ask_to_get(downloader.db, SOURCE)
    downloader.work()
    assert reason(get_file(downloader.db, file.id)) == "fetch.not_gguf"
    hub.faults.lies = False
    hub.files[REPO, PATH] = FILE[:600_000] + bytes(100_000)
    asking.get(downloader.db, file.id)
    downloader.work()
    failed = get_file(downloader.db, file.id)
    assert (failed.state, reason(failed)) == ("failed", "fetch.wrong_hash")
    assert downloader.lying() == []
    hub.files[REPO, PATH] = FILE
    asking.get(downloader.db, file.id)
    downloader.work()
    assert downloader.content() == FILE


def test_what_was_deleted_for_its_hash_does_not_count_as_here(downloader, hub):
    hub.hashes[REPO, PATH] = "f" * 64
    file = downloader.get()
    assert (reason(file), file.done) == ("fetch.wrong_hash", 0)


def test_the_mirror_has_the_file_when_the_hub_lies_is_away_or_has_another(database, tmp_path):
    for number, faults in enumerate((Faults(status=503), Faults(other_size=5), Faults(no_hash=True), Faults())):
        with Hub(faults) as hub, Hub() as mirror:
            hub.add(REPO, PATH, FILE[:-9] + bytes(9) if number == 3 else FILE, sha256=mirror.add(REPO, PATH, FILE))
            downloader = Downloader(database, tmp_path / str(number), hub, mirror)
            file = downloader.get()
            if number == 1:  # what the first hub says counts, and nobody has a file of that size
                assert file.state == "failed"
            else:
                assert (file.state, downloader.content()) == ("installed", FILE)
            asking.forget(database, file.id)


def test_modelscope_has_its_own_list_and_its_own_addresses(database, tmp_path):
    with Hub(Faults(status=502)) as away, Hub() as hub:
        hub.add(REPO, PATH, FILE)
        hub.address = f"modelscope+{hub.url}"
        downloader = Downloader(database, tmp_path, away, hub)
        assert downloader.get().state == "installed"
        assert downloader.content() == FILE
        assert any(path.startswith(f"/models/{REPO}/resolve/master/") for path, _ in hub.asked)


def test_gated_models_need_the_token_and_only_their_hub_sees_it(database, tmp_path):
    with Hub(Faults(gated=True, token=SECRET)) as hub, Hub() as store:
        hub.add(REPO, PATH, FILE)
        store.add(REPO, PATH, FILE)
        refused = Downloader(database, tmp_path, hub).get()
        assert (refused.state, reason(refused)) == ("failed", "fetch.gated")
        hub.faults.redirect_to = f"{store.url}/plain/{REPO}/{PATH}"
        downloader = Downloader(database, tmp_path, hub, token=SECRET)
        assert downloader.get().state == "installed"
        assert [shown for _, shown in store.asked] == [""] * len(store.asked)
        assert f"Bearer {SECRET}" in [shown for _, shown in hub.asked]
        assert SECRET not in str(list_files(database))


def test_a_repository_that_is_not_there_and_one_file_of_many(downloader, hub):
    nowhere = downloader.get(ModelSource("family/Nowhere", "x.gguf"))
    assert (nowhere.state, reason(nowhere)) == ("failed", "fetch.not_found")
    every = asking.ask_to_look(downloader.db, ModelSource(REPO))
    downloader.work()
    listed = get_file(downloader.db, every.id)
    assert listed.state == "listed"
    assert [(one["path"], one["size"]) for one in listed.facts["files"]] == [
        (PATH, len(FILE)),
        ("q8/tiny-Q8_0.gguf", 900_000),
    ]
    one = asking.ask_to_get(downloader.db, ModelSource(REPO, "*q8_0*"))
    downloader.work()
    assert (get_file(downloader.db, one.id).name, get_file(downloader.db, one.id).state) == (
        "tiny-Q8_0.gguf",
        "installed",
    )


def test_a_split_model_is_there_when_all_parts_are(database, tmp_path):
    names = [f"big-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    contents = [gguf(300_000 + n, n) for n in range(3)]
    with Hub(Faults(cut_after=[100_000])) as hub:
        for name, content in zip(names[:2], contents, strict=False):
            hub.add(REPO, name, content)
        downloader = Downloader(database, tmp_path, hub)
        missing = downloader.get(ModelSource(REPO, names[1]))
        assert reason(missing) == "fetch.parts"
        hub.add(REPO, names[2], contents[2])
        asking.forget(database, missing.id)
        got = downloader.get(ModelSource(REPO, "big-*"))
        assert (got.state, got.name, got.size, len(got.parts)) == ("installed", names[0], sum(map(len, contents)), 3)
        assert [downloader.content(name) for name in names] == contents
        assert [hub.sent_twice(name) for name in names] == [0, 0, 0]


def test_an_address_needs_a_hash_that_is_typed_or_told(downloader, hub):
    url = f"{hub.url}/plain/{REPO}/{PATH}"
    unchecked = downloader.get(ModelSource(url=url))
    assert (unchecked.state, reason(unchecked)) == ("failed", "fetch.no_hash")
    assert downloader.get(ModelSource(url=url, sha256=hub.hashes[REPO, PATH])).state == "installed"
    other = downloader.get(ModelSource(url=f"{hub.url}/{REPO}/resolve/main/q8/tiny-Q8_0.gguf"))
    assert other.state == "installed", "its server tells the hash"


def test_pause_goes_on_cancel_deletes_remove_takes_the_file(downloader, hub):
    file = asking.ask_to_get(downloader.db, SOURCE)
    hub.faults.cut_after = [200_000, 0]
    downloader.work()
    waiting = get_file(downloader.db, file.id)
    assert (waiting.state, reason(waiting)) == ("waiting", "fetch.lost_line")
    asking.pause(downloader.db, file.id)
    downloader.work()
    assert get_file(downloader.db, file.id).state == "paused"
    hub.faults.cut_after = []
    asking.get(downloader.db, file.id)
    downloader.work()
    assert (get_file(downloader.db, file.id).state, hub.sent_twice(PATH)) == ("installed", 0)
    (downloader.models / "another.gguf").write_bytes(b"GGUF")
    asking.remove(downloader.db, file.id)
    downloader.work()
    assert get_file(downloader.db, file.id).state == "gone"
    assert downloader.lying() == ["another.gguf"], "nothing else is ever deleted"
    hub.faults.cut_after = [200_000, 0]
    asking.get(downloader.db, file.id)
    downloader.work()
    assert downloader.lying() == [f".{NAME}.part", f".{NAME}.part.json", "another.gguf"]
    asking.cancel(downloader.db, file.id)
    downloader.work()
    assert (get_file(downloader.db, file.id).state, downloader.lying()) == ("canceled", ["another.gguf"])


def test_a_pause_is_heard_in_the_middle_of_a_file(downloader, hub, monkeypatch):
    file = asking.ask_to_get(downloader.db, SOURCE)
    write = part_file.PartFile.write

    def and_pause(self, data):
        write(self, data)
        asking.pause(downloader.db, file.id)

    monkeypatch.setattr(part_file.PartFile, "write", and_pause)
    downloader.tick = 1.0
    downloader.work()
    paused = get_file(downloader.db, file.id)
    assert (paused.state, paused.wanted) == ("paused", "pause")
    assert 0 < (downloader.models / f".{NAME}.part").stat().st_size < len(FILE)


def test_a_pause_is_heard_while_nothing_comes(downloader, hub, monkeypatch):
    file = asking.ask_to_look(downloader.db, SOURCE)
    downloader.work()
    asking.get(downloader.db, file.id)
    hub.faults.cut_after, hub.asked[:] = [0], []
    stream = downloader.jobs._client.stream

    def and_pause(*arguments):
        asking.pause(downloader.db, file.id)
        return stream(*arguments)

    monkeypatch.setattr(downloader.jobs._client, "stream", and_pause)
    downloader.tick = 1.0
    downloader.work()
    assert get_file(downloader.db, file.id).state == "paused"
    assert len(hub.asked) == 2, "one address, one try"


def test_a_disk_without_room_is_seen_before_and_a_full_one_in_the_middle(downloader, hub, monkeypatch):
    usage = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=1 << 20))
    file = downloader.get()
    assert (file.state, reason(file)) == ("failed", "fetch.disk_full")
    assert not any(path.startswith("/signed") and "bytes" in path for path, _ in hub.asked)
    monkeypatch.undo()
    pwrite = os.pwrite

    def full(descriptor, data, offset):
        if offset > 300_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(descriptor, data[:100_000], offset)

    monkeypatch.setattr(os, "pwrite", full)
    asking.get(downloader.db, file.id)
    downloader.work()
    full_now = get_file(downloader.db, file.id)
    assert (full_now.state, reason(full_now)) == ("failed", "fetch.disk_full")
    assert 300_000 < (downloader.models / f".{NAME}.part").stat().st_size < len(FILE)
    monkeypatch.undo()
    asking.get(downloader.db, file.id)
    downloader.work()
    assert downloader.content() == FILE


def test_after_a_power_cut_only_what_was_on_the_disk_for_good_is_trusted(tmp_path, monkeypatch):
    def made():
        return part_file.PartFile(tmp_path, NAME, len(FILE), "0" * 64)

    monkeypatch.setattr(part_file, "SYNC_BYTES", 200_000)
    part = made()
    part.begin(lambda _n: None)
    for start in range(0, 500_000, 50_000):
        part.write(FILE[start : start + 50_000])
    part.close()
    assert made().begun == 500_000
    monkeypatch.setattr(part_file, "_boot", lambda: "another start of the machine")
    assert made().begun == 400_000
    again = made()
    again.begin(lambda _n: None)
    assert again.offset == 400_000
    again.close()
    assert part_file.PartFile(tmp_path, NAME, len(FILE), "1" * 64).begun == 0, "it is to be another file now"


def test_another_file_of_this_name_is_left_alone(downloader, hub):
    downloader.models.mkdir()
    (downloader.models / NAME).write_bytes(b"mine")
    file = downloader.get()
    assert (file.state, reason(file), downloader.content()) == ("failed", "fetch.name_there", b"mine")
    (downloader.models / NAME).write_bytes(FILE)
    asking.get(downloader.db, file.id)
    downloader.work()
    assert get_file(downloader.db, file.id).state == "installed", "the same file is not fetched again"


def test_a_file_that_somebody_puts_there_meanwhile_is_left_alone(downloader, hub):
    downloader.models.mkdir()
    hub.on_sent = lambda _path, total: total > 300_000 and (downloader.models / NAME).write_bytes(b"mine")
    file = downloader.get()
    assert (file.state, reason(file), downloader.content()) == ("failed", "fetch.name_there", b"mine")
    hub.on_sent = lambda _path, _total: None
    (downloader.models / NAME).unlink()
    asking.get(downloader.db, file.id)
    n_before = len(hub.starts[PATH])
    downloader.work()
    assert downloader.content() == FILE
    assert len(hub.starts[PATH]) == n_before, "all of it was here already"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"sha": 7}',
        b'{"sha": "../.."}',
        b"[" * 5000,
        b"\xff",
        b"<html>",
        b'{"sha": null}',
        b"1e999",
    ],
    ids=repr,
)
def test_a_hub_that_talks_nonsense_is_asked_again_later(downloader, hub, answer):
    hub.faults.bad_json = answer
    file = downloader.get()
    assert (file.state, reason(file)) == ("asked", "fetch.bad_answer")


def test_names_and_sizes_from_a_hub_are_bounded(downloader, hub):
    for path in (
        "../evil.gguf",
        "/etc/evil.gguf",
        "a/../../evil.gguf",
        ".hidden.gguf",
        "x" * 300 + ".gguf",
        "a\nb.gguf",
    ):
        hub.add(REPO, path, b"GGUF")
    every = asking.ask_to_look(downloader.db, ModelSource(REPO))
    downloader.work()
    assert len(get_file(downloader.db, every.id).facts["files"]) == 2


def test_a_redirect_to_what_is_no_web_address_is_refused(downloader, hub):
    circle = f"{hub.url}/{REPO}/resolve/main/{PATH}"
    for where in ("file:///etc/passwd", "ftp://host/x", "//", "http://[bad/x", "http://host:99999/x", circle):
        hub.faults.redirect_to = where
        file = downloader.get()
        assert (file.state, reason(file)) == ("failed", "fetch.redirects")


def test_a_second_page_of_the_tree_at_an_impossible_address_is_not_asked_for(downloader, hub):
    hub.faults.next_page = "http://[bad/x"
    assert downloader.get().state == "installed"


def test_a_proxy_of_the_environment_is_used(database, tmp_path, hub, monkeypatch):
    for name in ("http_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    hub.address = "http://hub.invalid"
    assert Downloader(database, tmp_path, hub).get().state == "installed"
    assert {path.split("/")[2] for path, _ in hub.asked} == {"hub.invalid"}


def test_headers_of_models_that_nobody_has_on_the_shelf_are_swept(downloader):
    kept = asking.ask_to_look(downloader.db, SOURCE)
    gone = asking.ask_to_look(downloader.db, ModelSource(REPO, "q8/tiny-Q8_0.gguf"))
    downloader.work()
    asking.forget(downloader.db, gone.id)
    downloader.jobs.sweep_headers()
    assert tuple(path.name for path in (downloader.data / HEADERS).iterdir()) == header_names(kept.id, 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_whatever_a_hub_says_is_a_file_with_a_safe_name_or_nothing(said):
    for read in (hubs._file, hubs._modelscope_file):
        file = read(said)
        if file is not None:
            assert file.path.endswith(".gguf")
            assert ".." not in file.path
            assert not file.path.startswith("/")
            assert 0 < file.size <= hubs.MAX_SIZE
            assert file.sha256 == "" or len(file.sha256) == 64
    if isinstance(said, dict):
        assert len(hubs._licence(said)) <= 60


@given(st.binary(max_size=300), st.integers(0, 60))
def test_whatever_bytes_come_as_a_header_have_a_length_or_are_none(data, cut):
    for bytes_here in (data, FILE[:cut] + data):
        try:
            length = header.header_bytes(bytes_here)
        except header.NotGguf:
            continue
        assert length is None or 0 < length <= len(bytes_here)


def test_what_fails_while_the_lock_is_held_is_not_taken_for_another_downloader(tmp_path):
    with pytest.raises(BlockingIOError), lock_of(tmp_path):
        raise BlockingIOError


def test_one_downloader_at_a_time(tmp_path):
    with lock_of(tmp_path / "models"), pytest.raises(Locked), lock_of(tmp_path / "models"):
        pass
    with lock_of(tmp_path / "models"):
        pass


def test_one_that_waits_does_not_hold_up_the_next(downloader, hub):
    hub.faults.cut_after = [200_000, 0]
    first = asking.ask_to_get(downloader.db, SOURCE)
    downloader.work()
    hub.faults.cut_after = []
    second = downloader.get(ModelSource(REPO, "q8/tiny-Q8_0.gguf"))
    assert (second.state, get_file(downloader.db, first.id).state) == ("installed", "waiting")
    downloader.now += 1000
    downloader.work()
    assert get_file(downloader.db, first.id).state == "installed"


def test_the_model_that_a_worker_was_started_with_is_not_deleted_under_it(downloader):
    file = downloader.get()
    downloader.in_use = {NAME}
    asking.remove(downloader.db, file.id)
    downloader.work()
    kept = get_file(downloader.db, file.id)
    assert (kept.state, kept.wanted, reason(kept), downloader.content()) == ("installed", "", "model_in_use", FILE)


@pytest.mark.parametrize("command", [asking.cancel, asking.remove])
def test_what_cannot_be_deleted_says_why_and_is_not_tried_again_and_again(downloader, hub, monkeypatch, command):
    file = downloader.get() if command is asking.remove else asking.ask_to_get(downloader.db, SOURCE)

    def read_only(_path, missing_ok=False):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(part_file.Path, "unlink", read_only)
    command(downloader.db, file.id)
    downloader.work()
    kept = get_file(downloader.db, file.id)
    assert (kept.state, kept.wanted, reason(kept)) == (file.state, "", "fetch.folder")


def test_a_folder_that_cannot_be_written_says_so(database, tmp_path, hub):
    (tmp_path / "models").write_text("a file where the folder should be")
    file = Downloader(database, tmp_path, hub).get()
    assert (file.state, reason(file)) == ("failed", "fetch.folder")


def test_retry_after_is_a_number_or_a_date_and_never_long():
    assert retry_after_s("120") == 120.0
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT", now=1445412470.0) == 10.0
    assert retry_after_s("999999999") == retry_after_s("Fri, 01 Jan 2100 00:00:00 GMT", now=0.0) == 900.0
    assert [retry_after_s(value) for value in ("", "soon", "-5", "Wed, 99 Oct")] == [0.0] * 4


@pytest.mark.parametrize("end", [3, 10, 24, 60])
def test_the_length_of_a_header_is_known_when_all_of_it_is_there(end):
    head = gguf(200)
    whole = header.header_bytes(head)
    assert whole is not None
    assert header.header_bytes(head[:end]) is None
    assert header.header_bytes(head[:whole]) == whole


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04" * 20,
        b"GGUF" + (9).to_bytes(4, "little") + bytes(16),
        b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16,
    ],
    ids=["zip", "version 9", "too many"],
)
def test_what_is_no_gguf_has_no_header(data):
    with pytest.raises(header.NotGguf):
        header.header_bytes(data)


def test_a_pause_before_anything_is_known_goes_on_with_the_look_up(downloader):
    file = asking.ask_to_get(downloader.db, SOURCE)
    asking.pause(downloader.db, file.id)
    downloader.work()
    assert get_file(downloader.db, file.id).state == "paused"
    asking.get(downloader.db, file.id)
    downloader.work()
    assert (get_file(downloader.db, file.id).state, downloader.content()) == ("installed", FILE)


def test_what_is_wanted_may_change_before_anything_is_done(downloader):
    file = asking.ask_to_get(downloader.db, SOURCE)
    asking.cancel(downloader.db, file.id)
    downloader.work()
    assert get_file(downloader.db, file.id).state == "canceled"
    assert transfers.next_work(downloader.db) is None
