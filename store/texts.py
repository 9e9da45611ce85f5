"""Text sanitizing: no NUL, no lone surrogates, uniform line ends; display names and their comparison keys.

What it refuses to know: what the text means (macros: macros/resolver.py).
"""

import unicodedata

MAX_TEXT = 20_000
MAX_NAME = 40


def clean(text: str) -> str:
    """`text` with line ends as newlines, without NUL characters, with halves of broken pairs replaced by U+FFFD."""
    valid = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return valid.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def clean_name(name: str) -> str:
    """`name` on one line with single spaces; empty when it is too long, or has invisible characters."""
    words = " ".join(unicodedata.normalize("NFC", clean(name)).split())
    visible = all(unicodedata.category(character)[0] != "C" for character in words)
    return words if visible and len(words) <= MAX_NAME else ""


def name_key(name: str) -> str:
    """The uniqueness key of a name: equal for names that differ only in case, width or spaces."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", clean_name(name)).casefold())
