"""Macros in the texts of cards, such as {{char}} and {{user}}.

What it does: `resolve` replaces the macros of this list, case-insensitively, in one pass from left to right:
{{char}} <CHAR> <BOT>, {{user}} <USER>, {{original}}, {{newline}}, {{noop}}, {{trim}} (eats the line ends around it),
{{//a comment}} and {{comment: text}} (nothing). Unknown macros stay as they are.
What it refuses to know: chats. Resolve once, when a text becomes part of a chat: replay must give the same tokens.
To add a macro: extend the pattern and `values`. What a macro inserts is never searched for macros again.
"""

import re

_MACRO = re.compile(
    r"\n*\{\{\s*trim\s*\}\}\n*"
    r"|\{\{\s*(?P<name>char|user|original|newline|noop)\s*\}\}"
    r"|\{\{\s*(?://|comment:)(?:[^{}]|\{(?!\{)|\}(?!\}))*\}\}"
    r"|<(?P<tag>user|char|bot)>",
    re.IGNORECASE,
)


def resolve(text: str, *, char: str, user: str, original: str = "") -> str:
    """`text` with its macros replaced. `char` and `user` are names, `original` is the text that this one replaces."""
    values = {
        "char": char,
        "bot": char,
        "user": user,
        "original": original,
        "newline": "\n",
    }

    def value(match: re.Match[str]) -> str:
        name = match["name"] or match["tag"] or ""
        return values.get(name.lower(), "")

    return _MACRO.sub(value, text)
