"""Macro resolver: replaces macros such as {{char}} and {{random::tea::coffee}} in one pass, in linear time.

What it does: `resolve` replaces the macros of this list, case-insensitively, from left to right:
{{char}} <CHAR> <BOT>, {{user}} <USER>, {{original}}, {{newline}}, {{noop}}, {{trim}} (removes the line ends around it),
{{//a comment}}, {{comment: text}} and {{hidden_key: text}} (nothing), {{reverse:text}}, the texts of the MacroContext
({{description}}, {{lastMessage}} ...), and the volatile ones (clock_and_dice.py): {{time}}, {{random::a::b}},
{{roll:2d6}}. A macro may stand inside another one ({{random::{{user}}::nobody}}); the inner one is replaced first.
Inserted text is never searched for macros, nor split at its commas and colons. Nesting, inserted text and dice are
bounded (MacroBudget): a macro beyond that stays as it was written, like an unknown one.
What it refuses to know: chats. Resolve once, when a text enters a chat: its tokens must not change later.
To add a macro: one without arguments in `_alone`, one with arguments in `_with_words`; one that needs a chat in
`ChatMacros` or CARD_TEXTS (chat_macros.py); one of time in CLOCK (clock_and_dice.py). Then this list, and a case
in tests/store/test_macros.py or test_chat_macros.py.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from store.macros import clock_and_dice

MAX_DEPTH, MAX_INSERTED = 16, 200_000
_TOKEN = re.compile(
    r"(?P<trim>(?<!\n)\n+\{\{\s*trim\s*\}\}\n*|\{\{\s*trim\s*\}\}\n*)"
    r"|(?P<open>\{\{(?!\{))|(?P<close>\}\})|<(?P<tag>user|char|bot)>",
    re.IGNORECASE,
)
_NAME = re.compile(r"\s*(//|[a-z_]+)\s*", re.IGNORECASE)
_NOTHING = frozenset({"//", "comment", "hidden_key"})
_ALIASES = {"bot": "char", "idle_duration": "idleduration", "mesexample": "mesexamples"}
Piece = tuple[str, bool]
"""A part of a macro: its text, and whether it is original (True) or inserted by another macro (False)."""


@dataclass
class MacroBudget:
    """What macros may still do in one text, or in several that share it: letters to insert, dice to roll."""

    letters: int = MAX_INSERTED
    dice: int = clock_and_dice.MOST_DICE

    def take_letters(self, n: int) -> bool:
        """Whether `n` letters may be inserted; then they are spent."""
        if n > self.letters:
            return False
        self.letters -= n
        return True


@dataclass(frozen=True)
class MacroContext:
    """Values of macros beside the names. `texts`: functions by lower-case names, called when needed, and once in a
    text.

    `budget`: shared by several texts; None: each text has one of its own.
    `now`: seconds (None: the present). `seed` determines {{pick}}, and with `deterministic` all dice: for texts that
    are resolved again and again. `volatile_as`: a text that replaces every volatile macro.
    """

    texts: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    now: float | None = None
    seed: str = ""
    deterministic: bool = False
    volatile_as: str | None = None
    budget: MacroBudget | None = None


def resolve(
    text: str,
    *,
    char: str,
    user: str,
    original: str = "",
    context: MacroContext | None = None,
    keep_unknown: bool = True,
) -> str:
    """`text` with its macros replaced. `char` and `user` are names, `original` is the text that this one replaces.

    Unknown macros stay as they are, or go with `keep_unknown=False`. Never raises.
    """
    if not may_be_in(text):
        return text
    names = {"char": char, "user": user, "original": original}
    return _Resolution(text, names, context or MacroContext(), keep_unknown).run()


def may_be_in(text: str) -> bool:
    """False when there is surely no macro in a text: `resolve` leaves it as it is."""
    return "{{" in text or "<" in text


class _Resolution:
    """The state of one resolution. `_open`: the macros that are not closed yet, the innermost last."""

    def __init__(self, text: str, names: Mapping[str, str], context: MacroContext, keep_unknown: bool) -> None:
        self._text, self._names, self._scene, self._keep = text, names, context, keep_unknown
        self._dice = clock_and_dice.Dice(self._scene.seed, text if self._scene.deterministic else None)
        self._done: list[str] = []
        self._open: deque[list[Piece]] = deque()
        self._budget = context.budget or MacroBudget()
        self._texts: dict[str, str] = {}

    def run(self) -> str:
        """The text with everything replaced."""
        at = 0
        for match in _TOKEN.finditer(self._text):
            self._put(self._text[at : match.start()], written=True)
            at = match.end()
            if match["open"]:
                self._begin()
            elif match["close"]:
                self._end()
            elif match["tag"]:
                name = self._names[_ALIASES.get(match["tag"].lower(), match["tag"].lower())]
                self._insert(name, written=match[0])
        self._put(self._text[at:], written=True)
        return "".join([*self._done, *(f"{{{{{_joined(pieces)}" for pieces in self._open)])

    def _put(self, text: str, written: bool) -> None:
        if text and self._open:
            self._open[-1].append((text, written))
        elif text:
            self._done.append(text)

    def _insert(self, text: str | None, written: str) -> None:
        """Insert a value; without one, or without room for it, the macro stays as it was `written`."""
        if text is not None and self._budget.take_letters(len(text)):
            self._put(text, written=False)
        elif self._keep:
            self._put(written, written=False)

    def _begin(self) -> None:
        if len(self._open) == MAX_DEPTH:  # too deep: the outermost one is taken as plain text
            self._done.append("{{" + _joined(self._open.popleft()))
        self._open.append([])

    def _end(self) -> None:
        if not self._open:
            self._done.append("}}")
            return
        pieces = self._open.pop()
        self._insert(self._value(pieces), written="{{" + _joined(pieces) + "}}")

    def _value(self, pieces: list[Piece]) -> str | None:
        """The value of a macro; None for an unknown one."""
        head = _NAME.match(pieces[0][0]) if pieces and pieces[0][1] else None
        if head is None:
            return None
        name, rest = head[1].lower(), [(pieces[0][0][head.end() :], True), *pieces[1:]]
        if name in _NOTHING:
            return "" if name == "//" or rest[0][0].startswith(":") else None
        if _joined(rest):
            return self._with_words(name, rest)
        return self._alone(_ALIASES.get(name, name))

    def _alone(self, name: str) -> str | None:
        if name in self._names:
            return self._names[name]
        if name in self._scene.texts:
            return self._text_of(name)
        if name in clock_and_dice.CLOCK:
            return self._scene.volatile_as or clock_and_dice.clock_text(name, self._scene.now)
        return {"newline": "\n", "noop": "", "trim": ""}.get(name)

    def _text_of(self, name: str) -> str:
        if name not in self._texts:
            self._texts[name] = self._scene.texts[name]()
        return self._texts[name]

    def _with_words(self, name: str, pieces: list[Piece]) -> str | None:
        words = _joined(pieces)
        if name == "reverse" and words.startswith(":"):
            return words.removeprefix(":").removeprefix(":")[::-1]
        value = None
        if name in ("random", "pick") and words.startswith(":"):
            options = _options(pieces)
            value = self._dice.pick(options) if name == "pick" else self._dice.choose(options)
        elif name == "roll":
            value = self._rolled(words.lstrip(": "))
        return self._scene.volatile_as or value if value is not None else None

    def _rolled(self, formula: str) -> str | None:
        roll = self._dice.roll(formula, most=self._budget.dice)
        self._budget.dice -= roll.n_dice if roll else 0
        return roll.total if roll else None


def _joined(pieces: list[Piece]) -> str:
    return "".join(text for text, _ in pieces)


def _options(pieces: list[Piece]) -> list[str]:
    """`a::b` or `a,b`, cut only where that was written; with commas, spaces around go and `\\,` is a comma."""
    (first, _), *rest = pieces
    written = [(first.removeprefix(":").removeprefix(":"), True), *rest]
    colons = any("::" in text for text, own in written if own)
    cut = re.compile("::" if colons else r"(?<!\\),")
    options = [""]
    for text, own in written:
        first, *others = cut.split(text) if own else [text]
        options[-1] += first
        options += others
    return options if colons else [option.replace("\\,", ",").strip() for option in options]
