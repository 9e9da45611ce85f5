"""A turn that ends while the line of its page is down is told when the line is back: once, and as it was.

The turns of these tests are held by no worker: they end when a test says so.
"""

import uuid

import pytest
from playwright.sync_api import expect
from test_done import NOTE, OUT_OF_SIGHT, told

from store import accounts, chats, turns
from store.broker import events
from store.errors import Failure
from store.messages import Reply

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
__all__ = ["told"]
REPLY, FAILURE = ["Mara Quill", "A new reply is there."], ["Mara Quill", "The reply could not be written."]


class Cut:
    """`with Cut(page):` the line of this window is down, that of others is not."""

    def __init__(self, page):
        self.page = page
        self.session = page.context.new_cdp_session(page)

    def __enter__(self):
        self._offline(True)
        self.page.wait_for_function("() => document.body.dataset.line === 'down'")

    def __exit__(self, *trouble):
        self._offline(False)

    def _offline(self, offline):
        limits = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.session.send("Network.emulateNetworkConditions", limits)


class HeldTurn:
    """A turn of a chat that is being written until the test ends it."""

    def __init__(self, books, chat_id, kind="retry"):
        self.books, self.chat_id, self.id = books, chat_id, uuid.uuid4().hex
        owner = accounts.find_user(books, "Ada 7").id
        turns.begin_turn(books, owner, turns.TurnCommand(self.id, chat_id, kind, chats.get_revision(books, chat_id)))
        self.attempt = turns.claim(books, self.id, "nobody", 120).attempt

    def end(self, text="The lamp is lit."):
        return turns.commit(self.books, self.id, self.attempt, Reply(text))

    def fail(self):
        turns.fail(self.books, self.id, self.attempt, Failure("worker_lost", {"message": "The card stopped."}))

    def stop(self):
        turns.cancel(self.books, self.id, self.attempt, Reply("The lamp"))


def here(chat):
    return chat.page.url.rsplit("/", 1)[1]


def back(chat):
    """The line is up again; Chromium's own words about it are forgotten."""
    chat.rest()
    chat.errors.clear()


def counts(chat):
    return chat.page.evaluate("[shown.length, heard.length]")


@pytest.fixture
def waiting(told, books):
    """`waiting(kind)`: a chat in which something is being written while nobody looks, and what that is."""

    def begin(kind="narrate"):
        chat = told(notify=True, sound=True)
        turn = HeldTurn(books, here(chat), kind)
        chat.page.reload()
        chat.busy()
        chat.draft.click()  # browsers let a page sound only after a touch
        chat.page.evaluate(OUT_OF_SIGHT, True)
        return chat, turn

    return begin


def test_it_is_told_when_the_line_is_back_and_never_again(waiting):
    chat, turn = waiting()
    with Cut(chat.page):
        turn.end()
        assert counts(chat) == [0, 0]
    chat.until("() => shown.length === 1 && heard.length === 2")
    assert chat.page.evaluate("shown") == [REPLY]
    expect(chat.announcer).to_have_text("Mara Quill: The lamp is lit.")
    chat.rest()
    with Cut(chat.page):
        pass
    back(chat)
    chat.told("And now?")
    chat.until("() => heard.length === 4")
    assert counts(chat) == [2, 4], "what is told live is told once, too"


def test_a_failure_is_told_as_one(waiting):
    chat, turn = waiting()
    with Cut(chat.page):
        turn.fail()
    chat.until("() => shown.length === 1 && heard.length === 2")
    back(chat)
    assert chat.page.evaluate("shown") == [FAILURE]
    expect(chat.failure).to_contain_text("The card stopped.")


def test_what_was_stopped_elsewhere_is_not_told(waiting):
    chat, turn = waiting()
    with Cut(chat.page):
        turn.stop()
    back(chat)
    expect(chat.message.last).to_contain_text("The lamp")
    assert counts(chat) == [0, 0]


def test_another_turn_has_begun_since(waiting, books):
    chat, turn = waiting()
    with Cut(chat.page):
        turn.end()
        other = HeldTurn(books, here(chat))
    chat.until("() => shown.length === 1 && heard.length === 2")
    chat.busy()
    with Cut(chat.page):
        other.end("The lamp is out.")
    chat.until("() => shown.length === 2 && heard.length === 4")
    back(chat)
    assert chat.page.evaluate("shown") == [REPLY, REPLY]


def test_a_turn_that_this_window_never_waited_for_is_not_told(told, books):
    chat = told(notify=True, sound=True)
    chat.draft.click()
    chat.page.evaluate(OUT_OF_SIGHT, True)
    with Cut(chat.page):
        HeldTurn(books, here(chat), "narrate").end()
    back(chat)
    expect(chat.message).to_have_count(2)
    assert counts(chat) == [0, 0]


def test_what_another_window_has_told_is_not_told_again(waiting, stack):
    chat, turn = waiting()
    other = chat.page.context.new_page()
    other.add_init_script(NOTE)
    other.goto(chat.page.url)
    other.locator("[data-testid=send][data-mode=stop]").wait_for()
    other.evaluate(OUT_OF_SIGHT, True)
    with Cut(chat.page):
        end = turn.end()
        with stack.redis() as redis:
            done = events.ending(turns.get_turn(turn.books, turn.id), end)
            events.append(redis, turn.chat_id, turn.id, turn.attempt, [done])
        other.wait_for_function("() => shown.length === 1")
    back(chat)
    expect(chat.message.last).to_contain_text("The lamp is lit.")
    assert counts(chat) == [0, 0]


def test_a_message_that_was_sent_into_a_dying_line(told, books):
    """It arrived, and its reply was written, but the page has heard of neither."""
    chat = told(notify=True)
    lost = []
    chat.page.route_web_socket("**/ws", lambda socket: deaf(socket, lost))
    chat.reload()
    chat.page.evaluate(OUT_OF_SIGHT, True)
    lost.append(True)
    chat.say("Hello?")
    while len(chats.transcript(books, here(chat))) < 3:
        chat.page.wait_for_timeout(50)
    lost.clear()
    with Cut(chat.page):
        pass
    chat.until("() => shown.length === 1")
    back(chat)
    assert chat.page.evaluate("shown") == [REPLY]
    assert chat.roles() == ["character", "user", "character"]


def deaf(socket, lost):
    """A line on which nothing comes back while `lost` has something in it."""
    server = socket.connect_to_server()
    server.on_message(lambda text: None if lost else socket.send(text))


def test_a_suggestion_that_was_half_there_is_whole(waiting, stack):
    chat, turn = waiting("suggest")
    with stack.redis() as redis:
        half = {"type": "text", "part": 0, "offset": 0, "text": "I climb "}
        events.append(redis, turn.chat_id, turn.id, turn.attempt, [half])
    expect(chat.draft).to_have_value("I climb ")
    with Cut(chat.page):
        turns.commit(turn.books, turn.id, turn.attempt, turns.Outcome(suggestion="I climb the stairs."))
    back(chat)
    expect(chat.draft).to_have_value("I climb the stairs.")
    expect(chat.offer).to_be_hidden()
    expect(chat.announcer).to_have_text("A suggestion is in the box.")
