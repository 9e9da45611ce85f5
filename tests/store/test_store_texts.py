import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import texts
from store.views import pack_tokens, unpack_tokens


def any_text():
    return st.text(st.characters(exclude_categories=()), max_size=80)


@given(any_text())
def test_clean_text_can_be_kept_everywhere(text):
    cleaned = texts.clean(text)
    cleaned.encode("utf-8")
    assert "\0" not in cleaned
    assert "\r" not in cleaned
    assert texts.clean(cleaned) == cleaned


def test_a_broken_pair_is_replaced_and_a_whole_one_joined():
    assert texts.clean("\ud83d") == "\ufffd"
    assert texts.clean("\ud83d\ude00") == "😀"


@given(any_text())
def test_a_clean_name_is_short_visible_and_has_a_stable_key(text):
    name = texts.clean_name(text)
    assert len(name) <= texts.MAX_NAME
    assert name == texts.clean_name(name)
    if name:
        assert texts.name_key(name) == texts.name_key(name.upper().lower()) or not name.isascii()


@pytest.mark.parametrize(("one", "other"), [("Ada", "aDA"), ("Ａｄａ", "ada"), ("Ada  L", " ada l "), ("é", "é")])
def test_names_that_look_the_same_have_one_key(one, other):
    assert texts.name_key(one) == texts.name_key(other)


@pytest.mark.parametrize("name", ["", "  ", "a" * 41, "a\u200bb", "\u202eada"])
def test_bad_names_are_empty(name):
    assert texts.clean_name(name) == ""


@given(st.none() | st.lists(st.integers(-(2**31), 2**31 - 1)).map(tuple))
def test_tokens_survive_packing(tokens):
    assert unpack_tokens(pack_tokens(tokens)) == tokens


def test_tokens_are_four_bytes_little_endian():
    assert pack_tokens((1, 258)) == b"\x01\0\0\0\x02\x01\0\0"
