"""Story text to safe HTML: Markdown, *actions* in italics, "speech" in its own colour.

What it does: `render(text)` turns what a person or a model wrote into HTML that is safe to put into a page.
What it refuses to know: messages, chats, requests. It is pure: the same text gives the same HTML.
How it is safe: markdown-it-py runs with html off and without links and images (a page of ours never points elsewhere),
and nh3 lets through only the tags and classes listed in ALLOWED.
To extend: enable a Markdown rule in `_parser`, add its tags to ALLOWED, add its strings to tests/web/test_prose.py.
static/js/prose.js draws the same two styles while a reply is still streaming; change both together.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

ALLOWED = {
    "p", "br", "em", "strong", "s", "span", "blockquote", "ul", "ol", "li", "hr", "code", "pre",
    "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
QUOTES = {'"': '"', "“": "”", "「": "」", "『": "』", "«": "»"}
OFF = ["link", "image", "autolink", "reference", "html_block", "html_inline", "code", "lheading", "entity"]
_QUOTE = re.compile('(["“”「」『』«»])')
_LONE_STAR = re.compile(r"(?<![*\\])\*(?!\*)")


@lru_cache(maxsize=2048)
def render(text: str) -> str:
    """HTML of one message; safe to insert as it is. An *action that was never closed is closed at its end."""
    html = _PARSER.render(_close_action(text))
    return nh3.clean(html, tags=ALLOWED, attributes={}, allowed_classes={"span": {"speech"}}, link_rel=None)


def _close_action(text: str) -> str:
    """A reply cut off inside *an action stays an action: close it in the last paragraph."""
    body = text.rstrip()
    last = body.rsplit("\n\n", 1)[-1]
    odd = len(_LONE_STAR.findall(last)) % 2 == 1
    return body + "*" if odd and not last.startswith("* ") and not body.endswith("*") else body


def _action(state: StateInline, silent: bool) -> bool:
    """Inline rule: *one star* on each side is an action, whatever letters touch the stars.

    CommonMark's own rule depends on spaces and Latin punctuation and misses actions in Chinese text.
    """
    start = state.pos
    if not _LONE_STAR.match(state.src, start) or state.src[start + 1 : start + 2].strip() == "":
        return False
    end = _LONE_STAR.search(state.src, start + 1, state.posMax)
    if end is None:
        return False
    if not silent:
        maximum = state.posMax
        state.push("em_open", "em", 1)
        state.pos, state.posMax = start + 1, end.start()
        state.md.inline.tokenize(state)
        state.push("em_close", "em", -1)
        state.posMax = maximum
    state.pos = end.end()
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
    """Indexes of opening and closing marks that belong together: same depth, and never outside of it between."""
    opens: set[int] = set()
    closes: set[int] = set()
    start: int | None = None
    for index, token in enumerate(tokens):
        if start is None:
            start = index if token.type == "text" and token.content in QUOTES else None
        elif token.level < tokens[start].level:
            start = None
        elif token.level == tokens[start].level and token.content == QUOTES[tokens[start].content]:
            opens.add(start)
            closes.add(index)
            start = None
    return opens, closes


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    parser.enable(["table", "strikethrough"]).disable(OFF)
    parser.core.ruler.push("speech", _colour_speech)
    parser.inline.ruler.before("emphasis", "action", _action)
    return parser


_PARSER = _parser()
