"""Signing out: what was signed out stays out, in every copy; what a clock does signs nobody out."""

import time

import pytest
from itsdangerous.timed import TimestampSigner

from store import accounts, sign_ins
from tests.harness.people import PASSWORD, Browser


def copy_of(browser):
    copied = Browser(browser.address)
    copied.http.cookies.update(browser.http.cookies)
    return copied


def is_in(browser):
    return browser.get("/settings", allow_redirects=False).status_code == 200


def with_cookie(site, values):
    """A browser with a cookie of our own making."""
    browser = site.browser()
    cookie = site.app.session_interface.get_signing_serializer(site.app).dumps(values)
    browser.http.cookies.set("inglenook", cookie)
    return browser


def test_a_copied_cookie_does_not_outlive_the_signing_out(site, ada):
    elsewhere = site.browser()
    elsewhere.submit("/login", {"name": "Ada", "password": PASSWORD})
    copied = copy_of(ada)
    tab = copied.socket()
    ada.submit("/", {}, "/logout")
    assert not is_in(copied)
    assert is_in(elsewhere)
    with pytest.raises(ConnectionError, match="1008"):
        tab.wait("nothing of this kind")  # the next beat closes it
    with pytest.raises(OSError, match="401"):
        copied.socket()


def test_whoever_was_signed_in_before_there_were_keys_stays_so_until_they_sign_out(site, ada):
    who = accounts.find_user(site.database, "Ada")
    old = {"_user_id": f"{who.id}:{who.session_epoch}", "_fresh": True, "csrf_token": "f" * 40, "_permanent": True}
    browser, copied = with_cookie(site, old), with_cookie(site, old)
    assert is_in(browser)
    browser.submit("/settings", {}, "/logout")
    assert not is_in(copied)
    assert is_in(ada)


def test_a_cookie_with_nothing_to_tell_it_by_is_signed_out_with_all_others(site, ada):
    who = accounts.find_user(site.database, "Ada")
    sign_ins.end_session(site.database, who.id, "")
    assert not is_in(ada)


def test_a_clock_that_was_set_back_signs_nobody_out(site, ada, monkeypatch):
    who = accounts.find_user(site.database, "Ada")
    with monkeypatch.context() as ahead:
        ahead.setattr(TimestampSigner, "get_timestamp", lambda _self: int(time.time()) + 400 * 86_400)
        browser = with_cookie(site, {"_user_id": f"{who.id}:{who.session_epoch}", "csrf_token": "f" * 40})
    assert is_in(browser)
    with monkeypatch.context() as long_ago:
        long_ago.setattr(TimestampSigner, "get_timestamp", lambda _self: int(time.time()) - 31 * 86_400)
        browser = with_cookie(site, {"_user_id": f"{who.id}:{who.session_epoch}", "csrf_token": "f" * 40})
    assert not is_in(browser)


def test_what_was_signed_out_stays_so_until_its_cookie_has_expired(database, user):
    """Also when the clock was wrong in between: the end is not noted before the cookie was signed."""
    sign_ins.end_session(database, user.id, "k" * 64, now=1_000.0)
    assert sign_ins.forget_expired(database, now=1_000.0 + sign_ins.COOKIE_S) == 0
    assert sign_ins.find_signed_in(database, user.id, user.session_epoch, "k" * 64) is None
    assert sign_ins.find_signed_in(database, user.id, user.session_epoch, "m" * 64).id == user.id
    assert sign_ins.forget_expired(database, now=1_001.0 + 2 * sign_ins.COOKIE_S) == 1


def test_the_table_does_not_grow_without_end(database, user, monkeypatch):
    monkeypatch.setattr(sign_ins, "MAX_ENDED", 3)
    for number in range(4):
        sign_ins.end_session(database, user.id, f"{number:064x}", now=float(number))
    assert accounts.get_user(database, user.id).session_epoch == user.session_epoch + 1
    assert sign_ins.read_sign_ins(database, now=3.0).ended == frozenset()
    sign_ins.end_session(database, user.id, "a" * 64, now=5.0)
    accounts.sign_out_everywhere(database, user.id)
    assert sign_ins.read_sign_ins(database, now=5.0).ended == frozenset()
