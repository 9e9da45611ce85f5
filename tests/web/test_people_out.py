"""Suspending and removing people on the admin's page, and invitations with a name."""

import re

import pytest

from store import accounts, characters, chats
from store.sharing import shares
from tests.harness.people import PASSWORD, Browser


@pytest.fixture
def boss(site):
    return site.browser().sign_up(site.invite("admin"), "Root")


@pytest.fixture
def kim(site):
    browser = site.browser().sign_up(site.invite("child"), "Kim")
    browser.view = accounts.find_user(site.database, "Kim")
    return browser


def test_who_is_suspended_is_out_at_once_and_loses_nothing(site, boss, kim):
    story = kim.submit(f"/characters/{site.mara}", {"character": site.mara}, "/chats").url.removeprefix(site.address)
    boss.submit("/people", {"suspended": "1"}, f"/people/{kim.view.id}/suspend")
    assert 'data-testid="is-suspended"' in boss.get("/people").text
    assert kim.get("/", allow_redirects=False).status_code == 302
    again = Browser(site.address)
    answer = again.submit("/login", {"name": "Kim", "password": PASSWORD})
    assert answer.status_code == 403
    assert "This account is suspended" in answer.text
    wrong = again.submit("/login", {"name": "Kim", "password": "wrong password"})
    assert "This account is suspended" not in wrong.text, "only who knows the password learns it"
    boss.submit("/people", {"suspended": "0"}, f"/people/{kim.view.id}/suspend")
    assert again.submit("/login", {"name": "Kim", "password": PASSWORD}).status_code == 200
    assert "Mara" in again.get(story).text


def test_a_link_for_a_new_password_does_not_let_in_who_is_suspended(site, boss, kim):
    page = boss.submit("/people", {}, f"/people/{kim.view.id}/reset").text
    link = re.search(r'value="http[^"]+(/reset/[^"]+)"', page)[1]
    accounts.suspend(site.database, kim.view.id, True)
    assert Browser(site.address).get(link).status_code == 410
    accounts.suspend(site.database, kim.view.id, False)
    page = boss.submit("/people", {}, f"/people/{kim.view.id}/reset").text
    fresh = re.search(r'value="http[^"]+(/reset/[^"]+)"', page)[1]
    accounts.suspend(site.database, kim.view.id, True)
    assert Browser(site.address).get(fresh).status_code == 410


def test_who_is_removed_is_gone_and_what_others_use_stays(site, boss, kim):
    adult = site.browser().sign_up(site.invite(), "Ada")
    ada = accounts.find_user(site.database, "Ada")
    mo = characters.save_character(site.database, ada, {"name": "Mo"})
    shares.share(site.database, ada, "character", mo.id, "house")
    chat = chats.create_chat(site.database, kim.view.id, mo.id, "Kim")
    answer = boss.submit("/people", {}, f"/people/{ada.id}/delete")
    assert 'data-code="person-gone"' in answer.text
    assert 'data-name="Ada"' not in answer.text
    assert accounts.find_user(site.database, "Ada") is None
    assert adult.get("/", allow_redirects=False).status_code == 302
    assert kim.get(f"/chat/{chat.id}").status_code == 200


def test_an_admin_does_neither_to_oneself_and_the_last_one_stays(site, boss):
    me = accounts.find_user(site.database, "Root")
    for act, form in (("suspend", {"suspended": "1"}), ("delete", {})):
        assert 'data-code="not_yourself"' in boss.submit("/people", form, f"/people/{me.id}/{act}").text
        assert f"/people/{me.id}/{act}" not in boss.get("/people").text
    other = site.browser().sign_up(site.invite("admin"), "Eve")
    accounts.suspend(site.database, accounts.find_user(site.database, "Eve").id, True)
    accounts.suspend(site.database, accounts.find_user(site.database, "Eve").id, False)
    other.submit("/login", {"name": "Eve", "password": PASSWORD})
    accounts.suspend(site.database, me.id, True)
    eve = accounts.find_user(site.database, "Eve")
    with pytest.raises(Exception, match="last_admin"):
        accounts.set_role(site.database, eve.id, "adult")
    with pytest.raises(Exception, match="last_admin"):
        accounts.suspend(site.database, eve.id, True)


def test_an_invitation_may_have_a_name(site, boss):
    page = boss.submit("/people", {"role": "adult", "days": "7", "name": " Grandma  Ruth "}, "/people/invitations").text
    assert "This link is for Grandma Ruth (Adult)" in page
    link = re.search(r'value="http[^"]+(/invite/[^"]+)"', page)[1]
    assert "<b>Grandma Ruth</b>" in boss.get("/people").text
    assert 'value="Grandma Ruth"' in Browser(site.address).get(link).text
    refused = boss.submit("/people", {"role": "adult", "name": "x" * 41}, "/people/invitations").text
    assert 'data-code="bad_name"' in refused
    assert len(accounts.list_invites(site.database)) == 2


def test_minutes_say_of_what_and_figures_of_the_engine_are_folded(site, boss):
    page = boss.get("/people").text
    assert "Minutes of play a day" in page
    assert "pauses of up to five minutes" in page
