"""English and 中文: who gets which, and that nothing of ours is left without a translation."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from http import HTTPStatus

import pytest
from test_access import ROUTES, address_of, routes
from web_house import PASSWORD, Browser

from store import accounts, characters, chats, personas, turns
from store.errors import REFUSALS, NotFound
from store.status import fields_of
from web import extract_words, sentences
from web.catalogue import LANGUAGES, SCRIPTS, catalogue, po_file, script_words
from web.language import say, say_all
from worker import turn as worker_turn
from worker.prompt import PromptError, plan_part
from worker.segments import Limits
from worker.status import StatusError, parse

CHINESE = re.compile(r"[\u4e00-\u9fff]")
PLACES = re.compile(r"%\(\w+\)[sd]|\{+\w+\}+|<[^>]+>|&\w+;")
OTHERS = [code for code in LANGUAGES if code != "en"]
WORDS_OF = "accept-language"


def asks_for(browser, languages):
    browser.http.headers[WORDS_OF] = languages
    return browser


def lang_of(answer):
    return re.search(r'<html lang="([^"]+)"', answer.text).group(1)


class TestCatalogue:
    @pytest.fixture(params=OTHERS)
    def code(self, request):
        return request.param

    def test_the_files_hold_exactly_the_words_of_the_code(self, code):
        assert extract_words.updated(code) == po_file(code).read_bytes(), "run `make words`, then translate"

    def test_every_text_has_a_translation_with_the_same_places(self, code):
        for message in catalogue(code):
            said = message.string if isinstance(message.string, tuple) else (message.string,)
            if not message.id:
                continue
            assert all(said), f"not translated: {message.id}"
            assert not message.fuzzy, f"fuzzy: {message.id}"
            source = message.id if isinstance(message.id, str) else message.id[-1]
            for one in said:
                assert sorted(PLACES.findall(one)) == sorted(PLACES.findall(source)), source

    def test_it_is_chinese(self):
        assert [one.id for one in catalogue("zh") if one.id and not CHINESE.search(str(one.string))] == []

    def test_scripts_get_their_own_words_only(self, code):
        assert script_words("en") == {}
        found = {one.id for one in catalogue(code) if any(path.startswith(SCRIPTS) for path, _ in one.locations)}
        assert len(script_words(code)) == len(found)


class Letters:
    """A framing in which every letter is a token."""

    def segment(self, role, name, text):
        return tuple(map(ord, f"{name}:{text}\n"))

    def segment_from_tokens(self, role, name, tokens):
        return tuple(tokens)

    def reply_header(self, role, name):
        return (1,)

    def words(self, text):
        return tuple(map(ord, text))

    def footer(self, role):
        return (2,)

    def stop_strings(self, names):
        return ()


class TestSentencesOfOtherRooms:
    @pytest.mark.parametrize("code", REFUSALS)
    def test_every_refusal_of_the_store(self, code):
        values = dict.fromkeys(re.findall(r"\{(\w+)\}", REFUSALS[code]), "7")
        said = say(code, REFUSALS[code].format(**values), "zh")
        assert CHINESE.search(said)
        assert said.count("7") >= len(values)
        assert "{" not in said
        assert say(code, REFUSALS[code], "en") == REFUSALS[code]

    @pytest.mark.parametrize("what", sentences.NOUNS)
    def test_what_is_not_there(self, what):
        assert re.search("[a-z]", say("not_found", NotFound(what).message, "zh")) is None

    def test_every_noun_of_the_store_is_known(self):
        store = extract_words.WEB.parent / "store"
        used = {noun for path in store.glob("*.py") for noun in re.findall(r'NotFound\("(\w+)"\)', path.read_text())}
        assert used <= set(sentences.NOUNS)

    @pytest.mark.parametrize(
        ("code", "sentence"),
        [
            ("internal", worker_turn.INTERNAL),
            ("too_slow", worker_turn.TOO_LONG),
            ("too_many_attempts", worker_turn.TOO_OFTEN),
            ("empty_reply", worker_turn.EMPTY),
        ],
    )
    def test_what_the_worker_says_when_a_turn_fails(self, code, sentence):
        assert CHINESE.search(say(code, sentence, "zh"))

    @pytest.mark.parametrize("text", ["", "Mood: calm\nPlace:", "Mood: \nPlace: here"])
    def test_what_the_worker_says_of_a_torn_status(self, text):
        with pytest.raises(StatusError) as torn:
            parse(fields_of({}), text)
        assert not re.search("[a-z]{3} ", say(torn.value.code, str(torn.value), "zh"))

    @pytest.mark.parametrize(("kind", "begins"), [("chat", "你的消息有 "), ("retry", "最后一条消息有 ")])
    def test_what_the_worker_says_of_a_message_that_is_too_long(self, database, user, chat, kind, begins):
        turn = turns.submit(database, user.id, turns.TurnCommand("0" * 32, chat.id, "chat", 1, "x" * 9000))
        story = chats.load_story(database, chat.id)
        if kind == "retry":  # an answer of the character's, as if it stood last
            story = replace(story, messages=(*story.messages[:-1], replace(story.messages[-1], role="character")))
        said = say("too_long", self.too_long(story, turn, 9000), "zh")
        assert said.startswith(begins)
        assert story.character.name in said
        assert not re.search("[a-z]{3} ", said.replace(story.character.name, ""))

    def test_what_the_worker_says_of_a_description_that_is_too_long(self, database, user, chat):
        turn = turns.submit(database, user.id, turns.TurnCommand("0" * 32, chat.id, "chat", 1, "Hi"))
        said = say("too_long", self.too_long(chats.load_story(database, chat.id), turn, 400), "zh")
        assert re.search(r"描述有 \d+ 个词元，但在 400 的上下文里只放得下 \d+ 个", said)

    def test_what_nobody_has_translated_is_said_as_it_came(self):
        assert say("decode", "The moon fell down.", "zh") == "The moon fell down."

    def too_long(self, story, turn, context):
        with pytest.raises(PromptError) as error:
            plan_part(story, turn, turn.kind, Letters(), Limits(context, 50, "m"))
        assert error.value.code == "too_long"
        return str(error.value)

    def test_everything_that_a_tab_is_told(self):
        error = {"error": {"code": "busy", "message": REFUSALS["busy"]}}
        narration = {"role": "narrator", "name": "Narrator"}
        told = {"type": "opened", "unanswered": {"turn": "1", **error}, "messages": [narration], "message": "0" * 32}
        said = say_all({**told, **error}, "zh")
        assert CHINESE.search(said["error"]["message"])
        assert CHINESE.search(said["unanswered"]["error"]["message"])
        assert said["messages"] == [{"role": "narrator", "name": "旁白"}]
        assert said["message"] == "0" * 32
        assert say_all({"type": "part", **narration}, "zh")["name"] == "旁白"
        assert say_all({"role": "character", "name": "Narrator"}, "zh")["name"] == "Narrator"
        assert say_all(told, "en") is told


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
        assert (lang_of(answer), answer.url) == ("zh-Hans", site.base + "/login?next=/chats")
        assert 'aria-pressed="true" data-testid="language-zh"' in answer.text
        odd = browser.submit("/login", {"language": "xx", "back": "https://evil.example"}, "/language")
        assert (lang_of(odd), odd.url) == ("zh-Hans", site.base + "/login?next=/")
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


class Reader(HTMLParser):
    """What of a page people see or hear, but for what says itself that it is in another language."""

    ALOUD = ("aria-label", "placeholder", "title", "alt", "data-done")
    EMPTY = ("meta", "link", "img", "input", "br", "path", "circle", "rect")

    def __init__(self):
        super().__init__()
        self.heard, self._open = [], []

    def handle_starttag(self, tag, attrs):
        own = dict(attrs)
        foreign = own.get("lang") == "en" or tag in ("script", "style")
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


OURS = {"inglenook", "json", "png", "jpeg", "webp", "mb", "user", "char", "original", "start"}
OURS |= {"min", "top", "dry", "xtc"}  # samplers


def leftovers(html, names):
    """Latin words that no list of ours allows."""
    reader = Reader()
    reader.feed(html)
    found = []
    for text in reader.heard:
        for name in names:
            text = text.replace(name, "")
        found += [(word, text) for word in re.findall("[A-Za-z]{2,}", text) if word.lower() not in OURS]
    return found


NOT_PAGES = {"assets.file", "static", "health.healthz", "live.live", "settings.data", "chats.earlier", "pictures.show"}
PAGES = sorted(endpoint for endpoint, method in ROUTES if method == "GET" and endpoint not in NOT_PAGES)


@pytest.fixture
def zhou(site, database):
    """An admin who reads 中文 and has something of everything; values for the addresses."""
    browser = asks_for(Browser(site.base), "zh-CN")
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
    values = {"character_id": character.id, "chat_id": chat.id, "persona_id": persona.id, "token": token}
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


NOT_YET = {"chats.show": pytest.mark.xfail(strict=True, reason="the chat page is being written")}


@pytest.mark.parametrize("endpoint", [pytest.param(one, marks=NOT_YET.get(one, ())) for one in PAGES])
def test_no_page_has_a_word_that_is_not_translated(site, zhou, names, endpoint):
    browser, values = zhou
    if endpoint.startswith("accounts."):
        browser = asks_for(site.browser(), "zh")
    path = address_of(site, routes(site.app)[endpoint, "GET"], values)
    for address in [path, f"/invite/{'0' * 43}"] if endpoint == "accounts.invite" else [path]:
        answer = browser.get(address)
        assert (lang_of(answer), answer.url) == ("zh-Hans", site.base + address)
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
        assert leftovers(answer.text, [*names, site.base]) == [], (action, form)
