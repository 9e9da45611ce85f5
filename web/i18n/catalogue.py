"""Our words in other languages, read from web/translations into memory.

What it does: finds the words of a language, for Python and templates (`words_of`) and for the scripts of a page
(`script_words`). English is what stands in the code, so it has no file. Nothing compiled lies on disk: a changed file
counts from the next start.
What it refuses to know: requests, and who reads what (language.py).
To add a language: its file (`make words` fills it), a line in LANGUAGES, its code in store.accounts.LOCALES.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

FOLDER = Path(__file__).parents[1] / "translations"
SCRIPTS = "web/static/js/"


@dataclass(frozen=True)
class Language:
    """How a language calls itself, and what <html lang> says."""

    name: str
    tag: str


LANGUAGES = {"en": Language("English", "en"), "zh": Language("中文", "zh-Hans")}


def po_file(language: str) -> Path:
    """Where the words of a language are."""
    return FOLDER / language / "LC_MESSAGES" / "messages.po"


@lru_cache
def catalogue(language: str) -> Catalog:
    """Everything that is translated; empty for English."""
    path = po_file(language)
    if not path.is_file():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


@lru_cache
def words_of(language: str) -> NullTranslations:
    """The words of a language; one that has none says what it is asked, in English."""
    made = catalogue(language)
    if not len(made):
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, made)
    compiled.seek(0)
    return Translations(compiled)


@lru_cache
def script_words(language: str) -> dict[str, str]:
    """What static/js/lib/i18n.js needs: English -> the language. Empty for English."""
    found: dict[str, str] = {}
    for message in catalogue(language):
        if message.string and any(path.startswith(SCRIPTS) for path, _ in message.locations):
            found[_first(message.id)] = _first(message.string)
    return found


def _first(text: str | Sequence[str]) -> str:
    """Of a text about a number of things, the form for one; Chinese has no other."""
    return text if isinstance(text, str) else text[0]
