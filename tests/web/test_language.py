"""English and 中文: who gets which, and that no page has a word left in the other one."""

import re
from html.parser import HTMLParser
from http import HTTPStatus

import pytest
from test_access import ROUTES, address_of, routes

from store import accounts, characters, chats, personas
from store.lore import books
from tests.harness.people import PASSWORD, Browser

WORDS_OF = "accept-language"


def asks_for(browser, languages):
    browser.http.headers[WORDS_OF] = languages
    return browser


def lang_of(answer):
    return re.search(r'<html lang="([^"]+)"', answer.text).group(1)


class TestWhoGetsWhich:
    @pytest.mark.parametrize(
        ("wanted", "lang"),
        [
            (None, "en"),
            ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
            ("zh", "zh-Hans"),
            ("en-GB,zh;q=0.5", "en"),
            ("fr,zh-TW;q=0.5,en;q=0.4", "zh-Hans"),
            ("zh;q=0,en;q=0.1", "en"),
            ("xx", "en"),
            (";;q=x,\u00e9", "en"),
        ],
    )
    def test_a_stranger_gets_what_the_browser_asks_for(self, site, wanted, lang):
        headers = {"Accept-Language": wanted.encode()} if wanted else {}
        assert lang_of(site.browser().get("/login", headers=headers)) == lang

    def test_the_door_has_a_switch(self, site):
        browser = site.browser()
        answer = browser.submit("/login", {"language": "zh", "back": "/login?next=/chats"}, "/language")
        assert (lang_of(answer), answer.url) == ("zh-Hans", site.address + "/login?next=/chats")
        assert 'aria-pressed="true" data-testid="language-zh"' in answer.text
        odd = browser.submit("/login", {"language": "xx", "back": "https://evil.example"}, "/language")
        assert (lang_of(odd), odd.url) == ("zh-Hans", site.address + "/login?next=/")
        assert lang_of(browser.submit("/login", {"language": "en", "back": "/login"}, "/language")) == "en"

    def test_who_is_invited_in_a_language_keeps_it(self, site, database):
        asks_for(site.browser(), "zh-CN").sign_up(site.invite(), "Bao")
        assert accounts.find_user(database, "Bao").locale == "zh"
        other = site.browser()
        other.submit("/login", {"name": "Bao", "password": PASSWORD})
        assert lang_of(other.get("/")) == "zh-Hans"

    def test_what_was_chosen_at_the_door_is_kept_and_what_the_browser_says_is_not(self, site, ada, database):
        asks_for(site.browser(), "zh").submit("/login", {"name": "Ada", "password": PASSWORD})
        assert accounts.find_user(database, "Ada").locale == "en"
        browser = site.browser()
        browser.submit("/login", {"language": "zh", "back": "/login"}, "/language")
        assert lang_of(browser.submit("/login", {"name": "Ada", "password": PASSWORD})) == "zh-Hans"
        assert accounts.find_user(database, "Ada").locale == "zh"

    def test_the_account_has_the_last_word(self, site, ada):
        form = {"theme": "auto", "locale": "zh"}
        assert lang_of(ada.submit("/settings", form, "/settings/look")) == "zh-Hans"
        assert lang_of(asks_for(ada, "en").get("/")) == "zh-Hans"

    def test_refusals_and_errors_are_said_in_it(self, site):
        browser = asks_for(site.browser(), "zh")
        wrong = browser.submit("/login", {"name": "Ada", "password": "x"})
        assert "名字或密码不对。" in wrong.text
        short = browser.submit(site.invite(), {"name": "Bao", "password": "x"})
        assert "密码至少要有 8 个字符" in short.text
        empty = browser.submit(site.invite(), {"name": "", "password": ""})
        assert "请写下你的名字。" in empty.text
        gone = browser.get("/nowhere")
        assert (gone.status_code, "没有这样的页面" in gone.text) == (HTTPStatus.NOT_FOUND, True)
        json = browser.get("/", headers={"Accept": "application/json"}).json()
        assert json["error"] == {"code": "signed_out", "message": "请先登录。"}


class PageTexts(HTMLParser):
    """What of a page people see or hear, but for what says itself that it is in another language."""

    ALOUD = ("aria-label", "placeholder", "title", "alt", "data-done")
    EMPTY = ("meta", "link", "img", "input", "br", "path", "circle", "rect")

    def __init__(self):
        super().__init__()
        self.heard, self._open = [], []

    def handle_starttag(self, tag, attrs):
        own = dict(attrs)
        foreign = own.get("lang") in ("en", "") or tag in ("script", "style")
        foreign |= own.get("translate") == "no"  # names of fields in files are of no language
        skipped = foreign or bool(self._open and self._open[-1][1])
        if not skipped:
            self.heard += [own[name] for name in self.ALOUD if own.get(name)]
        if tag not in self.EMPTY:
            self._open.append((tag, skipped))

    def handle_startendtag(self, tag, attrs):
        pass  # drawings

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if data.strip() and not (self._open and self._open[-1][1]):
            self.heard.append(data.strip())


OURS = {"inglenook", "json", "png", "jpeg", "webp", "mb", "user", "char", "original", "start", "ctrl", "alt", "enter"}
OURS |= {"min", "top", "dry", "xtc"}  # samplers
OURS |= {"gguf", "url", "sha", "models", "qwen", "gemma"}
OURS |= {"host", "charx", "jsonl", "markdown", "gb", "kb", "kv", "ram", "prometheus", "grafana", "metrics"}


def leftovers(html, names):
    """Latin words that no list of ours allows."""
    reader = PageTexts()
    reader.feed(html)
    found = []
    for text in reader.heard:
        for name in names:
            text = text.replace(name, "")
        found += [(word, text) for word in re.findall("[A-Za-z]{2,}", text) if word.lower() not in OURS]
    return found


NOT_PAGES = {
    "assets.file",
    "static",
    "health.healthz",
    "live.live",
    "settings.download_data",
    "chats.earlier_messages",
    "pictures.show",
}
NOT_PAGES |= {"lorebooks.as_v3", "lorebooks.original", "card_files.as_json", "card_files.as_png", "chat_files.export"}
NOT_PAGES |= {
    "characters.openings",
    "metrics.metrics",
    "admin.now",
    "models.now",
    "chats.cost_of_change",
    "search.passage",
    "home.beside",
}
NOT_PAGES |= {"search.passage", "home.beside"}
NOT_PAGES |= {"installable.manifest", "installable.service_worker"}
PAGES = sorted(endpoint for endpoint, method in ROUTES if method == "GET" and endpoint not in NOT_PAGES)


@pytest.fixture
def zhou(site, database):
    """An admin who reads 中文 and has something of everything; values for the addresses."""
    browser = asks_for(Browser(site.address), "zh-CN")
    browser.sign_up(site.invite("admin"), "周")
    who = accounts.find_user(database, "周")
    accounts.set_limits(database, who.id, 45, "21:00", "07:00")
    personas.save_persona(database, who.id, "甲", "")
    status = [{"name": "心情", "type": "text"}, {"name": "体力", "type": "integer"}]
    card = {"name": "墨", "first_mes": "喵。", "tags": ["猫"], "extensions": {"inglenook": {"status": status}}}
    character = characters.save_character(database, who, card)
    chat = chats.create_chat(database, who.id, character.id, "周")
    chats.create_chat(database, who.id, site.mara, "周")
    invite, token = accounts.create_invite(database, "teen", created_by=who.id)
    accounts.revoke_invite(database, accounts.create_invite(database, "child")[0].id)
    persona = personas.save_persona(database, who.id, "乙", "水手。")
    book = books.add_book(database, who.id, {"entries": [{"keys": ["海"], "content": "蓝色的。"}]}, "海")
    values = {"character_id": character.id, "chat_id": chat.id, "persona_id": persona.id, "token": token}
    values |= {"lorebook_id": book.id, "place": "0", "locale": "zh"}
    return browser, {**values, "invite_id": invite.id, "user_id": who.id}


@pytest.fixture
def names(database, zhou):
    """What is somebody's own words: characters and their tags."""
    who = accounts.find_user(database, "周")
    everybody = characters.list_characters(database, who)
    tags = {str(tag) for one in everybody for tag in one.card.get("tags", ())}
    return sorted({*tags, *(one.name for one in everybody)}, key=len, reverse=True)


def test_leftovers_are_found():
    page = '<a title="Go on"><svg><path d=""/></svg>往前</a><p lang="en">Hm</p><img alt="A cat"><br>Yes, 墨 {{user}}'
    assert [word for word, _ in leftovers(page, ["墨"])] == ["Go", "on", "cat", "Yes"]


@pytest.mark.parametrize("endpoint", PAGES)
def test_no_page_has_a_word_that_is_not_translated(site, zhou, names, endpoint):
    browser, values = zhou
    if endpoint.startswith("accounts."):
        browser = asks_for(site.browser(), "zh")
    path = address_of(site, routes(site.app)[endpoint, "GET"], values)
    for address in [path, f"/invite/{'0' * 43}"] if endpoint == "accounts.sign_up_form" else [path]:
        answer = browser.get(address)
        assert (lang_of(answer), answer.url) == ("zh-Hans", site.address + address)
        assert leftovers(answer.text, names) == []


def test_what_comes_back_from_a_form_is_translated(site, zhou, names):
    browser, values = zhou
    mine = values["character_id"]
    row = dict.fromkeys(("source", "unit", "minimum", "maximum", "options", "max_length"), "")
    status = {f"status_{key}": value for key, value in {**row, "name": "心情", "type": "one_of"}.items()}
    for page, action, form in (
        ("/characters/new", "/characters", {"name": " "}),
        (f"/characters/{mine}/edit", f"/characters/{mine}/edit", {"name": "墨", **status}),
        ("/personas/new", "/personas", {"name": " "}),
        ("/", "/chats", {"character": mine, "name": "名" * 41}),
        ("/settings", "/settings/password", {"old_password": "x", "new_password": "x"}),
        ("/settings", "/settings/password", {"old_password": "x", "new_password": PASSWORD}),
        ("/settings", "/settings/delete", {"password": PASSWORD}),
        ("/settings", "/settings/look", {"theme": "pink", "locale": "zh"}),
        ("/settings", "/settings/look", {"theme": "dark", "locale": "zh"}),
        ("/people", "/people/invitations", {"role": "child", "days": "1"}),
        ("/people", f"/people/{values['user_id']}", {"role": "adult"}),
        ("/people", f"/people/{values['user_id']}", {"role": "admin"}),
    ):
        answer = browser.submit(page, form, action)
        assert leftovers(answer.text, [*names, site.address]) == [], (action, form)
