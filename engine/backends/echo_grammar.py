"""Expands a GBNF grammar to one fixed sentence, for the echo backend. Pure. What it refuses to know: tokens.

The sentence takes the first alternative that terminates, each repetition as few times as allowed but at least once, and
the first character of a class. Supported: literals, classes (ranges, negation, `.`), rule references, groups,
alternatives, ``? * + {m} {m,} {m,n}`` and comments, in llama.cpp's syntax; anything else raises RequestError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

from engine.errors import RequestError

Expand = Callable[[frozenset[str]], "str | None"]
"""Expands a part of the grammar, given the rules that are being expanded; None: it would never terminate."""

_NAME = re.compile(r"[A-Za-z0-9-]+")
_REPEAT = re.compile(r"\{\s*(\d+)\s*(,?)\s*(\d*)\s*\}")
_BLANK = re.compile(r"(?:[ \t]|#[^\n]*)*")
_BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_HEX = {"x": 2, "u": 4, "U": 8}
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]"}
_PREFERRED = "aAbcdefghijklmnopqrstuvwxyzBCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,-"


def sentence(grammar: str) -> str:
    """A sentence of the rule `root`. Raises RequestError for an invalid grammar, or one without a finite sentence."""
    reader = _Reader(grammar)
    rules = reader.rules()
    if "root" not in rules:
        raise RequestError("the grammar is not valid GBNF with a rule named root: there is no such rule")
    text = rules["root"](frozenset({"root"}))
    if text is None:
        raise RequestError("the grammar is not valid GBNF with a rule named root: no sentence of it ever ends")
    return text


@dataclass(slots=True)
class _Reader:
    """Recursive descent over the text; `at` is the index of the next character."""

    text: str
    at: int = 0
    _rules: dict[str, Expand] = field(default_factory=dict)
    _named: set[str] = field(default_factory=set)

    def rules(self) -> dict[str, Expand]:
        """All rules by name."""
        self._skip(_BLANK_LINES)
        while self.at < len(self.text):
            name = self._name()
            self._skip(_BLANK)
            self._expect("::=")
            self._rules[name] = self._alternatives(nested=False)
            if self.at < len(self.text) and self.text[self.at] not in "\r\n":
                raise self._wrong("the end of the rule")
            self._skip(_BLANK_LINES)
        for name in self._named - set(self._rules):
            raise RequestError(f"the grammar is not valid GBNF: the rule {name!r} is used, and not there")
        return self._rules

    # -- the parts of a rule ----------------------------------------------------------------------------------------

    def _alternatives(self, nested: bool) -> Expand:
        choices = [self._sequence(nested)]
        while self._peek() == "|":
            self.at += 1
            self._skip(_BLANK_LINES)
            choices.append(self._sequence(nested))
        return lambda open_rules: next((text for c in choices if (text := c(open_rules)) is not None), None)

    def _sequence(self, nested: bool) -> Expand:
        self._skip(_BLANK_LINES if nested else _BLANK)
        parts: list[Expand] = []
        while (part := self._part()) is not None:
            parts.append(self._repeated(part))
            self._skip(_BLANK_LINES if nested else _BLANK)

        def expand(open_rules: frozenset[str]) -> str | None:
            texts = [part(open_rules) for part in parts]
            return None if None in texts else "".join(text or "" for text in texts)

        return expand

    def _part(self) -> Expand | None:
        """A literal, class, group or name; None where none of them begins."""
        start = self._peek()
        if start == '"':
            return _always(self._literal())
        if start == "[":
            return _always(self._class())
        if start == ".":
            self.at += 1
            return _always(_PREFERRED[0])
        if start == "(":
            self.at += 1
            inner = self._alternatives(nested=True)
            self._expect(")")
            return inner
        return self._reference() if _NAME.match(start) else None

    def _reference(self) -> Expand:
        name = self._name()
        self._named.add(name)
        return lambda open_rules: None if name in open_rules else self._rules[name](open_rules | {name})

    def _repeated(self, part: Expand) -> Expand:
        """The part with its repetition operator: as few times as allowed, but once if that is allowed."""
        n_least, n_times = 1, 1
        match = _REPEAT.match(self.text, self.at)
        if match:
            n_least = int(match[1])
            n_most = int(match[3]) if match[3] else (max(n_least, 1) if match[2] else n_least)
            if n_most < n_least:
                raise self._wrong("a repetition whose end is not below its start")
            n_times, self.at = min(max(n_least, 1), n_most), match.end()
        elif self._peek() and self._peek() in "?*+":
            n_least = int(self._peek() == "+")
            self.at += 1
        elif self._peek() == "{":
            raise self._wrong("a repetition like {1,40}")

        def expand(open_rules: frozenset[str]) -> str | None:
            text = part(open_rules) if n_times else ""
            return text * n_times if text is not None else ("" if n_least == 0 else None)

        return expand

    # -- characters -------------------------------------------------------------------------------------------------

    def _literal(self) -> str:
        self.at += 1
        text = ""
        while self._peek() != '"':
            text += self._character("a closing quotation mark")
        self.at += 1
        return text

    def _class(self) -> str:
        self.at += 1
        negated = self._peek() == "^"
        self.at += negated
        ranges: list[tuple[str, str]] = []
        while self._peek() != "]":
            first = last = self._character("a closing bracket")
            if self._peek() == "-" and self.text[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                last = self._character("a closing bracket")
            ranges.append((first, last))
        self.at += 1
        if not negated and ranges:
            return ranges[0][0]
        for candidate in chain(_PREFERRED, map(chr, range(1, 0xD800))):
            if negated and not any(first <= candidate <= last for first, last in ranges):
                return candidate
        raise self._wrong("a class that leaves a character")

    def _character(self, missing: str) -> str:
        if self.at >= len(self.text):
            raise self._wrong(missing)
        character, self.at = self.text[self.at], self.at + 1
        if character != "\\":
            return character
        kind, self.at = self._peek(), self.at + 1
        if kind in _HEX:
            digits, self.at = self.text[self.at : self.at + _HEX[kind]], self.at + _HEX[kind]
            if not re.fullmatch(rf"[0-9A-Fa-f]{{{_HEX[kind]}}}", digits) or int(digits, 16) > 0x10FFFF:
                raise self._wrong(f"{_HEX[kind]} hexadecimal digits")
            return chr(int(digits, 16))
        if kind not in _ESCAPES:
            raise self._wrong("an escape that GBNF knows")
        return _ESCAPES[kind]

    # -- reading ----------------------------------------------------------------------------------------------------

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _skip(self, blank: re.Pattern[str]) -> None:
        match = blank.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _name(self) -> str:
        match = _NAME.match(self.text, self.at)
        if not match:
            raise self._wrong("a name")
        self.at = match.end()
        return str(match[0])

    def _expect(self, word: str) -> None:
        if not self.text.startswith(word, self.at):
            raise self._wrong(repr(word))
        self.at += len(word)

    def _wrong(self, expected: str) -> RequestError:
        line = self.text.count("\n", 0, self.at) + 1
        return RequestError(f"the grammar is not valid GBNF: line {line} should go on with {expected}")


def _always(text: str) -> Expand:
    return lambda _open_rules: text
