"""The model that a card wants."""

import pytest

from store.wanted_model import MAX_CHARS, is_met, wanted_model

ANSWERING = "Qwen3.5 9B qwen3.5-9b-q4_k_m.gguf"


@pytest.mark.parametrize(
    ("hint", "met"),
    [
        ("", True), ("qwen", True), ("Q4_K_M", True), ("Gemma 4, Qwen3.5", True), ("Gemma，QWEN", True), (" , ", True),
        ("Gemma", False), ("Gemma 4、Nemo", False), ("Qwen3.5 4B", False),
    ],
)  # fmt: skip
def test_one_of_its_parts_is_enough(hint, met):
    assert is_met(hint, ANSWERING) == met


@pytest.mark.parametrize("extensions", [None, [], {"inglenook": []}, {"inglenook": {"wants_model": 7}}])
def test_a_card_without_one_wants_nothing(extensions):
    assert wanted_model({"extensions": extensions}) == ""


def test_it_is_one_short_line():
    card = {"extensions": {"inglenook": {"wants_model": "a\n b\x00" + 900 * "c"}}}
    assert wanted_model(card).startswith("a b")
    assert len(wanted_model(card)) == MAX_CHARS
