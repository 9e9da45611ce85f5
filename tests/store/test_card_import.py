"""Who may bring cards along, what happens to a second copy, and how a character is named and rated."""

import pytest
from card_files import DATA, as_json, v3

from store import card_import, characters, export, quotas
from store.cards.files import read_card, write_json
from store.cards.stored_card import is_same, notes_of, with_tagline
from store.errors import NotFound, Refused


def card(**changes):
    return read_card(as_json(v3({**DATA, **changes})), "Mo_file.json").card


def names(database, user):
    return [one.name for one in characters.list_characters(database, user) if one.owner_id]


def test_a_card_becomes_a_character_that_only_adults_see(database, user):
    brought = card_import.import_card(database, user, card())
    assert (brought.character.name, brought.character.rating, brought.duplicate_of) == ("Mo", "adult", None)
    assert characters.get_character(database, user, brought.character.id).card == card()


@pytest.mark.parametrize("role", ["teen", "child"])
def test_only_adults_bring_cards(database, make_user, role):
    kim = make_user("Kim", role)
    with pytest.raises(Refused) as refused:
        card_import.import_card(database, kim, card())
    assert refused.value.code == "adults_bring"
    assert names(database, kim) == []


def test_a_card_of_before_is_held_back_until_a_second_copy_is_wanted(database, user):
    first = card_import.import_card(database, user, card()).character
    second = card_import.import_card(database, user, card())
    assert second.duplicate_of.id == first.id
    assert names(database, user) == ["Mo"]
    assert card_import.import_card(database, user, card()).character.id == second.character.id, (
        "one held back is enough"
    )
    kept = card_import.keep_copy(database, user, second.character.id, now=5.0)
    assert names(database, user) == ["Mo", "Mo"]
    assert card_import.keep_copy(database, user, kept.id, now=9.0).created_at == 5.0, "twice is once"


def test_a_card_is_known_as_it_came_and_as_it_is_now(database, user):
    first = card_import.import_card(database, user, card()).character
    changed = card_import.finish_import(database, user, first, "Moritz", "teen")
    assert (changed.name, changed.rating, changed.card["name"]) == ("Moritz", "teen", "Moritz")
    out = read_card(write_json(with_tagline(changed.card, changed.tagline)), "x").card
    for again in (card(), out):
        assert card_import.import_card(database, user, again).duplicate_of.id == first.id
    assert card_import.import_card(database, user, card(creator="Bo")).duplicate_of is None


def test_one_person_does_not_meet_the_cards_of_another(database, user, make_user):
    theirs = card_import.import_card(database, user, card()).character
    bo = make_user("Bo")
    assert card_import.import_card(database, bo, card()).duplicate_of is None
    with pytest.raises(NotFound):
        card_import.keep_copy(database, bo, theirs.id)
    with pytest.raises(NotFound):
        card_import.finish_import(database, bo, theirs, "Mine", "adult")


def test_a_name_that_was_missing_is_given(database, user):
    made = card_import.import_card(database, user, card(name="")).character
    assert made.name == "Mo file"
    assert [note.reason for note in notes_of(made.card)] == ["no_name"]
    named = card_import.finish_import(database, user, made, "Momo", "everyone")
    assert (named.name, notes_of(named.card)) == ("Momo", ())
    assert is_same(named.card, card(name="")), "the same file is still known"


def test_the_name_of_the_file_may_stay(database, user):
    made = card_import.import_card(database, user, card(name="")).character
    kept = card_import.finish_import(database, user, made, made.name, "adult")
    assert (kept.name, notes_of(kept.card)) == ("Mo file", ())
    with pytest.raises(Refused) as refused:
        card_import.finish_import(database, user, kept, " ", "adult")
    assert refused.value.code == "bad_card"


def test_ones_own_data_has_whole_cards(database, user):
    card_import.import_card(database, user, read_card(as_json(v3(DATA, own=1)), "x").card)
    assert export.export_account(database, user.id)["characters"] == [v3(DATA, own=1)]


def test_the_house_is_full_at_some_time(database, user, monkeypatch):
    card_import.import_card(database, user, card())
    second = card_import.import_card(database, user, card()).character
    monkeypatch.setattr(card_import, "MAX_CHARACTERS", 1)
    for one_more in (
        lambda: card_import.import_card(database, user, card(creator="Bo")),
        lambda: card_import.keep_copy(database, user, second.id),
    ):
        with pytest.raises(Refused) as refused:
            one_more()
        assert refused.value.code == "too_many_characters"


def test_a_second_copy_counts_for_what_all_characters_may_take(database, user, monkeypatch):
    card_import.import_card(database, user, card())
    second = card_import.import_card(database, user, card()).character
    monkeypatch.setattr(quotas, "MAX_JSON_MB", 0)
    with pytest.raises(Refused) as refused:
        card_import.keep_copy(database, user, second.id)
    assert refused.value.code == "quota"
    assert names(database, user) == ["Mo"]


def test_a_long_chinese_card_has_room(database, user):
    long = card(description="猫" * 340_000)
    made = card_import.import_card(database, user, long).character
    assert (made.locale, len(made.card["description"])) == ("zh", 340_000)
    assert (
        card_import.import_card(database, user, card(first_mes="喵", description="Cat " * 9)).character.locale == "en"
    )


def test_the_tagline_of_an_export_comes_back(database, user):
    made = card_import.import_card(
        database, user, read_card(write_json(with_tagline(DATA, "Purrs.")), "x").card
    ).character
    assert made.tagline == "Purrs."
