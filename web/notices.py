"""Notices (flash messages): one line at the top of the next page that says what was done, or why it was not.

What it does: carries a code in the session; the words are in templates/_notices.html and in web/i18n/sentences.py.
A form that was refused comes back with what was typed, after a redirect to the page that it stands on
(post/redirect/get): `bring_back` carries it there, `brought_back` takes it, once. Passwords are never carried.
"""

from collections.abc import Mapping
from typing import Any

from flask import Flask, flash, session

from store.errors import Refused
from web.i18n.language import error_sentence

_FORM, MAX_TYPED = "form that comes back", 40


def done(code: str) -> None:
    """Say on the next page that something was done."""
    flash(code, "done")


def refused(refusal: Refused) -> None:
    """Say on the next page why something was not done."""
    said: Any = {"reason": refusal.reason, "values": dict(refusal.values)}
    flash(said, "refused")


def bring_back(form: str, errors: Mapping[str, str], typed: Mapping[str, str] | None = None) -> None:
    """Keep a refused form for the next page: its name, its errors by field, what was typed into its short fields."""
    short = {name: value[:MAX_TYPED] for name, value in (typed or {}).items()}
    session[_FORM] = {"form": form, "errors": dict(errors), "typed": short}


def brought_back(form: str) -> dict[str, Any] | None:
    """The refused form of this name, `errors` and `typed`; None when none is on its way back."""
    if session.get(_FORM, {}).get("form") != form:
        return None
    kept: dict[str, Any] = session.pop(_FORM)
    return kept


def init_app(app: Flask) -> None:
    """Give templates `refusal(code, values)`, the sentence of a refusal."""
    app.add_template_global(_refusal, "refusal")


def _refusal(code: str, values: Mapping[str, str | int] | None = None) -> str:
    return error_sentence(Refused(code, **(values or {})))
