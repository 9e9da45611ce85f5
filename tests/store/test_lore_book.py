"""Lorebooks of every shape as one, whatever is in the file; and what an import tells of them."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.lore import decorators, patterns
from store.lore.book import LoreEntry, raw_entries, read_book
from store.lore.report import MAX_PATTERN_LETTERS, findings
from tests.harness.soak import n_examples

CARD_BOOK = {
    "name": "Seas",
    "scan_depth": 3,
    "token_budget": 200,
    "recursive_scanning": True,
    "entries": [
        {
            "keys": ["kraken", "/squid\\d/i"],
            "secondary_keys": ["deep"],
            "selective": True,
            "content": "It sleeps.",
            "enabled": True,
            "insertion_order": 7,
            "priority": 3,
            "case_sensitive": True,
            "position": "before_char",
            "name": "The kraken",
            "extensions": {
                "selectiveLogic": 3,
                "probability": 40,
                "sticky": 2,
                "cooldown": None,
                "delay": 5,
                "depth": 4,
            },
        }
    ],
}
WORLD = {
    "entries": {
        "4": {
            "uid": 4,
            "key": ["kraken", "/squid\\d/i"],
            "keysecondary": ["deep"],
            "selective": True,
            "selectiveLogic": 3,
            "content": "It sleeps.",
            "disable": False,
            "order": 7,
            "priority": 3,
            "caseSensitive": True,
            "position": 0,
            "comment": "The kraken",
            "probability": 40,
            "useProbability": True,
            "sticky": 2,
            "cooldown": None,
            "delay": 5,
        }
    }
}
KRAKEN = LoreEntry(
    place="0",
    name="The kraken",
    keys=("kraken", "/squid\\d/i"),
    content="It sleeps.",
    secondary=("deep",),
    logic="and_all",
    case_sensitive=True,
    before_char=True,
    order=7,
    priority=3,
    probability=40,
    sticky=2,
    delay=5,
)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (CARD_BOOK, "0"),
        ({"spec": "lorebook_v3", "data": CARD_BOOK}, "0"),
        ({"data": {"character_book": CARD_BOOK}}, "0"),
        ({"character_book": CARD_BOOK, "name": "A card"}, "0"),
        (WORLD, "4"),
    ],
)
def test_every_shape_says_the_same(raw, place):
    before = copy.deepcopy(raw)
    (entry,) = read_book(raw).entries
    assert entry == LoreEntry(
        **{**{name: getattr(KRAKEN, name) for name in LoreEntry.__dataclass_fields__}, "place": place}
    )
    assert raw == before


def test_what_a_book_says_of_itself_is_read():
    book = read_book({"spec": "lorebook_v3", "data": CARD_BOOK})
    assert (book.name, book.scan_depth, book.token_budget, book.recursive) == ("Seas", 3, 200, True)
    bare = read_book({"entries": []})
    assert (bare.name, bare.scan_depth, bare.token_budget, bare.recursive) == ("", 2, 0, False)


@pytest.mark.parametrize(
    ("field", "value", "name", "meant"),
    [
        ("keys", "a, b ,", "keys", ("a", "b")),
        ("keys", "/a,b/", "keys", ("/a,b/",)),
        ("keys", ["a", 7, None, " "], "keys", ("a", "7")),
        ("content", None, "content", ""),
        ("enabled", "false", "enabled", False),
        ("disable", 1, "enabled", False),
        ("insertion_order", "12", "order", 12),
        ("insertion_order", "many", "order", 100),
        ("insertion_order", 1e300, "order", 1_000_000_000),
        ("position", 1, "before_char", False),
        ("position", 0, "before_char", True),
        ("extensions", {"position": 0}, "before_char", True),
        ("extensions", None, "sticky", 0),
        ("extensions", {"probability": 30, "useProbability": False}, "probability", 100),
        ("probability", 400, "probability", 100),
        ("selectiveLogic", 9, "logic", "and_any"),
        ("sticky", -4, "sticky", 0),
    ],
)
def test_what_is_not_quite_right_is_taken_as_it_was_meant(field, value, name, meant):
    (entry,) = read_book({"entries": [{"keys": ["a"], "content": "x", field: value}]}).entries
    assert getattr(entry, name) == meant


def test_decorators_are_taken_out_and_the_known_ones_count():
    lines = ("@@scan_depth 5", "@@sing loudly", "@@@activate_only_after 3", "@@@depth 9", "@@exclude_keys cat,dog")
    content = "\n".join([*lines, "It sleeps.", "@@role x"])
    taken = decorators.split(content)
    assert taken.text == "It sleeps.\n@@role x"
    assert taken.values == {"scan_depth": "5", "activate_only_after": "3", "exclude_keys": "cat,dog"}
    assert taken.unknown == ("sing",)
    (entry,) = read_book({"entries": [{"keys": ["a"], "content": content}]}).entries
    assert (entry.scan_depth, entry.after, entry.excluded) == (5, 3, ("cat", "dog"))
    assert decorators.split("@@activate").text == ""


def test_a_report_says_what_becomes_of_every_field():
    raw = copy.deepcopy(WORLD)
    raw["mood"] = "blue"
    raw["entries"]["4"] |= {"vectorized": True, "automationId": "x", "position": 4, "depth": 2, "group": ""}
    raw["entries"]["5"] = {"key": ["/(/"], "content": "@@sing\nA.", "constant": True}
    raw["entries"]["6"] = {"key": [], "content": "B."}
    raw["entries"]["7"] = {"key": ["c"], "content": "", "disable": True}
    said = {(one.verdict, one.field, one.reason): one.values.get("n") for one in findings(raw, "book")}
    assert said["applied", "book.entries[]", "lore_constant"] == 1
    assert said["approximated", "book.entries[]", "lore_near"] == 1
    assert said["kept", "book.entries[]", "lore_without_keys"] == 1
    assert said["kept", "book.entries[]", "lore_disabled"] == 1
    assert said["kept", "book.entries[]", "lore_bad_pattern"] == 1
    assert said["applied", "book.entries[].sticky", "lore_field"] == 1
    assert said["approximated", "book.entries[].position", "lore_place"] == 1
    assert said["kept", "book.entries[].vectorized", "unused"] == 1
    assert said["kept", "book.entries[].content @@sing", "lore_unknown_decorator"] == 1
    assert said["kept", "book.mood", "unused"] is None
    assert not [field for _, field, _ in said if "group" in field]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=5,
)
NAMES = st.sampled_from([*CARD_BOOK["entries"][0], *WORLD["entries"]["4"], "constant", "use_regex"])


@settings(max_examples=n_examples(40, 1000), deadline=None)
@given(
    st.dictionaries(st.sampled_from(["entries", "data", "character_book", "name", "scan_depth", "extensions"]), JSON)
    | st.lists(st.dictionaries(NAMES, JSON, max_size=6), max_size=4).map(lambda entries: {"entries": entries})
)
def test_no_file_makes_reading_fail_or_changes_by_it(raw):
    before = repr(raw)
    book = read_book(raw)
    assert len(book.entries) == sum(1 for _ in raw_entries(raw))
    assert all(one.verdict in ("applied", "approximated", "kept") for one in findings(raw, "book"))
    assert repr(raw) == before


def test_a_report_compiles_a_bounded_number_of_patterns():
    before = patterns._compiled.cache_info().misses
    keys = [[f"/{'(a)' * 100}{n}(/"] for n in range(500)]
    found = findings({"entries": [{"keys": key, "content": "x"} for key in keys]}, "book")
    assert patterns._compiled.cache_info().misses - before <= MAX_PATTERN_LETTERS // 300
    assert any(line.reason == "lore_bad_pattern" for line in found)
