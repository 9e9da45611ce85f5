"""The door: invitations, signing in, forms, cookies, headers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from store import accounts
from tests.harness.people import PASSWORD, Browser
from web.auth.invite import main

ROOT = Path(__file__).parents[2]


def test_an_invitation_makes_one_account(site):
    invite = site.invite()
    Browser(site.address).sign_up(invite, "Ada")
    page = Browser(site.address).get(invite)
    assert page.status_code == 410
    assert "no longer valid" in page.text


def test_names_are_unique_and_passwords_long_enough(site, ada):
    invite = site.invite()
    taken = site.browser().submit(invite, {"name": "ADA", "password": PASSWORD})
    assert (taken.status_code, "name is taken" in taken.text) == (422, True)
    short = site.browser().submit(invite, {"name": "Eve", "password": "short"})
    assert (short.status_code, "8 characters or more" in short.text) == (422, True)
    site.browser().sign_up(invite, "Eve")


def test_signing_in_and_out(site, ada):
    browser = site.browser()
    assert browser.get("/").url.startswith(site.address + "/login")
    wrong = browser.submit("/login", {"name": "Ada", "password": "not it at all"})
    assert (wrong.status_code, "name or the password is wrong" in wrong.text) == (422, True)
    assert browser.submit("/login", {"name": "ada", "password": PASSWORD}).url == site.address + "/"
    assert browser.submit("/", {}, "/logout").url == site.address + "/login"
    assert browser.get("/").url.startswith(site.address + "/login")


def test_signing_in_leads_back_but_never_away(site, ada):
    browser = site.browser()
    answer = browser.submit("/login?next=https://evil.example/", {"name": "Ada", "password": PASSWORD})
    assert answer.url == site.address + "/"


def test_signed_out_everywhere(site, ada, database):
    user = accounts.find_user(database, "Ada")
    assert ada.get("/").url == site.address + "/"
    accounts.sign_out_everywhere(database, user.id)
    assert ada.get("/").url.startswith(site.address + "/login")


@pytest.mark.parametrize("path", ["/login", "/logout", "/chats", "/invite/x", "/chat/x/delete"])
def test_forms_without_our_token_are_refused(site, ada, path):
    answer = ada.post(path, {"name": "Ada", "password": PASSWORD, "character": site.mara})
    assert answer.status_code == 400
    assert 'data-code="csrf"' in answer.text


def test_guessing_is_slowed_down(site, ada):
    codes = [site.browser().submit("/login", {"name": "Ada", "password": f"guess {n}"}).status_code for n in range(10)]
    assert codes[:8] == [422] * 8
    assert codes[-1] == 429


def test_cookies_and_headers(site, ada):
    answer = ada.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    cookie = site.browser().get("/login").headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


def test_over_https_the_cookie_is_secure(make_site, redis):
    site = make_site(public_origins="https://hearth.example")
    answer = site.browser().get("/login", headers={"Host": "hearth.example"})
    assert "; Secure" in answer.headers["Set-Cookie"]


def test_a_page_under_a_foreign_host_name_is_refused(site):
    answer = site.browser().get("/login", headers={"Host": "rebound.example"})
    assert answer.status_code == 421
    assert "rebound.example" in answer.text


def test_errors_have_one_shape_and_a_friendly_page(site, ada):
    asked = ada.get("/nothing", headers={"Accept": "application/json"})
    assert asked.json()["error"]["code"] == "not_found"
    assert 'data-testid="error"' in ada.get("/nothing").text
    foreign = ada.get("/chat/" + "0" * 32, headers={"Accept": "application/json"})
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (404, "not_found")


def test_pages_carry_no_inline_code_and_no_foreign_address(site, ada):
    chat = ada.begin_chat(site.mara)
    for path in ("/", f"/chat/{chat}", "/nothing"):
        page = ada.get(path).text
        assert not re.search(r"<script>| on\w+=| style=|https?://", page)


def test_the_invitation_of_the_first_admin(tmp_path, database_url, database, monkeypatch, capsys):
    """Once by the command, then by what it calls."""
    environment = {"INGLENOOK_DATA_DIR": str(tmp_path), "INGLENOOK_DATABASE_URL": database_url}
    command = [sys.executable, "-m", "web.auth.invite"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    for name in [name for name in os.environ if name.startswith("INGLENOOK_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def invite(*arguments: str) -> str:
        before = os.umask(0o077)  # which the command sets for its own process
        assert main(list(arguments)) == 0
        os.umask(before)
        return capsys.readouterr().out.strip()

    link = done.stdout.strip()
    assert link.startswith("http://127.0.0.1:8420/invite/")
    assert invite() != link
    accounts.sign_up(database, link.rsplit("/", 1)[1], "Root", "x")
    assert accounts.has_admin(database)
    assert invite() == ""
    child = invite("--role", "child").rsplit("/", 1)[1]
    assert accounts.find_invite(database, child).role == "child"


def test_production_hashes_passwords_with_the_strength_that_the_library_advises(strong_hasher):
    advised = PasswordHasher()
    assert not strong_hasher.check_needs_rehash(advised.hash("a password"))
    assert strong_hasher.memory_cost >= 64 * 1024
    assert strong_hasher.time_cost >= 3
