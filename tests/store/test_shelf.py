"""The shelf of models: what is asked for, fetched, found in the folder, planned and chosen."""

import pytest

from store import accounts, removal
from store.errors import Failure, NotFound, Refused
from store.shelf import asking, choices, folder, transfers
from store.shelf.names import ModelSource, is_file_name, part_names, source_of
from store.shelf.reading import find_file, get_file, list_files
from store.shelf.views import PartView

REPO, PATH = "family/Tiny-GGUF", "q4/tiny-Q4_K_M.gguf"
HASH = "0a" * 32
SOURCE = ModelSource(REPO, PATH)
PARTS = (PartView(1, PATH, 1000, HASH),)


def reason_of(call, *arguments, **options):
    with pytest.raises(Refused) as refused:
        call(*arguments, **options)
    return refused.value.reason


def fetched(database, source=SOURCE, parts=PARTS):
    """A file that was asked for and has been installed."""
    file = asking.ask_to_get(database, source)
    transfers.record_source(database, file.id, ModelSource(source.repo, source.path, revision="c0ffee"), parts, "mit")
    transfers.record_state(database, file.id, "installed")
    return get_file(database, file.id)


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ({"repo": "tiny"}, "bad_model.repo"),
        ({"repo": "../etc"}, "bad_model.repo"),
        ({"repo": "a/b", "path": "../../x.gguf"}, "bad_model.path"),
        ({"repo": "a/b", "path": "/x.gguf"}, "bad_model.path"),
        ({"repo": "a/b", "path": "weights.safetensors"}, "bad_model.name"),
        ({"repo": "a/b", "path": "x.gguf", "sha256": "12"}, "bad_model.sha256"),
        ({"url": "file:///etc/passwd"}, "bad_model.url"),
        ({"url": "https://host/"}, "bad_model.name"),
        ({"url": "https://host/a%2F..%2F.gguf"}, "bad_model.name"),
        ({"url": "https://ada:secret@host/x.gguf"}, "bad_model.secret"),
        ({"repo": "a/b", "path": "x.gguf", "revision": "a b"}, "bad_model.revision"),
    ],
    ids=str,
)
def test_what_names_no_model_is_refused(typed, reason):
    assert reason_of(source_of, **typed) == reason


def test_a_source_has_the_name_that_its_file_will_have():
    assert source_of(REPO, PATH).name == "tiny-Q4_K_M.gguf"
    assert source_of(url="https://host/a/b%2Bc.gguf?x=1", sha256=HASH.upper()).name == "b+c.gguf"
    assert source_of(REPO, "*Q4_K_M.gguf").name == f"{REPO}:*Q4_K_M.gguf"
    assert not is_file_name(source_of(REPO).name)
    assert part_names("a-00001-of-00003.gguf") == tuple(f"a-0000{n}-of-00003.gguf" for n in (1, 2, 3))
    assert part_names("a.gguf") == ("a.gguf",)


def test_from_looking_to_the_installed_file(database):
    file = asking.ask_to_look(database, SOURCE, by="ada", now=1.0)
    assert (file.state, file.wanted, file.name) == ("asked", "look", "tiny-Q4_K_M.gguf")
    assert transfers.next_work(database).id == file.id
    transfers.record_source(database, file.id, ModelSource(REPO, PATH, revision="c0ffee"), PARTS, "apache-2.0")
    transfers.record_state(database, file.id, "looked")
    assert transfers.next_work(database) is None
    folder.record_facts(database, file.id, {"kind": "dense"})
    folder.record_plan(database, file.id, "gpu0", {"lanes": 2}, now=2.0)
    assert asking.get(database, file.id).state == "waiting"
    transfers.record_state(database, file.id, "fetching")
    assert transfers.record_progress(database, file.id, {1: 400}, speed=100.0) == "get"
    now = get_file(database, file.id)
    assert (now.done, now.size, now.seconds_left, now.licence) == (400, 1000, 6.0, "apache-2.0")
    transfers.record_state(database, file.id, "installed")
    assert not folder.record_folder(database, {file.name: 1000})
    (now,) = list_files(database)
    assert (now.state, now.done, now.parts[0].done) == ("installed", 1000, 1000)
    assert now.plans["gpu0"].plan == {"lanes": 2}


def test_asking_twice_is_one_file_and_another_place_is_refused(database):
    first = asking.ask_to_look(database, SOURCE)
    assert asking.ask_to_get(database, SOURCE).id == first.id
    assert asking.ask_to_look(database, SOURCE).wanted == "get"
    assert reason_of(asking.ask_to_get, database, ModelSource("other/Repo", PATH)) == "model_name_taken"


def test_what_was_given_up_does_not_fill_the_shelf_for_ever(database, monkeypatch):
    """No page shows it, so nobody could take it off."""
    monkeypatch.setattr(asking, "MAX_FILES", 3)
    for number in range(3):
        file = asking.ask_to_look(database, source_of("a/b", f"{number}.gguf"), now=float(number))
    assert reason_of(asking.ask_to_look, database, source_of("a/b", "3.gguf")) == "too_many_models"
    asking.cancel(database, file.id)
    transfers.record_canceled(database, file.id)
    asking.ask_to_look(database, source_of("a/b", "3.gguf"))
    assert [one.name for one in list_files(database)] == ["0.gguf", "1.gguf", "3.gguf"]


def test_a_pattern_becomes_a_file_a_list_or_the_file_that_is_there(database):
    pattern = asking.ask_to_get(database, ModelSource(REPO, "*Q4_K_M.gguf"))
    named = transfers.record_source(database, pattern.id, SOURCE, PARTS)
    assert (named.id, named.name, named.wanted) == (pattern.id, "tiny-Q4_K_M.gguf", "get")
    again = asking.ask_to_get(database, ModelSource(REPO, "*_K_M.gguf"))
    assert transfers.record_source(database, again.id, SOURCE, PARTS).id == pattern.id
    every = asking.ask_to_look(database, ModelSource(REPO))
    transfers.record_listing(database, every.id, [{"path": PATH, "size": 1000}])
    assert get_file(database, every.id).facts["files"] == [{"path": PATH, "size": 1000}]
    assert len(list_files(database)) == 2
    assert asking.ask_to_look(database, ModelSource(REPO)).state == "asked"


def test_pause_go_on_cancel_and_ask_again(database):
    file = asking.ask_to_get(database, SOURCE)
    transfers.record_source(database, file.id, SOURCE, PARTS)
    transfers.record_state(database, file.id, "fetching")
    transfers.record_progress(database, file.id, {1: 400})
    assert asking.pause(database, file.id).state == "fetching"
    assert (transfers.wanted_of(database, file.id), transfers.next_work(database).id) == ("pause", file.id)
    transfers.record_state(database, file.id, "paused")
    assert transfers.next_work(database) is None
    assert asking.get(database, file.id).state == "waiting"
    assert transfers.record_source(database, file.id, SOURCE, PARTS).done == 400
    asking.cancel(database, file.id)
    transfers.record_state(database, file.id, "canceled")
    assert transfers.next_work(database) is None
    assert asking.ask_to_get(database, SOURCE).state == "asked"


def test_a_failure_says_why_and_is_not_tried_again_until_somebody_asks(database):
    file = asking.ask_to_get(database, SOURCE)
    transfers.record_state(database, file.id, "failed", Failure("fetch.gated", {"repo": REPO}))
    failed = get_file(database, file.id)
    assert failed.failure == Failure("fetch.gated", {"repo": REPO})
    assert transfers.next_work(database) is None
    assert asking.get(database, file.id).failure is None
    assert transfers.next_work(database).id == file.id


@pytest.mark.parametrize("state", ["failed", "listed", "paused", "looked"])
def test_what_came_to_nothing_can_be_given_up(database, state):
    """It leaves the list, and the downloader deletes what is here of it."""
    file = asking.ask_to_get(database, SOURCE)
    transfers.record_state(database, file.id, state)
    asking.cancel(database, file.id)
    assert (transfers.next_work(database).id, transfers.next_work(database).wanted) == (file.id, "cancel")
    transfers.record_canceled(database, file.id)
    assert transfers.next_work(database) is None


def test_a_file_that_lay_in_the_folder_and_one_that_left_it(database):
    mine = fetched(database)
    assert folder.record_folder(database, {mine.name: 1000, "dropped.gguf": 70})
    found = find_file(database, "dropped.gguf")
    assert (found.state, found.size, found.wanted) == ("installed", 70, "")
    assert folder.record_folder(database, {})
    assert find_file(database, "dropped.gguf") is None
    assert get_file(database, mine.id).state == "gone"
    assert asking.get(database, mine.id).state == "asked"
    assert not folder.record_folder(database, {mine.name: 1000}), "the downloader has it in its hands"


def test_what_lay_in_the_folder_cannot_be_fetched_again(database):
    folder.record_folder(database, {"dropped.gguf": 70})
    choices.choose(database, "gpu0", "dropped.gguf")
    folder.record_folder(database, {})
    assert reason_of(asking.get, database, find_file(database, "dropped.gguf").id) == "model_no_source"


def test_a_model_in_use_is_not_removed_and_one_that_is_not_goes_with_its_blocks(database):
    mine = fetched(database)
    choices.choose(database, "gpu0", mine.name)
    assert reason_of(asking.remove, database, mine.id) == "model_in_use"
    choices.choose(database, "gpu0", choices.AS_STARTED)
    assert asking.remove(database, mine.id).wanted == "remove"
    assert reason_of(choices.choose, database, "gpu0", mine.name) == "model_not_here"
    assert transfers.next_work(database).id == mine.id
    transfers.record_removed(database, mine.id)
    assert transfers.next_work(database) is None
    assert folder.to_clean_up(database) == (mine.id,)
    asking.forget(database, mine.id)
    assert list_files(database) == ()


def test_who_asked_and_who_chose_is_forgotten_with_their_account(database, make_user):
    ada, bo = make_user("Ada"), make_user("Bo")
    files = [asking.ask_to_get(database, ModelSource(REPO, f"{one.name}.gguf"), by=one.id) for one in (ada, bo)]
    transfers.record_state(database, files[0].id, "installed")
    choices.choose(database, "gpu0", files[0].name, by=ada.id)
    accounts.delete_account(database, ada.id)
    removal.remove_deleted(database)
    assert [get_file(database, one.id).added_by for one in files] == ["", bo.id]
    assert choices.choice_of(database, "gpu0").chosen_by == ""


def test_a_choice_loads_serves_and_falls_back(database):
    first, second = (fetched(database, ModelSource(REPO, f"{name}.gguf"), ()) for name in ("one", "two"))
    chosen = choices.choose(database, "gpu0", first.name, by="ada", now=1.0)
    assert (chosen.state, chosen.previous) == ("wanted", choices.AS_STARTED)
    assert choices.record_choice(database, "gpu0", first.name, "serving")
    assert choices.choose(database, "gpu0", second.name).previous == first.name
    assert not choices.record_choice(database, "gpu0", first.name, "serving"), "another was chosen since"
    fallen = choices.fall_back(database, "gpu0", second.name, Failure("model.broken", {"name": second.name}))
    assert (fallen.name, fallen.state, fallen.failure.reason) == (first.name, "wanted", "model.broken")
    assert choices.record_choice(database, "gpu0", first.name, "serving")
    assert choices.choice_of(database, "gpu0").failure.reason == "model.broken", "the page says why"
    assert choices.fall_back(database, "gpu0", first.name, Failure("model.broken")).name == choices.AS_STARTED
    with pytest.raises(NotFound):
        choices.choose(database, "gpu0", "nowhere.gguf")
    assert [one.worker for one in choices.list_choices(database)] == ["gpu0"]
