"""`python -m web.i18n.extract` (`make words`): extracts texts from the code and updates every messages.po.

What it does (xgettext and msgmerge in one): collects the marked texts of Python, templates and scripts and the
sentences of errors, keeps existing translations, adds new texts without one, and drops texts that are gone. A .po file
names the files of a text, but no line numbers and no dates, so that it changes only when texts do.
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
EXTRACTORS: dict[str, tuple[Any, dict[str, Any]]] = {  # by suffix: method of babel, functions of texts
    ".py": ("python", {"gettext": None, "lazy": None, "marked": None}),
    ".html": (babel_extract, {"_": None, "gettext": None, "ngettext": (1, 2)}),
    ".js": ("javascript", {"t": None, "tn": (1, 2)}),
}
_OPTIONS = {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}
WIDTH = 120


def collect_messages() -> Catalog:
    """Every text that needs a translation, with the files that contain it."""
    messages = Catalog(charset="utf-8")
    for path in sorted(WEB.rglob("*")):
        name = f"web/{path.relative_to(WEB).as_posix()}"
        for text, comments in _texts(path):
            messages.add(text, locations=[(name, 0)], auto_comments=comments)
    for reason, sentence in SENTENCES.items():
        messages.add(sentence, locations=[("web/i18n/sentences.py", 0)], auto_comments=[reason])
    for noun in NOUNS:
        messages.add(noun, locations=[("web/i18n/sentences.py", 0)], auto_comments=["not_found: what"])
    return messages


def updated(language: str) -> bytes:
    """The updated .po file of a language, as bytes."""
    path = po_file(language)
    with path.open("rb") if path.is_file() else BytesIO() as file:
        before = read_po(file, locale=language)
    messages = collect_messages()
    for message in messages:
        old = before.get(message.id)
        if message.id and old is not None:
            message.string = old.string
    messages.locale = language
    out = BytesIO()
    write_po(out, messages, width=WIDTH, omit_header=True, include_lineno=False)
    return out.getvalue()


def main() -> int:
    """Write the files. Returns the exit status."""
    for language in LANGUAGES:
        if language != "en":
            po_file(language).parent.mkdir(parents=True, exist_ok=True)
            po_file(language).write_bytes(updated(language))
    return 0


def _texts(path: Path) -> Iterator[tuple[Any, list[str]]]:
    if path.suffix not in EXTRACTORS:
        return
    method, keywords = EXTRACTORS[path.suffix]
    with path.open("rb") as file:
        for _, text, comments, _ in extract(method, file, keywords, ["i18n:"], _OPTIONS):
            yield text, list(comments)


if __name__ == "__main__":
    sys.exit(main())
