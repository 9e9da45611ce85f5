"""Macros: what each of them stands for, what stays as it was, and that nobody's text can make it slow or fail."""

import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from store.macros import clock_and_dice, resolver
from store.macros.resolver import MAX_INSERTED, MacroBudget, MacroContext, resolve

NOON = 1_800_000_000.0  # whatever hour that is on this machine: the clock of a scene is its local time


def said(text: str, **options) -> str:
    return resolve(text, char="Mara", user="Ada", original="Be kind.", **options)


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("{{char}} greets {{user}}", "Mara greets Ada"),
        ("{{CHAR}} {{ User }}", "Mara Ada"),
        ("<BOT> <bot> <CHAR> <USER>", "Mara Mara Mara Ada"),
        ("a{{// never shown }}b{{//}}c{{comment: {x} }}d{{hidden_key:e}}", "abcd"),
        ("{{// {{user}} and {{what}} }}.", "."),
        ("a{{newline}}b{{noop}}c", "a\nbc"),
        ("a\n\n{{trim}}\n\nb", "ab"),
        ("a\n{{trim}}\n{{TRIM}}\n\n{{ trim }}b\n\nc", "ab\n\nc"),
        ("{{original}} And be brief.", "Be kind. And be brief."),
        ("{{unknown}} {{unknown:{{user}}}} {char} <b>", "{{unknown}} {{unknown:Ada}} {char} <b>"),
        ("{{char: no}} {{random}} {{roll:d0}} {{roll:many}}", "{{char: no}} {{random}} {{roll:d0}} {{roll:many}}"),
        ("<START>", "<START>"),
        ("{{{char}}}", "{Mara}"),
        ("{{ {{user}} }} {{user", "{{ Ada }} {{user"),
        ("}} {{user}} {{", "}} Ada {{"),
        ("{{reverse:abc}} {{reverse::{{user}}}}", "cba adA"),
        ("{{random::{{user}}::Ada}} {{random:tea}} {{random: tea , tea}}", "Ada tea tea"),
        ("{{pick:a\\,b}} {{pick::a,b::a,b}} {{random::,,::,,}}", "a,b a,b ,,"),
        ("{{roll:1}} {{roll:d1}} {{roll::3d1+4}} {{roll 2d1 - 5}} {{ROLL:1D1+1d1}}", "1 1 7 -3 2"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_macros_stand_for(text, resolved):
    assert said(text) == resolved


def test_what_a_macro_inserts_is_not_searched_again_nor_cut():
    assert resolve("{{user}}", char="Mara", user="{{char}}") == "{{char}}"
    assert resolve("{{random::{{user}}}}", char="Mara", user="a::b") == "a::b"
    assert resolve("{{random:{{user}}}}", char="Mara", user="a,b") == "a,b"


def test_unknown_macros_go_when_nobody_wants_them():
    assert said("a{{unknown}}b{{unknown:{{user}}}}c{{char}}{{ open", keep_unknown=False) == "abcMara{{ open"


def test_the_scene_tells_its_texts_and_is_asked_only_when_needed():
    def refused() -> str:
        raise AssertionError("nobody wanted this")

    context = MacroContext({"description": lambda: "An inn-keeper.", "scenario": refused})
    assert said("{{Description}} {{lastMessage}}", context=context) == "An inn-keeper. {{lastMessage}}"


def test_the_clock_tells_the_time_of_the_scene():
    told = said("{{isodate}}|{{isotime}}|{{weekday}}|{{date}}|{{time}}", context=MacroContext(now=NOON))
    shape = r"2027-01-1\d\|\d\d:\d\d\|(Thurs|Fri)day\|January 1\d, 2027\|\d{1,2}:\d\d [AP]M"
    assert re.fullmatch(shape, told)
    assert said("{{time}} {{date}}", context=MacroContext(now=1e300)) == said(
        "{{time}} {{date}}", context=MacroContext(now=9e99)
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "a few seconds"), (59, "a few seconds"), (60, "a minute"), (150, "2 minutes"), (3600, "an hour"),
     (8000, "2 hours"), (86_400, "a day"), (864_000, "10 days"), (-5, "a few seconds")],
)  # fmt: skip
def test_lengths_of_time(seconds, words):
    assert clock_and_dice.duration_text(seconds) == words


@given(st.integers(1, 20), st.integers(1, 100), st.integers(0, 50))
def test_dice_stay_within_their_sides(n, sides, more):
    assert n + more <= int(said(f"{{{{roll:{n}d{sides}+{more}}}}}")) <= n * sides + more


def test_every_option_comes_up_and_no_other():
    assert {said("{{random:a,b,c}}") for _ in range(200)} == {"a", "b", "c"}
    assert {said("{{roll:d3}}") for _ in range(200)} == {"1", "2", "3"}


def test_pick_is_of_one_mind_and_replayed_dice_too():
    text = "{{pick:a,b,c}}{{pick:a,b,c}}{{pick:a,b,c}}{{pick:a,b,c}}"
    assert len({said(text, context=MacroContext(seed="one")) for _ in range(20)}) == 1
    assert len({said(text, context=MacroContext(seed=str(n))) for n in range(20)}) > 5
    assert len(set(said(text.replace("c", "d"), context=MacroContext(seed="7")))) > 1  # each place has its own mind
    dice = "{{roll:d1000}} {{random:a,b,c}}"
    assert len({said(dice, context=MacroContext(seed="one", deterministic=True)) for _ in range(20)}) == 1
    assert len({said(dice, context=MacroContext(seed="one")) for _ in range(20)}) > 1


def test_what_moves_can_be_found():
    context = MacroContext(volatile_as="MOVES")
    assert (
        said("{{user}} {{time}} {{roll:6}} {{pick:a,b}} {{unknown}}", context=context)
        == "Ada MOVES MOVES MOVES {{unknown}}"
    )


WORDS = st.sampled_from(
    ["{{", "}}", "{", "}", "<user>", "char", "random", "pick", "roll", "reverse", "::", ":", ",", "\\,", "2d6", "time",
     "trim", "\n", "//", "comment", " ", "x", "é", "\0", "{{user}}", "lastMessage", "<START>", "original", "\ud800"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=60).map("".join))
@example("{{{{noop}}user}}")
def test_resolving_is_total_and_repeats_itself(text):
    context = MacroContext({"lastmessage": lambda: "{{user}} }} {{random::a::b}}"}, NOON, "seed", deterministic=True)
    once = said(text, context=context)
    assert once == said(text, context=context)
    assert len(once) <= 40 * len(text) + 40


@given(st.text(st.characters(exclude_characters="{}<>"), max_size=100))
def test_text_without_macros_stays(text):
    assert said(text) == text


@given(st.text(st.characters(exclude_categories=()), max_size=100))
def test_text_that_was_resolved_and_holds_no_braces_any_more_stays_for_ever(text):
    once = said(text)
    assert "{{" in once or "<" in once or said(once) == once


HOSTILE = {
    "openings": "{{" * 50_000,
    "named openings": "{{a" * 33_000,
    "nested to the end": "{{a" * 20_000 + "}}" * 20_000,
    "nested reversals": "{{reverse:" * 5_000 + "x" * 40_000 + "}}" * 5_000,
    "nested choices": "{{random:" * 5_000 + "a," * 20_000 + "}}" * 5_000,
    "line ends": "\n" * 100_000,
    "half a trim": "{{trim" * 16_000,
    "line ends and half trims": "\n\n{{ trim" * 10_000,
    "spaces": "{{" + " " * 100_000,
    "options": "{{random:" + "a," * 50_000 + "}}",
    "tags": "<user" * 20_000,
    "closings": "}}" * 50_000,
    "comments": "{{//" * 20_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_come_through_in_a_bounded_number_of_steps(name):
    """Each macro is looked at once: what the resolver keeps open stays small, whatever the text."""
    text = HOSTILE[name]
    assert len(said(text)) <= len(text)


def test_what_is_inserted_is_bounded_and_the_rest_stays_as_it_is_written():
    context = MacroContext({"description": lambda: "x" * 20_000})
    for macro in ("{{description}}", "{{reverse:{{description}}}}"):
        text = macro * 5_000
        said_now = said(text, context=context)
        assert len(said_now) <= MAX_INSERTED + len(text)
        assert said_now.endswith("{{description}}" if macro == "{{description}}" else "}}")
    assert said("{{user}}", context=MacroContext(budget=MacroBudget(letters=2))) == "{{user}}"
    assert said("<user>", context=MacroContext(budget=MacroBudget(letters=2))) == "<user>"
    assert resolver.MAX_DEPTH < 20


def test_a_text_of_the_scene_is_asked_for_once():
    asked = []
    context = MacroContext({"description": lambda: asked.append(1) or "An inn-keeper."})
    assert said("{{description}}" * 500, context=context) == "An inn-keeper." * 500
    assert len(asked) == 1


def test_the_dice_of_a_text_are_bounded_and_the_rest_stays_as_it_is_written(monkeypatch):
    rolled = []
    monkeypatch.setattr(random.Random, "randint", lambda self, low, high: rolled.append(high) or 1)
    most = "+".join(["999d6"] * 8)
    text = f"{{{{roll:{most}}}}}" * 400
    told = said(text, context=MacroContext(deterministic=True))
    assert told.startswith("7992{{roll:")
    assert len(rolled) <= clock_and_dice.MOST_DICE
    assert said("{{roll:d6}}{{roll:d6}}", context=MacroContext(budget=MacroBudget(dice=1))) == "1{{roll:d6}}"


def test_texts_share_a_budget():
    context = MacroContext(budget=MacroBudget(letters=7))
    assert [said("{{user}}", context=context) for _ in range(3)] == ["Ada", "Ada", "{{user}}"]
