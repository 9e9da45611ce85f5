"""Notices (flash messages): one line at the top of the next page that says what was done, or why it was not.

What it does: carries a code in the session; the words are in templates/_notices.html and in web/i18n/sentences.py.
"""

from flask import Flask, flash

from store.errors import Refused
from web.i18n.language import error_sentence


def done(code: str) -> None:
    """Say on the next page that something was done."""
    flash(code, "done")


def refused(refusal: Refused) -> None:
    """Say on the next page why something was not done."""
    flash(refusal.reason, "refused")


def init_app(app: Flask) -> None:
    """Give templates `refusal(code)`, the sentence of a refusal."""
    app.add_template_global(_refusal, "refusal")


def _refusal(code: str) -> str:
    return error_sentence(Refused(code))
