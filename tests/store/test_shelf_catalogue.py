"""The catalogue of models: every entry can be asked for, and holds nothing that only the hub can know."""

import re
from urllib.parse import urlsplit

from store.shelf import catalogue

GIB = 1 << 30
REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
FILE = re.compile(r"[A-Za-z0-9][\w.*-]*\.gguf", re.ASCII)


def test_every_entry_is_whole():
    for one in catalogue.entries():
        assert REPO.fullmatch(one.repo)
        assert FILE.fullmatch(one.file)
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", one.date)
        assert urlsplit(one.source).scheme == "https"
        assert one.licence
        assert one.languages
        assert re.search(r"[\u4e00-\u9fff]", one.sentence("zh"))
        assert one.sentence("xx") == one.sentence("en")


def test_every_card_has_a_choice_of_models_of_more_than_one_kind():
    for size in catalogue.CARDS_GB:
        fitting = [one for one in catalogue.entries() if size in one.cards]
        assert len(fitting) >= 3
        assert len({one.kind for one in fitting}) > 1
        assert any("中文" in one.languages for one in fitting)


def test_no_size_commit_or_checksum_stands_in_it():
    """Nobody has seen them: they come from the hub's tree."""
    text = (catalogue._FILE).read_text(encoding="utf-8")
    assert not re.search(r"[0-9a-f]{40}", text)
    assert not re.search(r'"(size|sha256|commit|revision)"', text)


def test_it_is_searched_by_words():
    assert [one.id for one in catalogue.search("ministral 8b")] == ["ministral-3-8b"]
    assert {one.kind for one in catalogue.search("HYBRID 中文")} == {"hybrid"}
    assert catalogue.search("no such model") == ()
    assert catalogue.search("") == catalogue.entries()


def test_an_entry_is_found_by_its_id():
    assert catalogue.find(" Gemma-4-12B ").repo == "unsloth/gemma-4-12b-it-GGUF"
    assert catalogue.find("toy") is None


def test_a_card_counts_as_the_size_that_it_nearly_has():
    """What a driver leaves free of 8 GB is less than 8 GB."""
    sizes = {0: 4, 3 * GIB: 4, 5.7 * GIB: 6, 7.2 * GIB: 8, 11.2 * GIB: 12, 80 * GIB: 12}
    assert {n_bytes: catalogue.card_size(n_bytes) for n_bytes in sizes} == sizes
