"""The two renderers of story text, the server's and the browser's, show the same."""

import json
import re
from html.parser import HTMLParser

import pytest
from prose_cases import STORIES

from web.rendering.prose import render

pytestmark = pytest.mark.browser

DRAW = """async ([script, stories]) => {
  const { draw } = await import(script);
  return stories.map((story) => { const box = document.createElement('div'); draw(box, story); return box.innerHTML; });
}"""


class Runs(HTMLParser):
    """The letters of a text, each with how it looks."""

    def __init__(self, html):
        super().__init__()
        self.marks = []
        self.letters = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag not in ("br", "hr"):
            self.marks.append(tag)

    def handle_endtag(self, tag):
        self.marks.remove(tag)

    def handle_data(self, data):
        look = tuple(sorted(set(self.marks) - {"p"}))
        self.letters += [(letter, look) for letter in re.sub(r"\s+", "", data)]


def test_both_renderers_agree_on_every_story_and_on_every_beginning_of_it(sit):
    chat = sit("1280")
    script = re.search(r'src="([^"]*)js/chat/controller\.js"', chat.page.content())[1] + "js/lib/prose.js"
    texts = sorted({story[:end] for story in STORIES for end in range(1, len(story) + 1)})
    texts = [
        text for text in texts if not re.search(r"(?:^|\n)[*>\s#-]+\s*$|^\* |\\$", text)
    ]  # half a block, not half a text
    drawn = chat.page.evaluate(DRAW, [script, texts])
    different = {
        text: (html, render(text))
        for text, html in zip(texts, drawn, strict=True)
        if Runs(html).letters != Runs(render(text)).letters
    }
    assert not different, json.dumps(different, ensure_ascii=False, indent=1)
