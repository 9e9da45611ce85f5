"""The locale of a request, and translation into it.

What it does: the locale is that of the account; before signing in, the one chosen on the sign-in page; else the best of
the browser's Accept-Language. `gettext`, `ngettext` and `lazy` translate our own texts, also in templates (as `_`).
Errors of store and worker come as a reason and values: `error_sentence` makes the sentence (texts: sentences.py).
What it refuses to know: where translations are stored (catalogue.py).
To add a text: 1. write it in English inside `_()` in a template, `gettext()`, `lazy()` or `marked()` in Python, `t()`
or `tn()` in a script; 2. run `make words`; 3. translate the new entry in web/translations/zh/LC_MESSAGES/messages.po
(tests/web/test_words.py fails until every text has a translation). The sentence of an error: sentences.py.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from babel.support import LazyProxy
from flask import Flask, g, has_request_context, request, session
from flask_login import current_user

from store.error_texts import filled
from store.errors import Failure
from web.i18n.catalogue import LANGUAGES, script_words, translations_of
from web.i18n.sentences import SENTENCES

ENGLISH = "en"
CHOSEN = "language"  # key in the cookie session of a person who is not signed in


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
        g.language = _of_account() or chosen() or _of_browser() or ENGLISH
    code: str = g.language
    return code


def choose(wanted: str) -> None:
    """Keep the language chosen before signing in; an unknown code is ignored."""
    if wanted in LANGUAGES:
        session[CHOSEN] = wanted


def chosen() -> str | None:
    """The language chosen before signing in; None if none was."""
    wanted = session.get(CHOSEN)
    return wanted if wanted in LANGUAGES else None


def gettext(text: str, **values: Any) -> str:
    """A text of ours in the language of the request; `values` fill its %(name)s."""
    translation = _plain(text)
    return translation % values if values else translation


def lazy(text: str) -> LazyProxy:
    """Like `gettext`, translated when it is shown: for texts that are declared before there is a request."""
    return LazyProxy(_plain, text, enable_cache=False)


def marked(text: str) -> str:
    """Mark a text for extraction without translating it (gettext_noop); the code that shows it translates it."""
    return text


def gettext_in(text: str, to: str) -> str:
    """A text of ours in the language `to`."""
    return translations_of(to).gettext(text) if text else text


def best_of(accepted: Iterable[tuple[str, float]]) -> str | None:
    """The best of a browser's Accept-Language that we have, of (tag, quality); `zh-TW` gets `zh`."""
    wanted = (tag.split("-")[0].lower() for tag, quality in accepted if quality > 0)
    return next((code for code in wanted if code in LANGUAGES), None)


class Reasoned(Protocol):
    """An error of another room, or a value that says why something failed."""

    @property
    def reason(self) -> str:
        """A key of SENTENCES."""

    @property
    def values(self) -> Mapping[str, str | int]:
        """What fills the {names} of its sentence."""


def error_sentence(error: Reasoned, to: str | None = None) -> str:
    """The sentence of an error in the language `to`; without it, in that of the request.

    A reason that SENTENCES does not have gives the value `message` (English), else the reason itself.
    """
    to = to or language()
    sentence = SENTENCES.get(error.reason)
    if sentence is None:
        return gettext_in(str(error.values.get("message", "")), to) or error.reason
    named = {name: gettext_in(str(value), to) if name == "what" else value for name, value in error.values.items()}
    return filled(gettext_in(sentence, to), named)


def translate_frame(frame: Mapping[str, Any], to: str) -> Mapping[str, Any]:
    """A frame for a tab, with the sentences of its errors and the name of the narrator in the language `to`."""
    if to == ENGLISH and not frame.get("error") and not frame.get("unanswered"):
        return frame
    translated = dict(frame)
    if translated.get("error"):
        translated["error"] = _translated_error(translated["error"], to)
    if translated.get("unanswered"):
        translated["unanswered"] = translate_frame(translated["unanswered"], to)
    for part in ("message", "now"):
        if isinstance(translated.get(part), Mapping):
            translated[part] = _with_narrator(translated[part], to)
    if translated.get("messages"):
        translated["messages"] = [_with_narrator(message, to) for message in translated["messages"]]
    return _with_narrator(translated, to)


def _translated_error(error: Mapping[str, Any], to: str) -> dict[str, str]:
    """{code, message} of {code, reason, values}, or of {code, message} in English."""
    if "reason" in error:
        return {"code": error["code"], "message": error_sentence(Failure(error["reason"], error["values"]), to)}
    return {"code": error["code"], "message": gettext_in(error["message"], to)}


NARRATOR = marked("Narrator")


def _with_narrator(message: Mapping[str, Any], to: str) -> dict[str, Any]:
    """A message or `part` event; a narrator without a name of its own gets the word for narrator in this language."""
    is_narrator = message.get("role") == "narrator" and message.get("name") == NARRATOR
    return {**message, "name": translations_of(to).gettext(NARRATOR)} if is_narrator else dict(message)


def _of_account() -> str | None:
    locale = current_user.view.locale if current_user.is_authenticated else None
    return locale if locale in LANGUAGES else None


def _of_browser() -> str | None:
    return best_of(request.accept_languages)


def _plain(text: str) -> str:
    return translations_of(language()).gettext(text) if text else text


def _plain_plural(one: str, many: str, n: int) -> str:
    return translations_of(language()).ngettext(one, many, n)
