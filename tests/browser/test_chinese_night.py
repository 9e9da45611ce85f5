"""The chat page's buttons and keys, at night, on a desktop and on a phone: what they are and do is said in 中文."""

import re

import pytest
from chat_page import LONG, VIEWS, ChatPage
from playwright.sync_api import expect
from test_chat_page import BOX_FILLS, HALF
from test_other_language import LATIN, LISTEN

from store import accounts, chats
from store.bundled import character_id
from web.auth import passwords

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

PASSWORD = "a long enough password"
COUNT = "([said]) => [...document.querySelectorAll('[data-testid=count]')].at(-1).textContent === said"


@pytest.fixture(scope="module")
def zhou(stack, browser, books):
    """Somebody who reads 中文, and the cookies of who has signed in; the browser never asks for the language."""
    stack.forget_rate_limits()
    invite = accounts.create_invite(books, "adult")[1]
    zhou = accounts.sign_up(books, invite, "周夜", passwords.hash_password(PASSWORD))
    accounts.set_preferences(books, zhou.id, locale="zh")
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{stack.address}/login")
    page.get_by_test_id("name").fill(zhou.name)
    page.get_by_test_id("password").fill(PASSWORD)
    page.get_by_test_id("sign-in").click()
    page.get_by_test_id("characters").wait_for()
    cookies = context.storage_state()
    context.close()
    return zhou, cookies


@pytest.fixture(params=VIEWS)
def chat(request, stack, browser, books, zhou):
    context = browser.new_context(**VIEWS[request.param], color_scheme="dark", storage_state=zhou[1])
    context.add_init_script(LISTEN)
    chat = ChatPage(context.new_page(), stack.address)
    chat.open(chats.create_chat(books, zhou[0].id, character_id("yanqiu"), zhou[0].name).id)
    yield chat
    chat.announcer.evaluate("(one) => one.replaceChildren()")  # it reads out what the echo said
    assert chat.page.evaluate(LATIN) == []
    assert (chat.errors, chat.strangers) == ([], [])
    context.close()


def on_a_desktop(chat):
    return chat.page.viewport_size["width"] > 500


def labelled(locator, words):
    """A button that has these words, or is called so."""
    expect(locator).to_have_accessible_name(re.compile(words))


def test_what_is_told(chat):
    assert chat.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    labelled(chat.send, "继续故事")
    for button, words in ((chat.narrate, "旁白"), (chat.suggest, "建议"), (chat.status, "状态")):
        labelled(button, words)
    chat.draft.fill("你好")
    labelled(chat.send, "^发送$")
    chat.send.click()
    chat.busy()
    labelled(chat.send, "^停止$")
    chat.rest()
    labelled(chat.retry.last, "重试")
    if on_a_desktop(chat):
        chat.press("Control+Enter")
    else:
        chat.retry.last.click()
    chat.busy()
    chat.rest()
    chat.until(COUNT, "2/2")
    labelled(chat.previous.last, "上一个版本")
    chat.previous.last.click()
    chat.until(COUNT, "1/2")
    chat.press("ArrowRight")
    chat.until(COUNT, "2/2")
    before = len(chat.last()["words"])
    chat.press("Alt+Enter")
    chat.until(HALF, before + 2)
    chat.rest()
    chat.narrate.click()
    chat.busy()
    chat.rest()
    expect(chat.page.locator("[data-role=narrator] .name")).to_have_text("旁白")
    expect(chat.announcer).to_contain_text("旁白")


def test_what_is_stopped_suggested_and_noted(chat):
    chat.say(LONG)
    chat.until(HALF, 2)
    if on_a_desktop(chat):
        chat.press("Escape")
    else:
        chat.send.click()
    chat.rest()
    chat.suggest.click()
    chat.until(BOX_FILLS)
    chat.rest()
    assert len(chat.draft.input_value()) > 3
    chat.draft.fill("")
    chat.status.click()
    chat.busy()
    chat.rest()
    expect(chat.status_card).to_contain_text("心情")
    labelled(chat.status_close, "状态")
    chat.status_close.click()
    labelled(chat.status_button, "状态")
    chat.after.click()
    chat.then_suggest.check()
    labelled(chat.after, "建议")
    chat.then_suggest.uncheck()
    chat.page.keyboard.press("Escape")


def test_what_is_changed_by_hand(chat):
    chat.told("你好")
    labelled(chat.more.nth(1), "这条消息")
    chat.more.nth(1).click()
    for act, words in (("edit", "编辑"), ("copy", "复制"), ("pin", "固定"), ("branch", "分支"), ("delete", "删除")):
        labelled(chat.page.get_by_test_id(f"do-{act}"), words)
    chat.do_pin.click()
    chat.pinned.nth(1).wait_for()
    chat.press("ArrowUp")
    expect(chat.edit_price).to_have_text(re.compile("重读"))
    chat.edit_text.fill("你*好*")
    chat.edit_save.click()
    expect(chat.prose.nth(1).locator("em")).to_have_text("好")
    chat.more.nth(1).click()
    chat.do_delete.click()
    expect(chat.toast).to_contain_text("已删除。")
    labelled(chat.undo, "撤销")
    chat.undo.click()
    expect(chat.message).to_have_count(3)
    chat.setup_button.click()
    for box, words in ((chat.setup_name, "标题"), (chat.setup_author_note, "作者"), (chat.setup_reference, "参考")):
        labelled(box, words)
    chat.setup_name.fill("雨夜")
    chat.setup_name.blur()
    expect(chat.setup_kept).to_have_text("已保存")
    chat.preset_lively.click()
    expect(chat.preset_lively).to_have_attribute("aria-pressed", "true")
    chat.page.keyboard.press("Escape")
    expect(chat.chat_title).to_have_text("雨夜")
    chat.reload()
    expect(chat.chat_title).to_have_text("雨夜")
