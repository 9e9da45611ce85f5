"""The chat page as a person uses it, for the tests of its buttons and keys."""

from two_browsers import DESKTOP, IDLE, PASSWORD, PHONE, RESTING, is_ours

VIEWS = {"1280": DESKTOP, "390": PHONE}
REST_MS = 60_000
LONG = "Tell me about the light, the stairs, the gulls and the storm of last October. " * 8
MESSAGES = """() => [...document.querySelectorAll('[data-testid=message]')].map((one) => ({
  role: one.dataset.role, count: one.querySelector('[data-testid=count]').textContent,
  words: one.querySelector('[data-testid=prose]').textContent.replace(/\\s+/g, ' ').trim() }))"""
TO_THE_BEGINNING = """() => { const earlier = document.getElementById('earlier');
  if (!earlier.hidden) document.getElementById('main').scrollTop = 0;
  return earlier.hidden }"""
BUSY = "[data-testid=send][data-mode=stop]"


def sign_in(page, address, name):
    """By hand, at the door; everybody in these tests has the same password."""
    page.goto(f"{address}/login")
    page.get_by_test_id("name").fill(name)
    page.get_by_test_id("password").fill(PASSWORD)
    page.get_by_test_id("sign-in").click()
    page.get_by_test_id("characters").wait_for()


def watched(page, address):
    """`page.requests` and `page.wrong` from now on: where it asks, and what is wrong on it."""
    page.address, page.requests, page.wrong = address, [], []
    page.set_default_timeout(30_000)
    page.on("request", lambda one: page.requests.append(one.url))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda one: page.wrong.append(one.text) if is_trouble(one) else None)
    return page


def is_trouble(line):
    """An error in the console; not that a form came back with what is wrong in it, which Chromium notes there too."""
    return line.type == "error" and "status of 422" not in line.text


def leave_clean(page):
    """Close its window; nothing was wrong on it, and it asked nobody else."""
    page.context.close()
    assert page.wrong == []
    assert [url for url in page.requests if not is_ours(url, page.address)] == []


class ChatPage:
    """One window on one chat."""

    def __init__(self, page, address):
        self.page = page
        self.address = address
        self.strangers = []
        self.errors = []
        page.set_default_timeout(REST_MS)
        page.on("request", lambda one: self.strangers.append(one.url) if not is_ours(self._http(one), address) else 0)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda one: self.errors.append(one.text) if one.type == "error" else None)

    def open(self, chat_id):
        self.page.goto(f"{self.address}/chat/{chat_id}")
        self.rest()
        return self

    def __getattr__(self, name):
        """`chat.narrate_words` is the element with data-testid="narrate-words"."""
        return self.page.get_by_test_id(name.replace("_", "-"))

    def rest(self):
        """Wait until the line is up and nothing is under way."""
        self.page.locator(f"{RESTING}:has({IDLE})").wait_for(state="attached")

    def busy(self):
        """Wait until something is under way."""
        self.page.locator(BUSY).wait_for()

    def until(self, condition, *given):
        """Wait until a JavaScript function of `given` says something that is not false; what it says."""
        return self.page.wait_for_function(condition, arg=list(given)).json_value()

    def say(self, text):
        self.draft.fill(text)
        self.send.click()

    def told(self, text=LONG):
        """Say something and wait for the reply."""
        self.say(text)
        self.busy()
        self.rest()
        return self

    def scroll_to_the_beginning(self):
        """Scroll up until every message is on the page."""
        self.until(TO_THE_BEGINNING)

    def press(self, *keys):
        """Keys, with nothing in focus but the page or the box."""
        self.draft.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def messages(self):
        return self.page.evaluate(MESSAGES)

    def last(self):
        return self.messages()[-1]

    def roles(self):
        return [one["role"] for one in self.messages()]

    def reload(self):
        self.page.reload()
        self.rest()

    @staticmethod
    def _http(request):
        return request.url.replace("ws://", "http://", 1)
