"""Message catalogues: the translations of web/translations (gettext .po files), read into memory.

What it does: gives the catalogue of a language, for Python and templates (`translations_of`) and for the scripts of a
page (`script_words`). English is the language of the code, so it has no file. There are no compiled .mo files: a
changed .po file takes effect at the next start.
What it refuses to know: requests, and the language of a person (language.py).
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
    """The name of a language in that language, and its tag for <html lang>."""

    name: str
    tag: str


LANGUAGES = {"en": Language("English", "en"), "zh": Language("中文", "zh-Hans")}


def po_file(language: str) -> Path:
    """The path of the catalogue of a language."""
    return FOLDER / language / "LC_MESSAGES" / "messages.po"


@lru_cache
def catalogue(language: str) -> Catalog:
    """The catalogue of a language; empty for English."""
    path = po_file(language)
    if not path.is_file():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


@lru_cache
def translations_of(language: str) -> NullTranslations:
    """The translations of a language; without a catalogue, every text translates to itself."""
    messages = catalogue(language)
    if not len(messages):
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, messages)
    compiled.seek(0)
    return Translations(compiled)


@lru_cache
def script_words(language: str) -> dict[str, str]:
    """English text -> translation, for static/js/lib/i18n.js. Empty for English."""
    translations: dict[str, str] = {}
    for message in catalogue(language):
        if message.string and any(path.startswith(SCRIPTS) for path, _ in message.locations):
            translations[_first(message.id)] = _first(message.string)
    return translations


def _first(text: str | Sequence[str]) -> str:
    """The singular of a plural text; Chinese has no other form."""
    return text if isinstance(text, str) else text[0]
