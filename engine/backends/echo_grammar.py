"""What the echo backend says under a grammar: one sentence of it, always the same. Pure; knows GBNF, no token.

The sentence takes the first alternative that comes to an end, each repetition as seldom as allowed but at least once,
and of a class of characters the first. Understood are literals, classes (ranges, negation, `.`), rule references,
groups, alternatives, ``? * + {m} {m,} {m,n}`` and comments, written as llama.cpp wants them; the rest is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

from engine.errors import RequestError

Expand = Callable[[frozenset[str]], "str | None"]
"""One sentence of a part of the grammar, while the named rules are being said; None: it would never end."""

_NAME = re.compile(r"[A-Za-z0-9-]+")
_REPEAT = re.compile(r"\{\s*(\d+)\s*(,?)\s*(\d*)\s*\}")
_BLANK = re.compile(r"(?:[ \t]|#[^\n]*)*")
_BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_HEX = {"x": 2, "u": 4, "U": 8}
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]"}
_SHOWN = "aAbcdefghijklmnopqrstuvwxyzBCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,-"


def sentence(grammar: str) -> str:
    """A sentence of the rule `root`. RequestError when this is no grammar, or none of its sentences ends."""
    reader = _Reader(grammar)
    rules = reader.rules()
    if "root" not in rules:
        raise RequestError("the grammar is not valid GBNF with a rule named root: there is no such rule")
    said = rules["root"](frozenset({"root"}))
    if said is None:
        raise RequestError("the grammar is not valid GBNF with a rule named root: no sentence of it ever ends")
    return said


@dataclass(slots=True)
class _Reader:
    """Recursive descent over the text; `at` is where it is."""

    text: str
    at: int = 0
    _rules: dict[str, Expand] = field(default_factory=dict)
    _named: set[str] = field(default_factory=set)

    def rules(self) -> dict[str, Expand]:
        """All rules, each as what it says."""
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
        return lambda open_rules: next((said for c in choices if (said := c(open_rules)) is not None), None)

    def _sequence(self, nested: bool) -> Expand:
        self._skip(_BLANK_LINES if nested else _BLANK)
        parts: list[Expand] = []
        while (part := self._part()) is not None:
            parts.append(self._repeated(part))
            self._skip(_BLANK_LINES if nested else _BLANK)

        def say(open_rules: frozenset[str]) -> str | None:
            said = [part(open_rules) for part in parts]
            return None if None in said else "".join(text or "" for text in said)

        return say

    def _part(self) -> Expand | None:
        """A literal, class, group or name; None where none of them begins."""
        start = self._peek()
        if start == '"':
            return _always(self._literal())
        if start == "[":
            return _always(self._class())
        if start == ".":
            self.at += 1
            return _always(_SHOWN[0])
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
        """The part as often as what stands behind it says: as seldom as allowed, but once if that is allowed."""
        least, times = 1, 1
        found = _REPEAT.match(self.text, self.at)
        if found:
            least = int(found[1])
            most = int(found[3]) if found[3] else (max(least, 1) if found[2] else least)
            if most < least:
                raise self._wrong("a repetition whose end is not below its start")
            times, self.at = min(max(least, 1), most), found.end()
        elif self._peek() and self._peek() in "?*+":
            least = int(self._peek() == "+")
            self.at += 1
        elif self._peek() == "{":
            raise self._wrong("a repetition like {1,40}")

        def say(open_rules: frozenset[str]) -> str | None:
            said = part(open_rules) if times else ""
            return said * times if said is not None else ("" if least == 0 else None)

        return say

    # -- characters -------------------------------------------------------------------------------------------------

    def _literal(self) -> str:
        self.at += 1
        said = ""
        while self._peek() != '"':
            said += self._character("a closing quotation mark")
        self.at += 1
        return said

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
        for candidate in chain(_SHOWN, map(chr, range(1, 0xD800))):
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
        found = blank.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _name(self) -> str:
        found = _NAME.match(self.text, self.at)
        if not found:
            raise self._wrong("a name")
        self.at = found.end()
        return str(found[0])

    def _expect(self, word: str) -> None:
        if not self.text.startswith(word, self.at):
            raise self._wrong(repr(word))
        self.at += len(word)

    def _wrong(self, expected: str) -> RequestError:
        line = self.text.count("\n", 0, self.at) + 1
        return RequestError(f"the grammar is not valid GBNF: line {line} should go on with {expected}")


def _always(said: str) -> Expand:
    return lambda _open_rules: said
