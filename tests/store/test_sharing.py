"""Sharing of characters and lorebooks: who sees what, ratings, what is withdrawn, and what children ask for."""

import json

import pytest

from store import accounts, card_import, characters, chats, export, personas, pictures
from store.cards.files import read_card
from store.errors import NotFound, Refused
from store.lore import books
from store.models import Character, Share, Wish
from store.sharing import shares, wishes

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20
BOOK = {"entries": [{"keys": ["inn"], "content": "It leaks."}]}


def refusal(call, *arguments, **options):
    with pytest.raises(Refused) as refused:
        call(*arguments, **options)
    return refused.value.code


@pytest.fixture
def somebody(database, make_user):
    def make(name, role="adult"):
        return accounts.set_role(database, make_user(name).id, role)

    return make


@pytest.fixture
def family(somebody):
    return {name: somebody(name, role) for name, role in (("Ada", "adult"), ("Bo", "teen"), ("Kim", "child"))}


def sees(database, user, name):
    return name in [one.name for one in characters.list_characters(database, user)]


def make(database, user, name="Mo", rating="everyone", **more):
    return characters.save_character(database, user, {"name": name, "description": "A cat."}, rating=rating, **more)


@pytest.mark.parametrize(
    ("rating", "readers"), [("everyone", ["Bo", "Kim"]), ("teen", ["Bo"]), ("adult", [])], ids=lambda value: str(value)
)
def test_a_character_for_the_house_is_seen_by_all_whose_age_it_is_for(database, family, rating, readers):
    made = make(database, family["Ada"], rating=rating)
    assert not any(sees(database, one, "Mo") for one in (family["Bo"], family["Kim"]))
    shares.share(database, family["Ada"], "character", made.id, "house")
    assert [name for name in ("Bo", "Kim") if sees(database, family[name], "Mo")] == readers
    for name in ("Bo", "Kim"):
        if name in readers:
            assert characters.get_character(database, family[name], made.id).card["description"] == "A cat."
            assert chats.create_chat(database, family[name].id, made.id, name).character_name == "Mo"
        else:
            with pytest.raises(NotFound):
                chats.create_chat(database, family[name].id, made.id, name)


def test_chosen_people_see_it_and_nobody_else(database, family, somebody):
    made, eve = make(database, family["Ada"], picture=PNG), somebody("Eve")
    shares.share(database, family["Ada"], "character", made.id, "people", [family["Kim"].id])
    picture = made.avatar.removeprefix(pictures.PREFIX)
    assert sees(database, family["Kim"], "Mo")
    assert pictures.get_picture_for(database, family["Kim"], picture).data == PNG
    assert shares.read(database, family["Ada"].id, "character", made.id).people == {family["Kim"].id}
    for other in (family["Bo"], eve):
        assert not sees(database, other, "Mo")
        with pytest.raises(NotFound):
            pictures.get_picture_for(database, other, picture)


def test_only_its_owner_changes_and_shares_it(database, family):
    made, kim = make(database, family["Ada"]), family["Kim"]
    shares.share(database, family["Ada"], "character", made.id, "house")
    for call in (
        lambda: characters.save_character(database, kim, {"name": "Mine"}, character_id=made.id),
        lambda: characters.delete_character(database, kim, made.id),
        lambda: shares.share(database, kim, "character", made.id, "private"),
        lambda: shares.read(database, kim.id, "character", made.id),
        lambda: books.change_own_book(database, kim.id, made.id, BOOK),
    ):
        with pytest.raises(NotFound):
            call()
    assert sees(database, family["Bo"], "Mo")


def test_what_is_withdrawn_stays_in_stories_as_it_was(database, family):
    ada, kim = family["Ada"], family["Kim"]
    made = make(database, ada, picture=PNG)
    shares.share(database, ada, "character", made.id, "house")
    chat = chats.create_chat(database, kim.id, made.id, "Kim")
    shares.share(database, ada, "character", made.id, "private")
    characters.save_character(database, ada, {"name": "Mo", "description": "A secret."}, character_id=made.id)
    assert not sees(database, kim, "Mo")
    kept = characters.character_of_chat(database, kim, chat.id)
    assert (kept.card["description"], chats.load_story(database, chat.id).character.card["description"]) == (
        *("A cat.", "A cat."),
    )
    assert pictures.get_picture_for(database, kim, kept.avatar.removeprefix(pictures.PREFIX)).data == PNG
    assert [one.id for one in chats.list_chats(database, kim.id)] == [chat.id]
    assert characters.character_of_chat(database, kim, chat.id).owner_id == kim.id
    characters.delete_character(database, ada, made.id)
    assert chats.get_chat(database, kim.id, chat.id).character_name == "Mo"


def test_a_character_that_others_play_with_can_be_deleted_and_so_can_its_owner(database, family):
    ada, kim = family["Ada"], family["Kim"]
    first, second = make(database, ada, "Mo", picture=PNG), make(database, ada, "Tom")
    shares.share(database, ada, "character", first.id, "house")
    shares.share(database, ada, "character", second.id, "people", [kim.id])
    stories = [chats.create_chat(database, kim.id, one.id, "Kim") for one in (first, second)]
    book = books.add_book(database, ada.id, BOOK, "Inns")
    shares.share(database, ada, "lorebook", book.id, "house")
    books.attach(database, kim.id, stories[1].id, [book.id])
    characters.delete_character(database, ada, first.id)
    accounts.delete_account(database, ada.id)
    assert accounts.get_user(database, ada.id) is None
    for chat, name in zip(stories, ("Mo", "Tom"), strict=True):
        assert characters.character_of_chat(database, kim, chat.id).name == name
    assert [one.name for one in chats.load_story(database, stories[1].id).books] == ["Inns"]
    accounts.delete_account(database, kim.id)
    with database.reading() as session:
        assert session.query(Share).count() == session.query(Wish).count() == 0
        assert session.query(Character).filter(Character.owner_id.is_not(None)).count() == 0


def test_a_lorebook_is_shared_used_and_stays_when_it_is_withdrawn(database, family):
    ada, kim = family["Ada"], family["Kim"]
    mine = chats.create_chat(database, kim.id, characters.list_characters(database, kim)[0].id, "Kim")
    book = books.add_book(database, ada.id, BOOK, "Inns")
    with pytest.raises(NotFound):
        books.attach(database, kim.id, mine.id, [book.id])
    shares.share(database, ada, "lorebook", book.id, "people", [kim.id])
    books.attach(database, kim.id, mine.id, [book.id])
    assert [name for _, name, _ in books.list_shared(database, kim)] == ["Inns"]
    assert books.see_book(database, kim, book.id).data == BOOK
    for call in (
        lambda: books.change_book(database, kim.id, book.id, name="Mine"),
        lambda: books.delete_book(database, kim.id, book.id),
        lambda: books.get_book(database, kim.id, book.id),
        lambda: books.see_book(database, family["Bo"], book.id),
    ):
        with pytest.raises(NotFound):
            call()
    shares.share(database, ada, "lorebook", book.id, "private")
    books.change_book(database, ada.id, book.id, {"entries": []})
    (kept,) = chats.load_story(database, mine.id).books
    assert (kept.name, kept.data) == ("Inns", BOOK)
    assert books.list_shared(database, kim) == books.list_books(database, kim.id) == ()
    assert books.list_names(database, kim, mine.id) == ((kept.id, "Inns"),)
    books.attach(database, kim.id, mine.id, [kept.id])
    assert books.list_names(database, kim) == ()
    books.delete_book(database, ada.id, book.id)
    assert len(chats.load_story(database, mine.id).books) == 1


def test_a_lorebook_for_adults_is_not_told_to_a_child(database, family):
    ada, bo = family["Ada"], family["Bo"]
    mine = chats.create_chat(database, bo.id, characters.list_characters(database, bo)[0].id, "Bo")
    book = books.add_book(database, ada.id, BOOK, "Inns")
    shares.share(database, ada, "lorebook", book.id, "house", rating="adult")
    assert books.list_shared(database, bo) == ()
    shares.share(database, ada, "lorebook", book.id, "house", rating="teen")
    books.attach(database, bo.id, mine.id, [book.id])
    assert len(chats.load_story(database, mine.id).books) == 1
    accounts.set_role(database, bo.id, "child")
    assert chats.load_story(database, mine.id).books == ()


def test_who_is_not_grown_up_shares_with_adults(database, family):
    bo, kim, ada = family["Bo"], family["Kim"], family["Ada"]
    made = make(database, bo)
    assert [one.name for one in shares.readers(database, bo)] == ["Ada"]
    assert refusal(shares.share, database, bo, "character", made.id, "house") == "share_with_adults"
    assert refusal(shares.share, database, bo, "character", made.id, "people", [kim.id]) == "share_with_adults"
    shares.share(database, bo, "character", made.id, "people", [ada.id])
    assert sees(database, ada, "Mo")
    theirs = make(database, ada, "Tom")
    shares.share(database, ada, "character", theirs.id, "house")
    accounts.set_role(database, ada.id, "teen")
    assert not sees(database, kim, "Tom"), "no longer from an adult"


@pytest.mark.parametrize(
    ("audience", "people", "code"),
    [("people", [], "share_with_whom"), ("everybody", [], "bad_audience"), ("", ["x"], "bad_audience")],
)
def test_sharing_that_makes_no_sense_is_refused(database, family, audience, people, code):
    made = make(database, family["Ada"])
    assert refusal(shares.share, database, family["Ada"], "character", made.id, audience, people) == code
    for wrong in (["0" * 32], [family["Ada"].id]):
        with pytest.raises(NotFound):
            shares.share(database, family["Ada"], "character", made.id, "people", wrong)
    assert shares.read(database, family["Ada"].id, "character", made.id) == shares.Sharing()


def test_what_one_person_may_share_is_bounded(database, family, monkeypatch):
    monkeypatch.setattr(shares, "MAX_SHARED", 1)
    ada = family["Ada"]
    first, second = make(database, ada, "Mo"), make(database, ada, "Tom")
    shares.share(database, ada, "character", first.id, "house")
    assert refusal(shares.share, database, ada, "character", second.id, "house") == "too_many_shared"
    monkeypatch.setattr(shares, "MAX_SHARED_MB", 0)
    assert refusal(make, database, ada, "Mo", character_id=first.id) == "too_many_shared"


def test_a_child_asks_and_an_adult_grants(database, family):
    ada, kim = family["Ada"], family["Kim"]
    noir, fire, mo = make(database, ada, "Noir", rating="adult"), make(database, ada, "Ember Fox"), make(database, ada)
    wishes.ask(database, kim, " I want to meet the   fox \n", 1.0)
    (wish,) = wishes.list_open(database, ada)
    assert (wish.who, wish.text) == ("Kim", "I want to meet the fox")
    own = characters.list_own(database, ada)
    assert [one.id for one in wishes.grantable(own, wish)] == [fire.id, mo.id]
    assert refusal(wishes.grant, database, ada, wish.id, noir.id) == "wish_rated"
    assert refusal(wishes.grant, database, family["Bo"], wish.id, fire.id) == "adults_grant"
    granted = wishes.grant(database, ada, wish.id, fire.id, 2.0)
    assert (granted.who, granted.character) == ("Kim", "Ember Fox")
    assert sees(database, kim, "Ember Fox")
    assert not sees(database, family["Bo"], "Ember Fox")
    assert wishes.list_open(database, ada) == ()
    (answered,) = wishes.list_own(database, kim)
    assert (answered.state, answered.character, answered.by) == ("granted", "Ember Fox", "Ada")
    with pytest.raises(NotFound):
        wishes.grant(database, ada, wish.id, mo.id)


def test_the_likeliest_character_stands_first_in_both_languages(database, family):
    ada, kim = family["Ada"], family["Kim"]
    for name in ("Ann", "Old Oak", "小狐狸", "长风"):
        make(database, ada, name)
    own = characters.list_own(database, ada)
    for text, name in (("一只会讲笑话的狐狸", "小狐狸"), ("an OAK that talks", "Old Oak"), ("anybody", "Ann")):
        wishes.ask(database, kim, text, 1.0)
        (wish,) = wishes.list_open(database, ada)
        assert wishes.grantable(own, wish)[0].name == name
        wishes.take_back(database, kim, wish.id)


def test_wishes_are_bounded_declined_and_taken_back(database, family):
    ada, bo = family["Ada"], family["Bo"]
    for text, code in (("", "wish_empty"), ("x" * 201, "wish_long")):
        assert refusal(wishes.ask, database, bo, text) == code
    assert refusal(wishes.ask, database, ada, "a fox") == "grown_ups"
    for number in range(wishes.MAX_OPEN):
        wishes.ask(database, bo, f"fox {number}", float(number))
    assert refusal(wishes.ask, database, bo, "one more") == "too_many_wishes"
    first, second, *_ = wishes.list_open(database, ada)
    wishes.decline(database, ada, first.id, 9.0)
    assert wishes.list_own(database, bo)[-1].state == "declined"
    with pytest.raises(NotFound):
        wishes.take_back(database, family["Kim"], second.id)
    wishes.take_back(database, bo, second.id)
    assert len(wishes.list_open(database, ada)) == wishes.MAX_OPEN - 2
    assert wishes.list_open(database, bo) == ()


def test_what_is_shared_and_asked_for_is_in_the_export(database, family):
    ada, kim = family["Ada"], family["Kim"]
    personas.save_persona(database, ada.id, "Captain", "A sailor.")
    made = make(database, ada)
    shares.share(database, ada, "character", made.id, "people", [kim.id])
    wishes.ask(database, kim, "a fox", 1.0)
    assert export.export_account(database, ada.id)["shared"] == [{"name": "Mo", "with": "people", "people": ["Kim"]}]
    theirs = export.export_account(database, kim.id)
    assert theirs["wishes"] == [{"text": "a fox", "state": "open", "created_at": 1.0}]
    assert "A cat." not in json.dumps(theirs), "what others share is not hers"


def test_a_grant_counts_what_is_shared_in_bytes_as_well(database, family, monkeypatch):
    monkeypatch.setattr(shares, "MAX_SHARED_MB", 0)
    ada, kim = family["Ada"], family["Kim"]
    made = make(database, ada)
    wishes.ask(database, kim, "a cat")
    (wish,) = wishes.list_open(database, ada)
    assert refusal(wishes.grant, database, ada, wish.id, made.id) == "too_many_shared"
    assert not sees(database, kim, "Mo")


def test_what_was_withdrawn_is_not_taken_out_of_hiding(database, family):
    """A keepsake of an imported card looked like a duplicate that an import had held back."""
    ada, kim = family["Ada"], family["Kim"]
    card = read_card(
        json.dumps({"spec": "chara_card_v2", "data": {"name": "Mo", "description": "A cat."}}).encode(), ""
    )
    brought = card_import.import_card(database, ada, card.card).character
    made = card_import.finish_import(database, ada, brought, "Mo", "everyone")
    shares.share(database, ada, "character", made.id, "house")
    chat = chats.create_chat(database, kim.id, made.id, "Kim")
    shares.share(database, ada, "character", made.id, "private")
    kept = characters.character_of_chat(database, kim, chat.id)
    assert kept.card["description"] == "A cat."
    with pytest.raises(NotFound):
        card_import.keep_copy(database, kim, kept.id)
    assert not sees(database, kim, "Mo")


def test_a_wish_names_no_character_that_is_not_seen_any_more(database, family):
    ada, kim = family["Ada"], family["Kim"]
    made = make(database, ada)
    wishes.ask(database, kim, "a cat")
    wishes.grant(database, ada, wishes.list_open(database, ada)[0].id, made.id)
    shares.share(database, ada, "character", made.id, "private")
    assert [one.character for one in wishes.list_own(database, kim)] == [""]


def test_an_own_lorebook_above_ones_age_is_closed_and_not_exported(database, family):
    bo = family["Bo"]
    book = books.add_book(database, bo.id, BOOK, "Inns", rating="teen")
    assert books.get_book(database, bo.id, book.id).rating == "teen"
    accounts.set_role(database, bo.id, "child")
    assert books.list_books(database, bo.id) == ()
    for call in (
        lambda: books.get_book(database, bo.id, book.id),
        lambda: books.change_book(database, bo.id, book.id, name="Mine"),
        lambda: books.delete_book(database, bo.id, book.id),
    ):
        with pytest.raises(NotFound):
            call()
    exported = export.export_account(database, bo.id)
    assert (exported["lorebooks"], exported["withheld"]["lorebooks"]) == ([], 1)
