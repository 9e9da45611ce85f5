"""Which language a person reads, and what we say in it.

What it does: the language is the account's; before signing in, what was chosen at the door; else what the browser
asks for. `gettext`, `ngettext` and `lazy` say our own words in it, also in templates (as `_`). Errors of other
rooms bring a reason and values: `say` makes a sentence of them, with the words in `sentences.py`.
What it refuses to know: where translations lie (catalogue.py).
To add a text: write it in English inside `_()` in a template, `gettext()` in Python, `t()` in a script; `make words`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from babel.support import LazyProxy
from flask import Flask, g, has_request_context, request, session
from flask_login import current_user

from store.errors import Failure
from web.i18n.catalogue import LANGUAGES, script_words, words_of
from web.i18n.sentences import SENTENCES

ENGLISH = "en"
CHOSEN = "language"  # in the session of somebody who is not signed in


def init_app(app: Flask) -> None:
    """Give templates `_`, `{% trans %}`, the language and the words for scripts."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.policies["ext.i18n.trimmed"] = True
    app.jinja_env.install_gettext_callables(_plain, _plain_plural, newstyle=True)  # type: ignore[attr-defined]
    app.context_processor(lambda: {"language": language(), "languages": LANGUAGES})
    app.add_template_global(lambda: script_words(language()), "script_words")


def language() -> str:
    """The code of the language of the current request."""
    if not has_request_context():
        return ENGLISH
    if "language" not in g:
        g.language = _account() or _door() or _browser() or ENGLISH
    chosen: str = g.language
    return chosen


def choose(wanted: str) -> None:
    """Keep what somebody who is not signed in chose at the door; nonsense is not kept."""
    if wanted in LANGUAGES:
        session[CHOSEN] = wanted


def chosen() -> str | None:
    """What was chosen at the door in this session, if anything was."""
    return _door()


def gettext(text: str, **values: Any) -> str:
    """One of our texts in the language of the request; `values` fill its %(name)s."""
    said = _plain(text)
    return said % values if values else said


def lazy(text: str) -> LazyProxy:
    """The same, for texts that are written before there is a request."""
    return LazyProxy(_plain, text, enable_cache=False)


def marked(text: str) -> str:
    """Only says that this text is ours and has a translation; who shows it translates it."""
    return text


def gettext_in(text: str, to: str) -> str:
    """One of our texts in the language `to`."""
    return words_of(to).gettext(text) if text else text


class Reasoned(Protocol):
    """An error of another room, or a value that says why something failed."""

    @property
    def reason(self) -> str:
        """A key of SENTENCES."""

    @property
    def values(self) -> Mapping[str, str | int]:
        """What fills the {names} of its sentence."""


def say(error: Reasoned, to: str | None = None) -> str:
    """The sentence of an error in the language `to`, or that of the request.

    What has no sentence of ours says what it brings as `message`, in English, else its reason.
    """
    to = to or language()
    sentence = SENTENCES.get(error.reason)
    if sentence is None:
        return gettext_in(str(error.values.get("message", "")), to) or error.reason
    named = {name: gettext_in(str(value), to) if name == "what" else value for name, value in error.values.items()}
    return gettext_in(sentence, to).format(**named)


def say_all(payload: Mapping[str, Any], to: str) -> Mapping[str, Any]:
    """What a tab is told, with the sentence of every error in it in the language `to`, and the narrator called so."""
    if to == ENGLISH and not payload.get("error") and not payload.get("unanswered"):
        return payload
    said = dict(payload)
    if said.get("error"):
        said["error"] = _said_error(said["error"], to)
    if said.get("unanswered"):
        said["unanswered"] = say_all(said["unanswered"], to)
    for part in ("message", "now"):
        if isinstance(said.get(part), Mapping):
            said[part] = _named(said[part], to)
    if said.get("messages"):
        said["messages"] = [_named(one, to) for one in said["messages"]]
    return _named(said, to)


def _said_error(error: Mapping[str, Any], to: str) -> dict[str, str]:
    """{code, message} of a reason and its values, or of a sentence of ours in English."""
    if "reason" in error:
        return {"code": error["code"], "message": say(Failure(error["reason"], error["values"]), to)}
    return {"code": error["code"], "message": gettext_in(error["message"], to)}


NARRATOR = marked("Narrator")


def _named(one: Mapping[str, Any], to: str) -> dict[str, Any]:
    """A message, or the beginning of one: a narrator who has no name of his own is called so in this language."""
    is_narrator = one.get("role") == "narrator" and one.get("name") == NARRATOR
    return {**one, "name": words_of(to).gettext(NARRATOR)} if is_narrator else dict(one)


def _account() -> str | None:
    locale = current_user.view.locale if current_user.is_authenticated else None
    return locale if locale in LANGUAGES else None


def _door() -> str | None:
    wanted = session.get(CHOSEN)
    return wanted if wanted in LANGUAGES else None


def _browser() -> str | None:
    """What the browser likes best of what there is; `zh-TW` gets what there is for `zh`."""
    wanted = (tag.split("-")[0].lower() for tag, quality in request.accept_languages if quality > 0)
    return next((one for one in wanted if one in LANGUAGES), None)


def _plain(text: str) -> str:
    return words_of(language()).gettext(text) if text else text


def _plain_plural(one: str, many: str, n: int) -> str:
    return words_of(language()).ngettext(one, many, n)
