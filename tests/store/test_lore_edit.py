"""Changing an entry of a file changes nothing else in it; a V3 export wakes as the file did."""

import copy
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_lore_book import CARD_BOOK, WORLD

from store.lore.book import read_book
from store.lore.edit import EntryDraft, as_v3, changed, draft_of, entry_at, without
from tests.harness.soak import n_examples

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
KEYS = st.lists(TEXT.map(lambda key: key.strip()).filter(bool), max_size=3).map(tuple)
DRAFTS = st.builds(
    EntryDraft,
    name=TEXT.map(str.strip),
    keys=KEYS,
    content=TEXT,
    enabled=st.booleans(),
    constant=st.booleans(),
    selective=st.booleans(),
    secondary=KEYS,
    logic=st.integers(0, 3),
    order=st.integers(-1000, 1000),
    probability=st.integers(0, 100),
    sticky=st.integers(0, 50),
    cooldown=st.integers(0, 50),
    delay=st.integers(0, 50),
    scan_depth=st.none() | st.integers(0, 50),
    case_sensitive=st.booleans(),
    whole_words=st.booleans(),
)
FILES = [CARD_BOOK, {"spec": "lorebook_v3", "data": CARD_BOOK}, WORLD, {}, {"entries": {}}, {"entries": []}]


@settings(max_examples=n_examples(50, 1500), deadline=None)
@given(st.sampled_from(FILES), DRAFTS)
def test_a_new_entry_is_read_as_it_was_written(raw, draft):
    before = copy.deepcopy(raw)
    book = changed(raw, None, draft)
    assert raw == before
    place = list(read_book(book).entries)[-1].place
    assert draft_of(entry_at(book, place)) == draft
    kept = without(book, place)
    assert kept == raw or kept == {**raw, "entries": []}


@settings(max_examples=n_examples(50, 1500), deadline=None)
@given(st.sampled_from([(CARD_BOOK, "0"), (WORLD, "4")]), DRAFTS)
def test_a_change_is_kept_and_changes_nothing_else(file, draft):
    raw, place = copy.deepcopy(file[0]), file[1]
    entry = raw["entries"][int(place) if isinstance(raw["entries"], list) else place]
    entry |= {"mine": [1, {"x": None}], "extensions": {**entry.get("extensions", {}), "theirs": "kept"}}
    book = changed(raw, place, draft)
    now = entry_at(book, place)
    assert draft_of(now) == replace(draft, name=draft.name)
    assert (now["mine"], now["extensions"]["theirs"]) == ([1, {"x": None}], "kept")
    assert {name for name in now if name not in entry} <= {
        "case_sensitive",
        "constant",
        "enabled",
        "disable",
        "comment",
    } | {"match_whole_words", "matchWholeWords", "scanDepth", "scan_depth", "caseSensitive", "cooldown"}
    assert changed(raw, place, draft_of(entry)) == raw


MAYBE = st.none() | st.booleans() | st.integers(-3, 300) | st.sampled_from(["12", "true", "", "x"])
FIELDS = (
    *("constant", "selective", "selectiveLogic", "order", "disable", "position", "probability", "depth"),
    *("useProbability", "sticky", "cooldown", "delay", "scanDepth", "caseSensitive", "matchWholeWords"),
    *("excludeRecursion", "preventRecursion", "delayUntilRecursion", "vectorized", "priority", "group"),
)
ODD = st.fixed_dictionaries(
    {"key": KEYS.map(list) | TEXT, "content": TEXT | st.just("@@scan_depth 4\n@@nothing\nA.") | st.none()},
    optional={
        "keysecondary": KEYS.map(list),
        "comment": TEXT,
        "uid": st.integers(0, 9) | TEXT,
        "extensions": st.dictionaries(TEXT, st.integers(), max_size=2) | st.none(),
        **dict.fromkeys(FIELDS, MAYBE),
    },
)


@settings(max_examples=n_examples(50, 1500), deadline=None)
@given(st.dictionaries(st.integers(0, 99).map(str), ODD, max_size=3), st.booleans())
def test_every_world_info_file_wakes_the_same_as_v3_and_loses_nothing(entries, as_list):
    raw = {"entries": list(entries.values()) if as_list else entries, "originalData": {"x": 1}}
    out = as_v3(raw, "Seas")
    assert as_v3(out, "Seas") == out
    mine, theirs = read_book(raw), read_book(out)
    assert [replace(one, place="") for one in theirs.entries] == [replace(one, place="") for one in mine.entries]
    assert (theirs.scan_depth, theirs.recursive) == (mine.scan_depth, mine.recursive)
    assert out["data"]["originalData"] == {"x": 1}
    for entry, written in zip(entries.values(), out["data"]["entries"], strict=True):
        said = {name: value for name, value in entry.items() if name in ("vectorized", "group", "depth", "probability")}
        assert {name: written["extensions"][name] for name in said} == said


@pytest.mark.parametrize(("field", "value"), [("probability", 30), ("enabled", True)])
def test_what_a_file_says_in_two_places_agrees(field, value):
    raw = {
        "entries": {"0": {"key": ["a"], "content": "x", "useProbability": False, "probability": 30, "disable": True}}
    }
    book = changed(raw, "0", replace(draft_of(raw["entries"]["0"]), **{field: value}))
    assert getattr(draft_of(book["entries"]["0"]), field) == value


def test_an_export_as_v3_wakes_as_the_file_did():
    raw = copy.deepcopy(WORLD)
    raw["entries"]["4"] |= {"vectorized": True, "scanDepth": 6, "matchWholeWords": False, "excludeRecursion": True}
    out = as_v3(raw, "Seas")
    assert (out["spec"], out["data"]["name"]) == ("lorebook_v3", "Seas")
    (mine,), (theirs,) = read_book(raw).entries, read_book(out).entries
    assert {**asdict(theirs), "place": ""} == {**asdict(mine), "place": ""}
    assert out["data"]["entries"][0]["extensions"]["vectorized"] is True
    assert as_v3({"spec": "lorebook_v3", "data": CARD_BOOK}, "x")["data"]["entries"] == CARD_BOOK["entries"]
    assert {field.name for field in fields(EntryDraft)} >= {"sticky", "cooldown", "delay"}
