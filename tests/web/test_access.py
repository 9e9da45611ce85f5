"""Who gets where: every route of the application against strangers, other people and every role.

ROUTES has a line for each (endpoint, method) of `app.url_map`; a route without one fails the first test. A line says
who may: ANYBODY, MEMBER (somebody signed in, nothing of anybody in the address), ADMIN, or the kind of thing in the
address that must be one's own. For those, everybody else is refused as if the thing did not exist.
"""

import io

import pytest
from PIL import Image

from store import accounts, characters, chats, export, personas
from store.lore import books
from store.sharing import shares, wishes
from store.shelf import asking
from store.shelf.names import source_of
from tests.harness.people import PASSWORD, Browser
from web.auth import passwords

ANYBODY, MEMBER, ADMIN = "anybody", "member", "admin"
OWN = CHAT, PERSONA, CHARACTER, SEEN, PICTURE, BOOK, SEEN_BOOK, WISH = (
    *("own chat", "own persona", "own character", "character", "picture", "own lorebook", "lorebook", "own wish"),
)
ROUTES = {
    ("assets.file", "GET"): ANYBODY,
    ("static", "GET"): ANYBODY,
    ("health.healthz", "GET"): ANYBODY,
    ("installable.manifest", "GET"): ANYBODY,
    ("installable.service_worker", "GET"): ANYBODY,
    ("installable.offline", "GET"): ANYBODY,
    ("accounts.login", "GET"): ANYBODY,
    ("accounts.submit_login", "POST"): ANYBODY,
    ("accounts.choose_language", "POST"): ANYBODY,
    ("accounts.sign_up_form", "GET"): ANYBODY,
    ("accounts.submit_sign_up", "POST"): ANYBODY,
    ("accounts.logout", "POST"): MEMBER,
    ("live.live", "GET"): MEMBER,  # the commands inside: test_live_foreign.py
    ("home.show", "GET"): MEMBER,
    ("home.all_chats", "GET"): MEMBER,
    ("home.beside", "GET"): MEMBER,
    ("home.begin_chat", "POST"): MEMBER,  # what its form names: test_what_a_form_names_must_be_ones_own
    ("home.rename_chat", "POST"): CHAT,
    ("home.delete_chats", "POST"): MEMBER,  # what its form names: test_what_a_form_names_must_be_ones_own
    ("chats.show", "GET"): CHAT,
    ("chats.earlier_messages", "GET"): CHAT,
    ("chats.cost_of_change", "GET"): CHAT,
    ("chats.delete", "POST"): CHAT,
    ("search.show", "GET"): MEMBER,  # and its story one's own: test_search_page.py
    ("search.passage", "GET"): CHAT,
    ("characters.show", "GET"): SEEN,
    ("characters.openings", "GET"): SEEN,  # and its persona one's own: test_pages.py
    ("characters.new", "GET"): MEMBER,
    ("characters.create", "POST"): MEMBER,
    ("characters.edit", "GET"): CHARACTER,
    ("characters.change", "POST"): CHARACTER,
    ("characters.delete", "POST"): CHARACTER,
    ("card_files.import_form", "GET"): MEMBER,
    ("card_files.import_files", "POST"): MEMBER,  # and adult: test_card_files.py
    ("card_files.show_report", "GET"): CHARACTER,
    ("card_files.finish_import", "POST"): CHARACTER,
    ("card_files.keep_copy", "POST"): CHARACTER,
    ("card_files.as_json", "GET"): SEEN,
    ("card_files.as_png", "GET"): SEEN,
    ("chat_files.import_form", "GET"): MEMBER,
    ("chat_files.import_files", "POST"): MEMBER,
    ("chat_files.report", "GET"): CHAT,
    ("chat_files.export", "GET"): CHAT,
    ("lorebooks.show_all", "GET"): MEMBER,
    ("lorebooks.create", "POST"): MEMBER,
    ("lorebooks.show", "GET"): SEEN_BOOK,
    ("lorebooks.copy", "POST"): SEEN_BOOK,
    ("lorebooks.rename", "POST"): BOOK,
    ("lorebooks.delete", "POST"): BOOK,
    ("lorebooks.try_out", "POST"): SEEN_BOOK,
    ("lorebooks.new_entry", "GET"): BOOK,
    ("lorebooks.create_entry", "POST"): BOOK,
    ("lorebooks.edit_entry", "GET"): BOOK,
    ("lorebooks.change_entry", "POST"): BOOK,
    ("lorebooks.delete_entry", "POST"): BOOK,
    ("lorebooks.as_v3", "GET"): SEEN_BOOK,
    ("lorebooks.original", "GET"): SEEN_BOOK,
    ("sharing.share_character", "POST"): CHARACTER,
    ("sharing.share_lorebook", "POST"): BOOK,
    ("sharing.ask", "POST"): MEMBER,
    ("sharing.take_back", "POST"): WISH,
    ("sharing.grant", "POST"): MEMBER,  # for adults, with an own character: test_sharing_pages.py
    ("sharing.decline", "POST"): MEMBER,  # for adults: test_sharing_pages.py
    ("pictures.show", "GET"): PICTURE,
    ("personas.show", "GET"): MEMBER,
    ("personas.new", "GET"): MEMBER,
    ("personas.create", "POST"): MEMBER,
    ("personas.edit", "GET"): PERSONA,
    ("personas.change", "POST"): PERSONA,
    ("personas.delete", "POST"): PERSONA,
    ("settings.show", "GET"): MEMBER,
    ("settings.appearance", "POST"): MEMBER,
    ("settings.notifications", "POST"): MEMBER,
    ("settings.password", "POST"): MEMBER,
    ("settings.sign_out_everywhere", "POST"): MEMBER,
    ("settings.download_data", "GET"): MEMBER,
    ("settings.delete", "POST"): MEMBER,
    ("people.show", "GET"): ADMIN,
    ("people.invite", "POST"): ADMIN,
    ("people.revoke", "POST"): ADMIN,
    ("people.change", "POST"): ADMIN,
    ("people.suspend", "POST"): ADMIN,
    ("people.delete", "POST"): ADMIN,
    ("admin.show", "GET"): ADMIN,
    ("admin.now", "GET"): ADMIN,
    ("admin.pause", "POST"): ADMIN,
    ("admin.announce", "POST"): ADMIN,
    ("models.show", "GET"): ADMIN,
    ("models.now", "GET"): ADMIN,
    ("models.ask", "POST"): ADMIN,
    ("models.ask_suggested", "POST"): ADMIN,
    ("models.choose_file", "POST"): ADMIN,
    ("models.change", "POST"): ADMIN,
    ("models.use", "POST"): ADMIN,
    ("announcements.put_away", "POST"): MEMBER,
    ("metrics.metrics", "GET"): ADMIN,  # and whoever has the token: test_metrics.py
    ("people.reset", "POST"): ADMIN,
    ("password_resets.show", "GET"): ANYBODY,
    ("password_resets.submit", "POST"): ANYBODY,
}
ROLES = ("admin", "adult", "teen", "child")
FORM = {
    "name": "Mallory",
    "title": "mine now",
    "description": "mine now",
    "role": "admin",
    "password": PASSWORD,
    "audience": "private",
}
JSON = {"Accept": "application/json"}


def routes(app):
    return {
        (rule.endpoint, method): rule
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }


@pytest.fixture(scope="module")
def hashed():
    return passwords.hash_password(PASSWORD)


@pytest.fixture
def enter(site, hashed):
    """`enter(name, role)`: somebody who is signed in."""

    def somebody(name, role="adult"):
        accounts.sign_up(site.database, accounts.create_invite(site.database, role)[1], name, hashed)
        browser = Browser(site.address)
        assert browser.submit("/login", {"name": name, "password": PASSWORD}).status_code == 200
        return browser

    return somebody


@pytest.fixture
def adas(site, enter):
    """Something of every kind that is Ada's; values for the addresses."""
    enter("Ada")
    database, ada = site.database, accounts.find_user(site.database, "Ada")
    out = io.BytesIO()
    Image.new("RGB", (9, 9)).save(out, "PNG")
    character = characters.save_character(database, ada, {"name": "Mo"}, picture=out.getvalue())
    chat = chats.create_chat(database, ada.id, character.id, "Ada")
    accounts.set_role(database, ada.id, "teen")
    wishes.ask(database, accounts.get_user(database, ada.id), "a fox")
    accounts.set_role(database, ada.id, "adult")
    return {
        "user_id": ada.id,
        "character_id": character.id,
        "chat_id": chat.id,
        "picture_id": character.avatar.removeprefix("picture:"),
        "lorebook_id": books.add_book(database, ada.id, {"entries": [{"keys": ["a"], "content": "b"}]}, "Seas").id,
        "place": "0",
        "wish_id": wishes.list_own(database, ada)[0].id,
        "persona_id": personas.save_persona(database, ada.id, "Ann", "A sailor.").id,
        "invite_id": accounts.create_invite(database, "adult")[0].id,
        "file_id": asking.ask_to_look(database, source_of("owner/name", "a.gguf")).id,
        "command": "pause",
        "entry_id": "qwen3.5-4b",
        "wish": "look",
        "token": "0" * 43,
        "tag": "x",
        "ending": "json",
        "locale": "en",
        "path": "js/pages/home.js",
        "filename": "js/pages/home.js",
    }


def address_of(site, rule, values):
    address: str = site.app.url_map.bind("localhost").build(rule.endpoint, values)
    return address.split("?")[0]  # what the address has no place for comes after a question mark


def token_of(browser):
    """A token of this browser's session, whoever is signed in."""
    page = browser.get("/").text  # for who is not, this is the door
    return page.split('name="csrf_token"', 1)[1].split('value="', 1)[1].split('"', 1)[0]


def ask(site, browser, rule, method, values):
    """What somebody gets who sends a whole and well-made request to a route."""
    address = address_of(site, rule, values)
    if method == "GET":
        return browser.get(address, headers=JSON, allow_redirects=False)
    return browser.post(address, FORM, token_of(browser), headers=JSON, allow_redirects=False)


def refusals(site, browser, kinds, values):
    """Status and code for each route of these kinds."""
    found = {}
    for key, rule in routes(site.app).items():
        if ROUTES[key] in kinds and key[0] != "live.live":
            answer = ask(site, browser, rule, key[1], values)
            is_json = answer.headers.get("Content-Type", "").startswith("application/json")
            found[key] = answer.status_code, answer.json().get("error", {}).get("code") if is_json else None
    return found


def test_every_route_has_a_line_and_every_line_a_route(site):
    assert set(routes(site.app)) == set(ROUTES)


def test_who_is_not_signed_in_gets_nowhere(site, adas):
    found = refusals(site, site.browser(), {MEMBER, ADMIN, *OWN}, adas)
    assert {key: one for key, one in found.items() if one != (401, "signed_out")} == {}


@pytest.mark.parametrize("role", ROLES)
def test_nobody_gets_at_what_is_somebody_elses(site, database, enter, adas, role):
    ada = adas["user_id"]
    before = export.export_account(database, ada)
    found = refusals(site, enter("Mallory", role), OWN, adas)
    assert {key: one for key, one in found.items() if one != (404, "not_found")} == {}
    assert len(found) == sum(kind in OWN for kind in ROUTES.values())
    assert export.export_account(database, ada) == before


@pytest.mark.parametrize("role", ROLES[1:])
def test_only_an_admin_gets_into_the_admins_rooms(site, database, enter, adas, role):
    found = refusals(site, enter("Mallory", role), {ADMIN}, adas)
    assert {key: one for key, one in found.items() if one != (403, "not_allowed")} == {}
    assert accounts.get_user(database, adas["user_id"]).role == "adult"
    assert all(not one.revoked_at for one in accounts.list_invites(database))


@pytest.mark.parametrize("role", ROLES)
def test_who_gets_something_shared_reads_it_and_changes_nothing(site, database, enter, adas, role):
    ada = accounts.find_user(database, "Ada")
    mallory = enter("Mallory", role)
    shares.share(database, ada, "character", adas["character_id"], "house")
    shares.share(database, ada, "lorebook", adas["lorebook_id"], "people", [accounts.find_user(database, "Mallory").id])
    before = export.export_account(database, ada.id)
    allowed = refusals(site, mallory, {SEEN, PICTURE, SEEN_BOOK}, adas)
    assert {key: one for key, one in allowed.items() if one[0] not in (200, 302)} == {}
    found = refusals(site, mallory, {CHARACTER, BOOK}, adas)
    assert {key: one for key, one in found.items() if one != (404, "not_found")} == {}
    assert export.export_account(database, ada.id) == before
    shares.share(database, ada, "character", adas["character_id"], "house", rating="adult")
    seen = refusals(site, mallory, {SEEN, PICTURE}, adas)
    assert {one[0] for one in seen.values()} == {200 if role in ("admin", "adult") else 404}


@pytest.mark.parametrize("role", ROLES)
def test_what_a_form_names_must_be_ones_own(site, database, enter, adas, role):
    mallory = enter("Mallory", role)
    for path, form in (
        ("/chats", {"character": adas["character_id"]}),
        ("/chats", {"character": site.mara, "persona": adas["persona_id"]}),
        ("/characters", {"name": "Mo", "source": adas["character_id"]}),
        ("/chats/delete", {"chat": adas["chat_id"]}),
    ):
        answer = mallory.post(path, form, token_of(mallory), headers=JSON)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), (path, form)
    assert mallory.get(f"/characters/new?from={adas['character_id']}").status_code == 404
    who = accounts.find_user(database, "Mallory")
    assert chats.list_chats(database, who.id) == ()


def test_a_child_does_not_reach_what_is_made_for_adults_not_even_its_own(site, database, enter):
    kim = enter("Kim")
    view = accounts.find_user(database, "Kim")
    out = io.BytesIO()
    Image.new("RGB", (9, 9)).save(out, "PNG")
    made = characters.save_character(database, view, {"name": "Noir"}, rating="adult", picture=out.getvalue())
    picture = "/pictures/" + made.avatar.removeprefix("picture:")
    assert kim.get(picture).status_code == 200
    accounts.set_role(database, view.id, "child")
    for path in (picture, f"/characters/{made.id}", f"/characters/{made.id}/edit"):
        assert kim.get(path).status_code == 404, path
    assert "Noir" not in kim.get("/").text


@pytest.mark.parametrize("odd", ["x" * 4000, "..", "%00", "0" * 32, "picture:1", "é", "' OR 1=1 --"])
def test_odd_addresses_are_refused_politely(site, enter, odd):
    browser = enter("Eve")
    for path in (f"/characters/{odd}", f"/personas/{odd}", f"/pictures/{odd}", f"/chat/{odd}"):
        answer = browser.get(path, headers=JSON)
        assert answer.status_code in (200, 404) if odd == ".." else answer.status_code == 404, (
            path,
            answer.status_code,
        )


@pytest.mark.parametrize("path", [key for key in ROUTES if key[1] == "POST"], ids=lambda key: key[0])
def test_every_form_needs_our_token(site, enter, adas, path):
    address = address_of(site, routes(site.app)[path], adas)
    browser = Browser(site.address)
    browser.get("/login")
    for token in (None, "", "x"):
        answer = browser.post(address, FORM, token, headers=JSON)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "csrf")
