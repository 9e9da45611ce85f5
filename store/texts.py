"""Text as people send it, made safe to keep: nothing that a database, JSON or UTF-8 would refuse.

What it refuses to know: what the text means. Macros are in macros/resolve.py.
"""

import unicodedata

MAX_TEXT = 20_000
MAX_NAME = 40


def clean(text: str) -> str:
    """`text` with line ends as newlines, without NUL characters, with halves of broken pairs replaced by U+FFFD."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def clean_name(name: str) -> str:
    """`name` on one line with single spaces; empty when it is too long, or has invisible characters."""
    words = " ".join(unicodedata.normalize("NFC", clean(name)).split())
    visible = all(unicodedata.category(character)[0] != "C" for character in words)
    return words if visible and len(words) <= MAX_NAME else ""


def name_key(name: str) -> str:
    """What two names have in common when people would take them for the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", clean_name(name)).casefold())
