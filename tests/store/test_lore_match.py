"""Which entries wake: keys, second keys, patterns, decorators, time, chance and room."""

import dataclasses
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.lore import patterns
from store.lore.book import DEFAULT_SCAN_DEPTH, MAX_SCAN_DEPTH, Lorebook, LoreEntry, read_book
from store.lore.match import MatchContext, activate
from store.lore.scanned_texts import MAX_SCANNED
from tests.harness.soak import n_examples


def woken(entries, *texts, ordinal=10, budget=10_000, cost=lambda entry: 1, context=None, **book):
    """Places of the entries that wake; `texts` are newest first."""
    read = read_book({"entries": entries, **book})
    looked = context or MatchContext(texts, ordinal)
    return [found.entry.place for found in activate({"b": read}, looked, cost, budget).inserted]


def entry(*keys, content=None, **fields):
    return {"keys": list(keys), "content": content or f"About {keys}", **fields}


@pytest.mark.parametrize(
    ("key", "text", "there"),
    [
        ("cat", "A Cat!", True),
        ("cat", "concatenate", False),
        ("cat", "cat's", True),
        ("cat", "the_cat", False),
        ("old cat", "the old cat sat", True),
        ("C++", "I like C++.", True),
        ("龙", "那条龙来了", True),
        ("dragon", "龙dragon龙", True),
        ("ドラゴン", "赤いドラゴンが", True),
        ("용", "붉은용이", True),
        ("STRASSE", "die straße", True),
        ("café", "cafe\u0301 noir", True),
        ("/c.t/", "concutter", True),
        ("/C.T/", "cat", False),
        ("/C.T/i", "cat", True),
        ("/(/", "(", False),
        ("/a/x", "a", False),
        ("/a(?R)?/", "a", False),
        ("/((a{1000}){1000}){1000}/", "a", False),
        ("/^b/m", "a\nb", True),
        ("and/or", "and/or", True),
        ("//", "//", True),
    ],
)
def test_a_key_is_found_as_its_script_wants_it(key, text, there):
    assert bool(woken([entry(key)], text)) is there


def test_case_whole_words_and_patterns_are_the_entrys_choice():
    assert woken([entry("Cat", case_sensitive=True)], "cat") == []
    assert woken([entry("cat", extensions={"match_whole_words": False})], "concatenate") == ["0"]
    assert woken([entry("c.t", use_regex=True)], "CUT") == ["0"]
    assert woken([entry("c.t")], "cut") == []
    assert woken([entry("cat", use_regex=True)], "concatenate") == []  # nothing in it is a pattern


@pytest.mark.parametrize(
    ("logic", "text", "there"),
    [
        (0, "dragon red", True),
        (0, "dragon", False),
        (1, "dragon red", True),
        (1, "dragon red old", False),
        (2, "dragon", True),
        (2, "dragon old", False),
        (3, "dragon red old", True),
        (3, "dragon red", False),
        (3, "red old", False),
    ],
)
def test_second_keys_agree_in_four_ways(logic, text, there):
    selective = entry("dragon", selective=True, secondary_keys=["red", "old"], extensions={"selectiveLogic": logic})
    assert bool(woken([selective], text)) is there


def test_second_keys_only_count_where_the_entry_says_so():
    assert woken([entry("dragon", secondary_keys=["red"])], "dragon") == ["0"]


def test_scan_depth_is_the_entrys_before_the_books():
    texts = ("newest", "second", "third dragon")
    assert woken([entry("dragon")], *texts) == []
    assert woken([entry("dragon")], *texts, scan_depth=3) == ["0"]
    assert woken([entry("dragon", extensions={"scan_depth": 3})], *texts) == ["0"]
    assert woken([entry("newest", extensions={"scan_depth": 0})], *texts) == []


def test_decorators_overrule_and_narrow_the_keys():
    def with_lines(*lines):
        return entry("dragon", content="\n".join([*lines, "A dragon."]))

    assert woken([with_lines("@@activate")], "nothing") == ["0"]
    assert woken([with_lines("@@dont_activate", "@@activate")], "dragon") == []
    assert woken([with_lines("@@additional_keys red,old")], "dragon") == []
    assert woken([with_lines("@@additional_keys red,old")], "old dragon") == ["0"]
    assert woken([with_lines("@@exclude_keys red")], "red dragon") == []
    after = with_lines("@@activate_only_after 3")
    every = with_lines("@@activate_only_every 2")
    for n, expected in ((2, ["1"]), (3, ["0"]), (4, ["0", "1"])):
        every["content"] = "@@activate_only_every 2\nAnother."
        assert woken([after, every], context=MatchContext(("dragon",), 10, n_replies=n)) == expected


def test_after_a_match_an_entry_may_stay_for_good_or_never_come_again():
    for decorator, expected in (("keep_activate_after_match", True), ("dont_activate_after_match", False)):
        one = [entry("dragon", content=f"@@{decorator}\nA dragon.")]
        assert woken(one, context=MatchContext(("dragon",), 10)) == ["0"]
        later = MatchContext(("dragon" if not expected else "nothing",), 900, activated_at={"b/0": [10]})
        assert bool(woken(one, context=later)) is expected


def test_sticky_and_cooldown_go_by_ordinals_before_the_reply():
    lasting = [entry("dragon", extensions={"sticky": 2, "cooldown": 4})]

    def at(ordinal, text, *activated_at):
        return bool(woken(lasting, context=MatchContext((text,), ordinal, activated_at={"b/0": activated_at})))

    assert at(10, "dragon")
    assert at(12, "nothing", 10)
    assert not at(14, "dragon", 10)
    assert not at(16, "dragon", 10)
    assert at(18, "dragon", 10)
    assert at(10, "dragon", 10)  # the same reply again: its own waking does not count
    assert not at(10, "nothing", 10)


def test_delay_waits_for_the_chat_to_be_that_long():
    late = [entry("dragon", extensions={"delay": 11})]
    assert woken(late, "dragon", ordinal=10) == []
    assert woken(late, "dragon", ordinal=11) == ["0"]


def test_probability_is_a_roll_of_the_callers():
    context = MatchContext(("dragon",), 10, roll=lambda key: 49)
    assert woken([entry("dragon", extensions={"probability": 50})], context=context) == ["0"]
    assert woken([entry("dragon", extensions={"probability": 49})], context=context) == []


def test_room_goes_by_priority_and_places_by_order():
    entries = [
        entry("dragon", content="one", insertion_order=3, priority=5),
        entry("dragon", content="two", insertion_order=1, priority=9),
        entry("dragon", content="three", insertion_order=2, priority=1),
    ]
    assert woken(entries, "dragon") == ["1", "2", "0"]
    assert woken(entries, "dragon", cost=lambda entry: 10, budget=25) == ["1", "0"]
    assert woken(entries, "dragon", cost=lambda entry: 10, token_budget=15) == ["1"]


def test_a_content_is_told_once_and_an_empty_one_never():
    entries = [entry("dragon", content="same"), entry("dragon", content="same"), entry("dragon", content=" ")]
    entries[2]["content"] = ""
    assert woken(entries, "dragon") == ["0"]


def test_lore_wakes_lore_only_where_the_book_asks_for_it():
    chain = [entry("a", content="tells of b"), entry("b", content="tells of c"), entry("c", content="tells of a")]
    assert woken(chain, "a") == ["0"]
    assert woken(chain, "a", recursive_scanning=True) == ["0", "1", "2"]
    assert woken([chain[0] | {"extensions": {"prevent_recursion": True}}, chain[1]], "a", recursive_scanning=True) == [
        "0"
    ]
    assert woken([chain[0], chain[1] | {"extensions": {"exclude_recursion": True}}], "a", recursive_scanning=True) == [
        "0"
    ]
    shy = [chain[0], chain[1] | {"extensions": {"delay_until_recursion": True}}]
    assert woken(shy, "b", recursive_scanning=True) == []
    assert woken(shy, "a", recursive_scanning=True) == ["0", "1"]
    long = [entry(f"k{n}", content=f"to k{n + 1}") for n in range(30)]
    assert len(woken(long, "k0", recursive_scanning=True)) == 4


def test_a_pattern_that_takes_too_long_counts_as_not_found_and_is_named():
    entries = [entry(f"/(a+)+{n}$/", content=str(n)) for n in range(50)]
    found = activate(
        {"b": read_book({"entries": [*entries, entry("dragon")]})}, MatchContext(["a" * 4000 + " dragon"], 3)
    )
    assert [one.entry.place for one in found.inserted] == ["50"]
    assert "/(a+)+7$/" in found.slow


def test_keys_may_have_macros_of_the_chat():
    context = MatchContext(("Hello Ann",), 3, expand_macros=lambda key: key.replace("{{user}}", "Ann"))
    assert woken([entry("{{user}}")], context=context) == ["0"]


KEYS = st.text(max_size=30) | st.text("()[]{}|*+?\\^$.ab1,:<>=!", max_size=30).map(lambda inner: f"/{inner}/i")


@settings(max_examples=n_examples(150, 3000), deadline=None)
@given(KEYS, st.text("ab1 ()龙\n", max_size=60), st.booleans(), st.booleans())
def test_no_key_makes_matching_fail(key, text, case_sensitive, use_regex):
    one = LoreEntry("0", "", (key,), "x", case_sensitive=case_sensitive, use_regex=use_regex)
    activate({"b": Lorebook("", (one, dataclasses.replace(one, place="1", secondary=(key,))))}, MatchContext([text], 1))
    assert isinstance(patterns.broken((key, use_regex)), bool)


def test_scan_depths_share_one_text():
    """4,000 entries with a depth each made a copy of the text for each: gigabytes."""
    texts = ["word " * 100] * 400
    book = {"b": read_book({"entries": [entry(f"k{n}", extensions={"scan_depth": n}) for n in range(400)]})}
    tracemalloc.start()
    activate(book, MatchContext(texts, 3))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 4 * sum(map(len, texts))


def test_a_key_is_looked_for_in_as_many_texts_as_the_depth_says():
    texts = ["new", "middle Straße", "old"]
    for depth, found in enumerate([[], ["0"], ["0", "1"], ["0", "1", "2"], ["0", "1", "2"]]):
        keys = ("new", "STRASSE", "/^old$/m")
        assert woken([entry(key, content=key) for key in keys], *texts, scan_depth=depth) == found


def test_a_depth_beyond_reason_is_cut():
    read = read_book({"scan_depth": 10**12, "entries": [entry("a", extensions={"scan_depth": 10**18})]})
    assert read.scan_depth == read.entries[0].scan_depth == MAX_SCAN_DEPTH
    assert read_book({"scan_depth": 10**400, "entries": []}).scan_depth == DEFAULT_SCAN_DEPTH


def test_only_the_newest_letters_are_scanned():
    entries = [entry("near", content="n"), entry("far", content="f")]
    assert woken(entries, "near " + "x " * MAX_SCANNED, "far", scan_depth=9) == []
    assert woken(entries, "x " * MAX_SCANNED + " near", "far", scan_depth=9) == ["0"]


def test_what_all_keys_look_through_is_bounded_and_named():
    """A key that is part of other words at every place: each place was looked at, for each of the entries."""
    text = "aaaaaaaaaaaa " * 15_000
    entries = [entry("aa", content=str(n)) for n in range(3_000)]
    context = MatchContext([text], 3)
    found = activate({"b": read_book({"entries": [*entries, entry("last")]})}, context, budget=1)
    assert len(found.slow) > 1_000
    assert "last" in found.slow
    assert not found.inserted


def test_a_word_among_parts_of_words_is_found():
    assert woken([entry("cat")], "concatenate " * 1_000 + "cat") == ["0"]


def test_long_keys_are_not_kept():
    """The caches of keys went by number, not by size."""
    n_before = patterns._needle.cache_info().currsize, patterns._compiled.cache_info().currsize
    for n in range(50):
        patterns.contains(f"{n}" + "x" * 10_000, "x", case_sensitive=False, whole_words=True)
        patterns.compiled(f"/{n}" + "x" * 10_000 + "/", case_sensitive=False)
    assert (patterns._needle.cache_info().currsize, patterns._compiled.cache_info().currsize) == n_before


RECURSIONS = ["(?R)", "(?0)", "(?1)", "(?&x)", "(?P>x)", "(?P=x)", "(?+1)", "(?-1)", "(?(1)a|b)", "(?(R)a|b)"]
MODES = ["(?x)", "(?ix)", "(?i-x:a)", "(?V1)", "(?e)", "(?b)", "(?r)", "(?#a)", "(?p)", "(?w)"]
VERBS = ["(*FAIL)", "(*PRUNE)", "(*skip)", "(?:cat){e}", "(?:cat){e<=3}", "(?:cat){1<=e<=3}", "(?:cat){2i+1s<=4}"]


@pytest.mark.parametrize("part", [*RECURSIONS, *MODES, *VERBS])
@pytest.mark.parametrize(
    "before", ["", "a", "\\\\", "\\\\\\\\", "\\(\\\\", "\\n", "\\\\\\n", "(a)", "[\\\\]", "(?i:a)", "\\x28"]
)
def test_no_spelling_passes_the_guard_of_patterns(before, part):
    """A backslash that is escaped itself, as in `\\\\(?R)`, does not escape what follows."""
    assert patterns.compiled(f"/{before}{part}/", case_sensitive=False) is None
    assert patterns.compiled(f"/(?<x>{before}(a{part})?)/", case_sensitive=False) is None


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"\(?R", r"\(\?R\)", r"\\\(?R", r"(?:a|b)", r"(?=a)", r"(?!a)", r"(?<=a)b", r"(?<!a)b", r"(?<name>a)"),
        *(r"(?i:a)", r"(?im)a", r"a{2}", r"a{2,}", r"a{2,3}", r"\{e\}", r"\\", r"\bcat\b", r"(?>a)"),
    ],
)
def test_ordinary_patterns_pass_it(pattern):
    assert patterns.compiled(f"/{pattern}/", case_sensitive=False) is not None
