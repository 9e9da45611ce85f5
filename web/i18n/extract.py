"""`python -m web.i18n.extract` (`make words`): brings every messages.po up to date with the words in the code.

What it does: collects the marked texts of Python, templates and scripts and the sentences of other rooms, keeps the
translations that are there, adds new texts without one, and drops what nobody says any more. The files say where a text
stands, but no line numbers and no dates: they change only when words do.
What it refuses to know: how good a translation is (tests/web/test_words.py finds missing ones).
"""

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from web.i18n.catalogue import LANGUAGES, po_file
from web.i18n.sentences import NOUNS, SENTENCES

WEB = Path(__file__).parents[1]
WAYS: dict[str, tuple[Any, dict[str, Any]]] = {  # how to read a file, and which calls in it hold a text
    ".py": ("python", {"gettext": None, "lazy": None, "marked": None}),
    ".html": (babel_extract, {"_": None, "gettext": None, "ngettext": (1, 2)}),
    ".js": ("javascript", {"t": None, "tn": (1, 2)}),
}
_OPTIONS = {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}
WIDTH = 120


def words() -> Catalog:
    """Every text that needs a translation, with the files in which it stands."""
    found = Catalog(charset="utf-8")
    for path in sorted(WEB.rglob("*")):
        name = f"web/{path.relative_to(WEB).as_posix()}"
        for text, comments in _texts(path):
            found.add(text, locations=[(name, 0)], auto_comments=comments)
    for reason, sentence in SENTENCES.items():
        found.add(sentence, locations=[("web/i18n/sentences.py", 0)], auto_comments=[reason])
    for noun in NOUNS:
        found.add(noun, locations=[("web/i18n/sentences.py", 0)], auto_comments=["not_found: what"])
    return found


def updated(language: str) -> bytes:
    """The file of a language as it should be now."""
    path = po_file(language)
    with path.open("rb") if path.is_file() else BytesIO() as file:
        kept = read_po(file, locale=language)
    made = words()
    for message in made:
        old = kept.get(message.id)
        if message.id and old is not None:
            message.string = old.string
    made.locale = language
    out = BytesIO()
    write_po(out, made, width=WIDTH, omit_header=True, include_lineno=False)
    return out.getvalue()


def main() -> int:
    """Write the files. Returns the exit status."""
    for language in LANGUAGES:
        if language != "en":
            po_file(language).parent.mkdir(parents=True, exist_ok=True)
            po_file(language).write_bytes(updated(language))
    return 0


def _texts(path: Path) -> Iterator[tuple[Any, list[str]]]:
    if path.suffix not in WAYS:
        return
    method, keywords = WAYS[path.suffix]
    with path.open("rb") as file:
        for _, text, comments, _ in extract(method, file, keywords, ["i18n:"], _OPTIONS):
            yield text, list(comments)


if __name__ == "__main__":
    sys.exit(main())
