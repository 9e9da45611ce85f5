"""Sharing on the pages: the form, its mistakes, copies, and a child's wish that becomes a character."""

import re

import pytest

from store import accounts, characters
from store.lore import books
from store.sharing import shares, wishes
from tests.harness.people import Browser

BOOK = {"entries": [{"keys": ["inn"], "content": "It leaks.", "comment": "Inns"}]}


def send(browser, action, form, at):
    """Send the form of the page `at`."""
    return browser.submit(at, form, action)


@pytest.fixture
def join(site):
    """`join(name, role)`: a browser with somebody signed up, and their view."""

    def make(name, role="adult"):
        browser: Browser = site.browser().sign_up(site.invite(role), name)
        return browser, accounts.find_user(site.database, name)

    return make


def test_a_parent_shares_a_character_and_a_child_plays_with_it(site, join):
    parent, ada = join("Ada")
    child, kim = join("Kim", "child")
    mo = characters.save_character(site.database, ada, {"name": "Mo", "first_mes": "Purr."})
    at = f"/characters/{mo.id}"
    page = parent.get(at).text
    assert 'data-name="Kim"' in page
    assert "only you see it" in page
    assert ">Mo<" not in child.get("/").text
    answer = send(parent, f"{at}/share", {"audience": "people", "person": kim.id}, at)
    assert "with Kim" in answer.text
    home = child.get("/").text
    assert ">Mo<" in home
    assert "from Ada" in home
    shown = child.get(at).text
    assert 'data-testid="share"' not in shown
    assert 'data-testid="edit-character"' not in shown
    story = send(child, "/chats", {"character": mo.id}, at)
    assert "Purr." in story.text
    send(parent, f"{at}/share", {"audience": "private"}, at)
    assert child.get(at).status_code == 404
    assert "Purr." in child.get(story.url.removeprefix(site.address)).text


def test_a_mistake_is_said_and_what_was_ticked_stays(site, join):
    parent, ada = join("Ada")
    join("Kim", "child")
    mo = characters.save_character(site.database, ada, {"name": "Mo"})
    at = f"/characters/{mo.id}"
    answer = send(parent, f"{at}/share", {"audience": "people"}, at)
    assert answer.status_code == 422
    assert "Nobody is chosen" in answer.text
    assert re.search(r'value="people" data-testid="share-people" checked', answer.text)
    assert shares.read(site.database, ada.id, "character", mo.id).audience == "private"


def test_a_form_that_comes_back_still_says_who_is_too_young(site, join):
    parent, ada = join("Ada")
    join("Kim", "child")
    mo = characters.save_character(site.database, ada, {"name": "Mo"}, rating="adult")
    at = f"/characters/{mo.id}"
    assert "rated for older people" in parent.get(at).text
    assert "rated for older people" in send(parent, f"{at}/share", {"audience": "people"}, at).text


def test_a_copy_keeps_the_picture_and_is_ones_own(site, join):
    parent, ada = join("Ada")
    other, bo = join("Bo", "teen")
    picture = (b"RIFF" + b"\0" * 4 + b"WEBP") + b"0" * 40
    mo = characters.save_character(site.database, ada, {"name": "Mo", "odd": 1}, picture=picture)
    shares.share(site.database, ada, "character", mo.id, "house")
    send(other, "/characters", {"source": mo.id, "name": "Moe"}, f"/characters/new?from={mo.id}")
    (own,) = characters.list_own(site.database, bo)
    assert (own.name, own.card["odd"]) == ("Moe", 1)
    assert other.get("/pictures/" + own.avatar.removeprefix("picture:")).content == picture
    send(other, "/characters", {"source": site.mara, "name": "Mary"}, f"/characters/new?from={site.mara}")
    assert "mara.svg" in [one.avatar for one in characters.list_own(site.database, bo)]
    assert parent.get(f"/characters/{own.id}").status_code == 404


def test_a_shared_lorebook_is_read_tried_copied_and_attached(site, join):
    parent, ada = join("Ada")
    other, bo = join("Bo", "teen")
    book = books.add_book(site.database, ada.id, BOOK, "Old inns")
    at = f"/books/{book.id}"
    send(parent, f"{at}/share", {"audience": "house", "rating": "teen"}, at)
    assert "Old inns" in other.get("/books").text
    page = other.get(at).text
    assert "It leaks." in page
    assert "from Ada" in page
    for hidden in ("new-entry", "delete-book", "rename-book", "share-form"):
        assert f'data-testid="{hidden}"' not in page
    assert 'data-testid="woken"' in send(other, f"{at}/try", {"text": "an inn"}, at).text
    story = send(other, "/chats", {"character": site.mara}, f"/characters/{site.mara}")
    assert "Old inns" in story.text
    copied = send(other, f"{at}/copy", {}, at)
    assert "The copy is yours" in copied.text
    (own,) = books.list_books(site.database, bo.id)
    assert (own.name, own.data, own.rating) == ("Old inns", BOOK, "teen")


def test_a_child_asks_and_an_adult_grants_in_one_click(site, join):
    parent, ada = join("Ada")
    child, _ = join("Kim", "child")
    for name in ("Ann", "Ember Fox"):
        characters.save_character(site.database, ada, {"name": name})
    assert 'data-testid="ask"' not in parent.get("/").text
    assert "can share a character with you" in child.get("/").text
    assert "can read it now" in send(child, "/wishes", {"text": "a fox, please"}, "/").text
    home = parent.get("/").text
    assert "a fox, please" in home
    first = re.search(r'data-testid="wish-character"><option value="(\w+)">([^<]+)', home)
    assert first[2] == "Ember Fox", "the likeliest one stands first"
    (wish,) = wishes.list_open(site.database, ada)
    send(parent, f"/wishes/{wish.id}/grant", {"character": first[1]}, "/")
    home = child.get("/").text
    assert "Ada shares" in home
    assert ">Ember Fox<" in home
    assert ">Ann<" not in home
    send(child, f"/wishes/{wish.id}/take-back", {}, "/")
    assert 'data-testid="wish-granted"' not in child.get("/").text


def test_an_adult_makes_a_new_one_for_who_asked(site, join):
    parent, ada = join("Ada")
    child, kim = join("Kim", "child")
    wishes.ask(site.database, kim, "a talking oak")
    (wish,) = wishes.list_open(site.database, ada)
    form = f"/characters/new?wish={wish.id}"
    made = send(parent, "/characters", {"name": "Oak", "rating": "adult", "wish": wish.id}, form)
    assert "Oak is not rated for the age of Kim" in made.text
    send(parent, "/characters", {"name": "Old Oak", "rating": "everyone", "wish": wish.id}, form)
    assert ">Old Oak<" in child.get("/").text


@pytest.mark.parametrize("role", ["teen", "child"])
def test_only_adults_answer_wishes(site, join, role):
    _, ada = join("Ada")
    other, bo = join("Bo", role)
    _, kim = join("Kim", "child")
    wishes.ask(site.database, kim, "a fox")
    (wish,) = wishes.list_open(site.database, ada)
    fox = characters.save_character(site.database, bo, {"name": "Fox"})
    for form in (f"/wishes/{wish.id}/grant", f"/wishes/{wish.id}/decline"):
        assert "Only an adult can answer a wish." in send(other, form, {"character": fox.id}, "/").text
    assert "a fox" not in other.get("/").text
    assert wishes.list_open(site.database, ada) == (wish,)
    assert len(characters.list_own(site.database, kim)) == 0
