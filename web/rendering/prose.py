"""Prose rendering: chat text to safe (sanitized) HTML: Markdown, *actions* in italics, "speech" in its own colour.

What it does: `render(text)` turns the text of a person or a model into HTML that is safe to insert into a page.
What it refuses to know: messages, chats, requests. The same text gives the same HTML, but for the budget: Markdown
costs time by its marks, so a text with very many, or one at the end of a page full of them, is shown without.
How it is safe (XSS): markdown-it-py runs with html off and without links and images (pages never point elsewhere),
and nh3 lets through only the tags and classes listed in ALLOWED.
To add a Markdown rule: enable it in `_parser`, add its tags to ALLOWED, and cases to tests/web/test_prose.py.
static/js/lib/prose.js draws the same two styles while a reply is still streaming; change both together. Unbalanced
emphasis is repaired before anything else (emphasis_repair.py).
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from web.rendering.emphasis_repair import MARKS, repair_emphasis
from web.rendering.sized_cache import SizedCache

ALLOWED = {
    "p", "br", "em", "strong", "s", "span", "blockquote", "ul", "ol", "li", "hr", "code", "pre",
    "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
QUOTES = {'"': '"', "“": "”", "「": "」", "『": "』", "«": "»"}
_BEFORE_SPEECH = "([{（【《"  # besides blanks: what stands before an opening mark and not before a closing one
_BEHIND = (
    ",;:!?)]}，、。；：！？）】》"  # besides blanks: what stands behind a closing mark and not behind an opening one
)
_DOTS = ".…"  # behind both: speech may begin with them
OFF = ["link", "image", "autolink", "reference", "html_block", "html_inline", "code", "lheading", "entity"]
MAX_LETTERS, MAX_MARKS = 100_000, 10_000  # of a text that is read as Markdown; what is longer is shown plain
MAX_CELLS = 4_000  # of a table; a text with a larger one is read without tables
_MARKS = ("\n", "*", "_", "`", "~", "|", "\\", "<", "&", '"', "“", "”", "「", "」", "『", "』", "«", "»")
_RULER = re.compile(r"[\s|:>*+-]*-[\s|:>*+-]*")
_RENDERED = SizedCache(max_bytes=16 << 20, max_entry_bytes=1 << 20)
_QUOTE = re.compile('(["“”「」『』«»])')


@dataclass
class RenderBudget:
    """How many marks of Markdown may still be rendered, in one page or frame; a mark costs 40 us at most."""

    marks: int = 100_000


def render(text: str, budget: RenderBudget | None = None) -> str:
    """HTML of one message; safe to insert as it is. What has too many marks, or exceeds the budget, is shown plain."""
    n_marks = sum(map(text.count, _MARKS))
    if len(text) > MAX_LETTERS or n_marks > (MAX_MARKS if budget is None else min(MAX_MARKS, budget.marks)):
        return _plain(text)
    if budget is not None:
        budget.marks -= n_marks
    kept = _RENDERED.get(text)
    if kept is None:
        kept = _rendered(text)
        _RENDERED.keep(text, kept)
    return kept


def _rendered(text: str) -> str:
    parser = _PARSER if _n_cells(text) <= MAX_CELLS else _WITHOUT_TABLES
    return nh3.clean(
        parser.render(text), tags=ALLOWED, attributes={}, allowed_classes={"span": {"speech"}}, link_rel=None
    )


def _plain(text: str) -> str:
    """A text without Markdown: its paragraphs and lines."""
    paragraphs = html.escape(text, quote=False).split("\n\n")
    return "".join(f"<p>{words}</p>\n".replace("\n", "<br>\n", words.count("\n")) for words in paragraphs)


def _n_cells(text: str) -> int:
    """How many cells a table in this text has at most: the rows below a long head are filled up with empty ones."""
    lines = text.split("\n")
    n_columns = max((line.count("|") + 1 for line in lines if _RULER.fullmatch(line)), default=0)
    return n_columns * len(lines)


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
    """Indexes of the first and the last token of each speech."""
    pairs = _SpeechPairs(tokens)
    for index in range(len(tokens)):
        pairs.read(index)
    pairs.finish()
    return pairs.opens, pairs.closes


class _SpeechPairs:
    """Where speech begins and ends, read token by token.

    Speech ends with its closing mark at the same depth, at the end of the element in which it was opened, or, when it
    is never closed, with its line. A straight mark that can only open says that the one before it was never closed: so
    a stray one does not turn speech and narration over.
    """

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.opens: set[int] = set()
        self.closes: set[int] = set()
        self._tokens = tokens
        closing = (index for index, token in enumerate(tokens) if not self._can_only_open(index))
        self._last = {tokens[index].content: index for index in closing}
        self._start: int | None = None
        self._line_end: int | None = None  # the first one within the speech

    def read(self, index: int) -> None:
        """Read the token at `index`."""
        token = self._tokens[index]
        if self._start is None:
            if self._begins(index):
                self._open(index)
        elif token.level < self._tokens[self._start].level:
            self._close(index - 1)
        elif token.level == self._tokens[self._start].level:
            self._read_inside(index, token, QUOTES[self._tokens[self._start].content])

    def finish(self) -> None:
        """The element ends."""
        if self._start is not None:
            self._close(len(self._tokens) - 1)

    def _read_inside(self, index: int, token: Token, closer: str) -> None:
        if token.type == "softbreak":
            if self._last.get(closer, -1) < index:
                self._close(index - 1)
            elif self._line_end is None:
                self._line_end = index
        elif token.type == "text" and token.content == closer:
            if self._can_only_open(index):
                self._give_up()
                self._open(index)
            else:
                self._close(index)

    def _open(self, index: int) -> None:
        self.opens.add(index)
        self._start, self._line_end = index, None

    def _close(self, index: int) -> None:
        self.closes.add(index)
        self._start = None

    def _give_up(self) -> None:
        """The speech that was begun was never closed: it was its line, or none at all."""
        if self._line_end is not None:
            self.closes.add(self._line_end - 1)
        elif self._start is not None:
            self.opens.remove(self._start)

    def _begins(self, index: int) -> bool:
        token = self._tokens[index]
        if token.type != "text" or token.content not in QUOTES:
            return False
        return token.content != '"' or not (self._before(index).isdigit() or self._can_only_close(index))

    def _can_only_open(self, index: int) -> bool:
        before, after = self._before(index), self._after(index)
        straight = self._tokens[index].type == "text" and self._tokens[index].content == '"'
        return straight and (before.isspace() or before in _BEFORE_SPEECH) and not (after.isspace() or after in _BEHIND)

    def _can_only_close(self, index: int) -> bool:
        before, after = self._before(index), self._after(index)
        return not (before.isspace() or before in _BEFORE_SPEECH) and (
            after.isspace() or after in _BEHIND or after in _DOTS
        )

    def _before(self, index: int) -> str:
        """The letter before a token: a blank where an element or a line begins."""
        token = self._tokens[index - 1] if index else None
        if token is None or token.nesting > 0 or token.type in ("softbreak", "hardbreak"):
            return " "
        return token.content[-1:] or "x"

    def _after(self, index: int) -> str:
        """The letter behind a token: a blank where an element or a line ends."""
        token = self._tokens[index + 1] if index + 1 < len(self._tokens) else None
        if token is None or token.nesting < 0 or token.type in ("softbreak", "hardbreak"):
            return " "
        return token.content[:1] or "x"


def _parser(tables: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    parser.enable(["table", "strikethrough"] if tables else ["strikethrough"]).disable(OFF)
    parser.core.ruler.before("inline", "emphasis_repair", _repair_emphasis)
    parser.core.ruler.push("speech", _colour_speech)
    for mark in MARKS:
        parser.inline.add_terminator_char(mark)
    parser.inline.ruler.before("emphasis", "mark", _mark)
    return parser


_PARSER, _WITHOUT_TABLES = _parser(tables=True), _parser(tables=False)
