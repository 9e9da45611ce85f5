"""Prose rendering: chat text to safe (sanitized) HTML: Markdown, *actions* in italics, "speech" in its own colour.

What it does: `render(text)` turns the text of a person or a model into HTML that is safe to insert into a page.
What it refuses to know: messages, chats, requests. It is pure: the same text gives the same HTML.
How it is safe (XSS): markdown-it-py runs with html off and without links and images (pages never point elsewhere),
and nh3 lets through only the tags and classes listed in ALLOWED.
To add a Markdown rule: enable it in `_parser`, add its tags to ALLOWED, and cases to tests/web/test_prose.py.
static/js/lib/prose.js draws the same two styles while a reply is still streaming; change both together. Unbalanced
emphasis is repaired before anything else (emphasis_repair.py).
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from web.rendering.emphasis_repair import MARKS, repair_emphasis

ALLOWED = {
    "p", "br", "em", "strong", "s", "span", "blockquote", "ul", "ol", "li", "hr", "code", "pre",
    "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
QUOTES = {'"': '"', "“": "”", "「": "」", "『": "』", "«": "»"}
OFF = ["link", "image", "autolink", "reference", "html_block", "html_inline", "code", "lheading", "entity"]
_QUOTE = re.compile('(["“”「」『』«»])')


@lru_cache(maxsize=2048)
def render(text: str) -> str:
    """HTML of one message; safe to insert as it is."""
    return nh3.clean(
        _PARSER.render(text), tags=ALLOWED, attributes={}, allowed_classes={"span": {"speech"}}, link_rel=None
    )


def _repair_emphasis(state: StateCore) -> None:
    """Core rule, before inline parsing: the stars of every paragraph, heading, item and cell become marks."""
    for block in state.tokens:
        if block.type == "inline":
            block.content = repair_emphasis(block.content)


def _mark(state: StateInline, silent: bool) -> bool:
    """Inline rule: a mark of emphasis_repair.py opens or closes an action or strong words."""
    mark = MARKS.get(state.src[state.pos])
    if mark is None:
        return False
    if not silent:
        kind, nesting = mark
        state.push(f"{kind}_open" if nesting > 0 else f"{kind}_close", kind, nesting)
    state.pos += 1
    return True


def _colour_speech(state: StateCore) -> None:
    """Core rule: wrap quoted stretches of every paragraph in <span class="speech">."""
    for block in state.tokens:
        if block.type == "inline" and block.children:
            block.children = _wrap(_split_at_quotes(block.children))


def _split_at_quotes(tokens: Sequence[Token]) -> list[Token]:
    """The same tokens with every quotation mark in a text token of its own."""
    result: list[Token] = []
    for token in tokens:
        if token.type != "text":
            result.append(token)
            continue
        for part in filter(None, _QUOTE.split(token.content)):
            result.append(Token("text", "", 0, content=part, level=token.level))
    return result


def _wrap(tokens: list[Token]) -> list[Token]:
    opens, closes = _pairs(tokens)
    result: list[Token] = []
    for index, token in enumerate(tokens):
        if index in opens:
            result.append(Token("speech_open", "span", 1, attrs={"class": "speech"}))
        result.append(token)
        if index in closes:
            result.append(Token("speech_close", "span", -1))
    return result


def _pairs(tokens: Sequence[Token]) -> tuple[set[int], set[int]]:
    """Indexes of the first and the last token of each speech.

    Speech ends with its closing mark at the same depth, at the end of the element in which it was opened, or, when it
    is never closed, with its line.
    """
    opens: set[int] = set()
    closes: set[int] = set()
    last = {token.content: index for index, token in enumerate(tokens)}
    start: int | None = None
    for index, token in enumerate(tokens):
        if start is None:
            if _begins_speech(tokens, index):
                opens.add(index)
                start = index
        elif token.level < tokens[start].level:
            closes.add(index - 1)
            start = None
        elif token.level == tokens[start].level and _ends_speech(token, index, tokens[start], last):
            closes.add(index if token.type == "text" else index - 1)
            start = None
    if start is not None:
        closes.add(len(tokens) - 1)
    return opens, closes


def _begins_speech(tokens: Sequence[Token], index: int) -> bool:
    token = tokens[index]
    after_digit = index > 0 and tokens[index - 1].content[-1:].isdigit()
    return token.type == "text" and token.content in QUOTES and not (token.content == '"' and after_digit)


def _ends_speech(token: Token, index: int, opened: Token, last: Mapping[str, int]) -> bool:
    closer = QUOTES[opened.content]
    if token.type == "softbreak":
        return last.get(closer, -1) < index
    return token.type == "text" and token.content == closer


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    parser.enable(["table", "strikethrough"]).disable(OFF)
    parser.core.ruler.before("inline", "emphasis_repair", _repair_emphasis)
    parser.core.ruler.push("speech", _colour_speech)
    for mark in MARKS:
        parser.inline.add_terminator_char(mark)
    parser.inline.ruler.before("emphasis", "mark", _mark)
    return parser


_PARSER = _parser()
