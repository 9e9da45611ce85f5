"""The form of a character: a card goes through it and only what was changed is different."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from store.bundled import read_files as bundled
from store.views import CharacterView
from tests.harness.soak import n_examples
from web.characters import card_form, tags

ODD = {
    "name": "Mo",
    "description": "Two\r\nlines \t",
    "personality": None,
    "first_mes": "\nHello\r",
    "tags": "cats, COSY ,cats",
    "alternate_greetings": "only one",
    "character_book": {"entries": [{"keys": ["a"], "content": "b", "extensions": {"x": [1, None]}}]},
    "nickname": "Momo",
    "assets": [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}],
    "creation_date": 1700000000,
    "extensions": {
        "depth_prompt": {"prompt": "p", "depth": 4},
        "inglenook": {"more": True, "status": [{"name": "Mood", "type": "text", "odd": 1}, "junk", {"name": 7}]},
    },
}


def character(card, **changes):
    values = {
        "id": "0" * 32,
        "slug": None,
        "owner_id": "1" * 32,
        "name": "Mo",
        "tagline": "",
        "card": card,
        "avatar": "",
    }
    return CharacterView(**{**values, "rating": "everyone", "locale": "en", "created_at": 0.0, **changes})


def sent(form, **changes):
    """What a browser sends of a form that shows this: line ends as CR LF."""
    pairs = [("name", form.name), ("tagline", form.tagline), ("rating", form.rating), ("locale", form.locale)]
    pairs += [("wants_model", form.wants_model)]
    pairs += [("tags", form.tags), *form.texts.items(), *(("greeting", one) for one in form.greetings)]
    for row in form.status:
        pairs += [(f"status_{key}", value) for key, value in vars(row).items()]
    kept = [(key, value) for key, value in pairs if key not in changes] + list(changes.items())
    return MultiDict([(key, value.replace("\n", "\r\n")) for key, value in kept])


def through(card, **changes):
    before = card_form.form_of(character(card))
    return card_form.merge_into(card, before, card_form.read_form(sent(before, **changes)))


@pytest.mark.parametrize("card", [ODD, *(content["data"] for _, content in bundled()), {"name": "Mo"}])
def test_a_card_that_nobody_changed_is_the_same(card):
    before = copy.deepcopy(card)
    assert through(card) == before == card


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=n_examples(20, 1000), deadline=None)
@given(st.dictionaries(st.sampled_from([*card_form.BLANK, "assets", "x"]), JSON))
def test_no_card_is_too_odd(card):
    card = {"name": "Mo", **card}
    assert through(card) == card


def test_a_change_changes_only_itself():
    changed = through(ODD, personality="Sly.")
    assert changed == {**ODD, "personality": "Sly."}
    assert through(ODD, tags="cats, sea")["tags"] == ["cats", "sea"]
    assert through(ODD, tags="")["tags"] == []
    assert through(ODD, greeting="Another")["alternate_greetings"] == ["Another"]


def test_the_model_that_a_character_wants_is_a_line_of_its_own():
    made = through(ODD, wants_model="  Qwen,\n Gemma 4 ")["extensions"]
    assert made["inglenook"] == {**ODD["extensions"]["inglenook"], "wants_model": "Qwen, Gemma 4"}
    assert through({**ODD, "extensions": made}, wants_model="")["extensions"] == ODD["extensions"]
    odd = {**ODD, "extensions": {"inglenook": {"wants_model": ["Qwen"]}}}
    assert through(odd) == odd


def test_other_status_fields_leave_other_extensions_alone():
    row = {"status_name": "Feeling", "status_type": "text", "status_source": "0"}
    blank = {f"status_{key}": "" for key in ("unit", "minimum", "maximum", "options", "max_length")}
    before = card_form.form_of(character(ODD))
    after = card_form.read_form(MultiDict({**row, **blank, "name": "Mo"}))
    made = card_form.merge_into(ODD, before, after)["extensions"]
    assert made["depth_prompt"] == ODD["extensions"]["depth_prompt"]
    assert made["inglenook"] == {"more": True, "status": [{"name": "Feeling", "type": "text", "odd": 1}]}
    without = card_form.merge_into(ODD, before, card_form.read_form(MultiDict({"name": "Mo"})))
    assert without["extensions"]["inglenook"] == {"more": True}


@pytest.mark.parametrize(
    ("row", "sound"),
    [
        ({"type": "integer", "minimum": "1", "maximum": "9", "unit": "%"}, True),
        ({"type": "integer"}, True),
        ({"type": "integer", "minimum": "9", "maximum": "1"}, False),
        ({"type": "integer", "minimum": "nine"}, False),
        ({"type": "one_of", "options": "a, b"}, True),
        ({"type": "one_of", "options": " , "}, False),
        ({"type": "text", "max_length": "121"}, False),
        ({"type": "picture"}, False),
        ({"name": 'a"b'}, False),
    ],
)
def test_status_fields_are_checked(row, sound):
    form = card_form.CardForm(status=(card_form.StatusRow(**{"name": "Mood", **row}),))
    assert form.wrong_rows() == (set() if sound else {0})


def test_two_status_fields_of_one_name_are_one_too_many():
    rows = tuple(card_form.StatusRow(name=name) for name in ("Mood", "Place", " mood "))
    assert card_form.CardForm(status=rows).wrong_rows() == {2}


def test_tags():
    assert tags.split_tags(" sea ,海，Sea、茶;\x00") == ("sea", "海", "茶")
    assert tags.tags_of({"tags": ["a, b", 3, "A"]}) == ("a", "b", "3")
    assert tags.tags_of({"tags": {"x": 1}}) == ()
    assert len(tags.split_tags(",".join(map(str, range(99))))) == tags.MAX_TAGS
