"""A forgotten password, and the minutes of a day: what an admin gives, and what a person sees of it."""

import html
import re

import pytest
from scripted_worker import new_turn

from store import accounts, turns
from store.messages import Reply
from tests.harness.people import PASSWORD, Browser

NEW = "an entirely new sentence"


@pytest.fixture
def keeper(site):
    return site.browser().sign_up(site.invite("admin"), "Keeper")


def link_for(keeper, database, name):
    """What the admin copies from the page, as a path."""
    person = accounts.find_user(database, name)
    page = keeper.submit("/people", {}, f"/people/{person.id}/reset")
    assert page.status_code == 200
    found = re.search(r'value="([^"]+/reset/[^"]+)"', page.text)
    assert found, page.text
    link = html.unescape(found[1])
    assert link.startswith(keeper.address)
    return link.removeprefix(keeper.address)


def test_who_forgot_a_password_chooses_a_new_one_once(site, keeper, ada, database):
    path = link_for(keeper, database, "Ada")
    tab = ada.socket()
    phone = site.browser()
    assert "Ada" in phone.get(path).text
    short = phone.submit(path, {"password": "short"})
    assert (short.status_code, "8 characters or more" in short.text) == (422, True)
    assert phone.submit(path, {"password": NEW}).url == site.address + "/"
    assert ada.get("/").url.startswith(site.address + "/login"), "signed out everywhere else"
    assert tab.wait_for_close().code == 1008
    assert site.browser().submit("/login", {"name": "Ada", "password": PASSWORD}).status_code == 422
    assert site.browser().submit("/login", {"name": "Ada", "password": NEW}).url == site.address + "/"
    assert phone.get(path).status_code == 410
    assert phone.post(path, {"password": PASSWORD}, token_on(phone)).status_code == 410
    assert phone.get("/").url == site.address + "/", "and the new session goes on"


def token_on(browser):
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', browser.get("/settings").text)
    assert found
    return found[1]


def test_a_link_is_worth_nothing_after_a_change_or_with_another_word_in_it(site, keeper, ada, database):
    path = link_for(keeper, database, "Ada")
    stranger = site.browser()
    for broken in (path[:-1], path + "x", "/reset/" + path.split(".", 1)[1], "/reset/x", "/reset/" + "0" * 4000):
        answer = stranger.get(broken)
        assert (answer.status_code, 'data-testid="bad-reset"' in answer.text) == (410, True), broken
    accounts.sign_out_everywhere(database, accounts.find_user(database, "Ada").id)
    assert stranger.get(path).status_code == 410
    another = link_for(keeper, database, "Ada")
    accounts.delete_account(database, accounts.find_user(database, "Ada").id)
    assert stranger.get(another).status_code == 410


def test_a_link_is_good_for_a_day(site, keeper, ada, database, monkeypatch):
    path = link_for(keeper, database, "Ada")
    monkeypatch.setattr("web.auth.password_resets.DAY_S", -1)  # as if a day had passed
    assert site.browser().get(path).status_code == 410


def test_the_same_link_twice_at_once_changes_one_password(database, user):
    epoch = user.session_epoch
    accounts.change_password(database, user.id, "first", epoch=epoch)
    with pytest.raises(accounts.Refused) as refused:
        accounts.change_password(database, user.id, "second", epoch=epoch)
    assert refused.value.code == "bad_reset"
    assert accounts.get_user(database, user.id).password_hash == "first"


def test_guessing_links_is_slowed_down(site, redis):
    codes = [site.browser().get(f"/reset/{n}").status_code for n in range(25)]
    assert codes[0] == 410
    assert codes[-1] == 429


def test_in_chinese(site, keeper, ada, database):
    path = link_for(keeper, database, "Ada")
    page = Browser(site.address).get(path, headers={"Accept-Language": "zh"}).text
    assert "给 Ada 的新密码" in page


def test_minutes_of_the_day_are_told(site, ada, tale, database):
    user = accounts.find_user(database, "Ada")
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    revision = tab.open(chat)["revision"]
    assert 'data-testid="minutes-used"' not in ada.get("/settings").text
    accounts.set_limits(database, user.id, 60, "21:00", "21:01")
    assert "You have used 0 of your 60 minutes today." in ada.get("/settings").text
    assert "Quiet time is from 21:00 to 21:01." in ada.get("/settings").text
    accounts.set_limits(database, user.id, 8, None, None)
    turn = new_turn()
    ack = tab.submit(chat, "Hello", revision, turn)
    assert ack["minutes_left"] == 8
    claim = turns.claim(database, turn, "tale", 30)
    turns.commit(database, turn, claim.attempt, Reply("Yes."), {})
    assert "You have used 1 of your 8 minutes today." in ada.get("/settings").text
    assert re.search(
        r'data-testid="minutes-left" role="status">.*<b id="minutes-number">8</b>', ada.get(f"/chat/{chat}").text
    )
    accounts.set_limits(database, user.id, 30, None, None)
    assert re.search(r'data-testid="minutes-left" role="status" hidden>', ada.get(f"/chat/{chat}").text)
