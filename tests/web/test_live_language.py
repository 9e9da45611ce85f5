"""What a tab is told, in the language of who reads it."""

import contextlib

import pytest
from scripted_worker import new_turn
from test_live_gate import HANDSHAKE

from store import accounts
from store.messages import Reply
from store.turns import NARRATOR, Outcome
from web.i18n.catalogue import LANGUAGES
from web.i18n.language import gettext_in
from web.live.connection import TOO_FAST
from web.live.hub import RESTARTS
from web.live.tab_session import SIGNED_OUT


@pytest.fixture
def zhou(site, ada, database):
    """A tab of somebody who reads 中文, on a new chat: (browser, chat, tab, revision)."""
    accounts.set_preferences(database, accounts.find_user(database, "Ada").id, locale="zh")
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    return ada, chat, tab, tab.open(chat)["revision"]


def test_refusals_come_in_it(zhou):
    _, chat, tab, revision = zhou
    refused = tab.submit(chat, "你好", revision + 7)
    assert refused["error"] == {"code": "moved_on", "message": "这个故事在另一个窗口里往前走了：请刷新后再试。"}
    refused = tab.open("0" * 32)
    assert refused["error"] == {"code": "not_found", "message": "没有这样的故事，或者它不是你的。"}
    tab.send(type="nonsense")
    assert tab.wait("refused")["error"]["message"].startswith("这里看不懂这条消息（")


def test_why_a_reply_failed_comes_in_it_at_once_and_after_a_reload(zhou, tale):
    _, chat, tab, revision = zhou
    turn = new_turn()
    tab.submit(chat, "你好", revision, turn)
    tale.claim(turn)
    tale.fail("empty_reply")
    sentence = "说书人一个字也没写就结束了。按重试再来一次。"
    assert tab.wait("failed")["error"]["message"] == sentence
    assert tab.open(chat)["unanswered"]["error"]["message"] == sentence


def test_the_narrator_is_called_so_on_the_page_and_in_the_tab(zhou, tale):
    browser, chat, tab, revision = zhou
    turn = new_turn()
    tab.submit(chat, "", revision, turn, "narrate")
    tale.claim(turn)
    tale.part(0, "narrate", "narrator", NARRATOR)
    assert tab.wait("part")["name"] == "旁白"
    tale.finish(Outcome((Reply("下雨了。", role="narrator", name=NARRATOR),)))
    done = tab.wait("done")
    assert (done["message"]["name"], done["messages"][0]["name"]) == ("旁白", "旁白")
    assert tab.open(chat)["messages"][-1]["name"] == "旁白"
    assert '<span class="name">旁白</span>' in browser.get(f"/chat/{chat}").text
    assert browser.get(f"/chat/{chat}/messages?before=9").json()["messages"][-1]["name"] == "旁白"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Upgrade": "h2c"}, "这个地址只说 WebSocket。"),
        ({"Origin": "https://evil.example"}, "来源 https://evil.example 不在 INGLENOOK_PUBLIC_ORIGINS 之中（"),
    ],
)
def test_why_a_tab_is_not_let_in_comes_in_it(zhou, change, words):
    browser = zhou[0]
    answer = browser.get("/ws", headers={"Origin": browser.address, **HANDSHAKE, **change})
    assert answer.json()["error"]["message"].startswith(words)


def test_goodbyes_come_in_it(site, zhou, database):
    accounts.sign_out_everywhere(database, accounts.find_user(database, "Ada").id)
    closed = zhou[2].wait_for_close()
    assert (closed.code, closed.reason) == (1008, "你已退出登录。")


def test_a_goodbye_to_who_talks_too_fast(zhou):
    tab = zhou[2]
    with contextlib.suppress(OSError):
        for _ in range(5000):
            tab.send(type="ping")
    closed = tab.wait_for_close()
    assert (closed.code, closed.reason) == (1008, "太快了：每秒最多 20 条消息。")


@pytest.mark.parametrize("sentence", [RESTARTS, SIGNED_OUT, TOO_FAST])
@pytest.mark.parametrize("language", LANGUAGES)
def test_goodbyes_fit_into_the_frame_that_carries_them(language, sentence):
    assert len(gettext_in(sentence, language).encode()) <= 123


def test_two_people_read_two_languages(site, zhou, bo):
    _, _, zhous, _ = zhou
    bos = bo.socket()
    for tab, words in ((zhous, "没有这样的故事"), (bos, "There is no such chat")):
        assert tab.open("0" * 32)["error"]["message"].startswith(words)
