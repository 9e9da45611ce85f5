"""The sentences of errors that web translates, by their reasons: a message catalogue in English.

What it does: SENTENCES joins the catalogues of the store (refusals, failed turns, card files) with web's own.
`language.error_sentence` puts values into a translated one.
What it refuses to know: languages. What is not here is shown as it came.
To add a sentence: where its error is raised from (store/error_texts.py, store/cards/errors.py), or here if web raises
it; then `make words` and its translations.
"""

from collections.abc import Mapping

from store.cards.errors import PROBLEMS
from store.error_texts import TEXTS

NOUNS = (
    "account",
    "character",
    "chat",
    "invitation",
    "lorebook",
    "message",
    "model",
    "note",
    "page",
    "persona",
    "picture",
    "preset",
    "turn",
    "wish",
)
"""What `not_found` may be about: its value `what` is translated too."""
SENTENCES: Mapping[str, str] = {
    **TEXTS,
    **PROBLEMS,
    "bad_frame": "This message makes no sense here ({details}). Reload the page.",
    "failed": "The reply could not be written. Try again.",
}
