"""Error handlers: every exception of a request becomes an error page or {"error": {"code", "message"}}.

What it does: maps exceptions to a status, a code and a sentence. Nothing else builds error answers.
What it refuses to know: the sentences of the store's errors (i18n/sentences.py).
To add an error: raise `Problem(status, code, gettext(sentence))`, or a StoreError from the store.
"""

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import BadHost, ClientDisconnected, HTTPException

from store.errors import NotFound, StoreError
from store.full_disk import is_full
from web.i18n.language import error_sentence, gettext, marked

log = logging.getLogger(__name__)
NOT_NOW = ("database", marked("The server cannot reach its database: try again in a moment."))
NO_ROOM = (
    "disk_full",
    marked("There is no room left on the server's disk, so nothing can be saved: tell an admin."),
)
UNEXPECTED = marked("That is our fault, and it was written down. Try again, or go back.")
TITLES = {
    400: marked("That did not arrive whole"),
    401: marked("Please sign in first"),
    403: marked("This door stays closed"),
    404: marked("Nothing here but embers"),
    405: marked("That is not how this door opens"),
    408: marked("That came too slowly"),
    413: marked("That is too much at once"),
    421: marked("This server has another address"),
    429: marked("Slowly, please"),
    500: marked("Something fell over"),
    503: marked("The server catches its breath"),
}
SENTENCES = {
    400: marked("Something was missing or torn on the way: go back, reload the page and try again."),
    405: marked("This address does not take what was asked of it."),
    408: marked("What you sent did not arrive whole, or too slowly: send it again over a better connection."),
    413: marked("Send less at once: a shorter text, a smaller picture, or fewer files."),
    429: marked("Too many tries: wait a minute, then try again."),
}


class Problem(Exception):
    """A refusal with an HTTP status: a stable code for programs and a sentence for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def error_json(code: str, message: str) -> dict[str, dict[str, str]]:
    """The one JSON shape of an error, for HTTP and for web sockets."""
    return {"error": {"code": code, "message": message}}


def not_now(error: Exception) -> tuple[str, str]:
    """Code and sentence for a database or Redis that does not do its work; the sentence is not translated yet."""
    return NO_ROOM if is_full(error) else NOT_NOW


def reason_json(error: StoreError) -> dict[str, Any]:
    """An error of the store before it is translated: `translate_frame` makes its sentence in the tab's language."""
    return {"error": {"code": error.code, "reason": error.reason, "values": dict(error.values)}}


def init_app(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(StoreError, _store_error)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(SQLAlchemyError, _database)
    app.register_error_handler(Exception, _unexpected)


def _answer(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    if wants_json() or isinstance(request.routing_exception, BadHost):  # pages have addresses, which want a host
        response = jsonify(error_json(code, message))
    else:
        title = TITLES.get(status, TITLES[500] if status >= 500 else TITLES[400])
        response = make_response(render_template("error.html", title=gettext(title), message=message, code=code))
    response.status_code = status
    response.headers.extend(headers or {})
    return response


def wants_json() -> bool:
    """Whether the client is a program, which prefers JSON to a page."""
    accept = request.accept_mimetypes
    return request.path in ("/ws", "/healthz", "/metrics") or accept.quality("application/json") > accept.quality(
        "text/html"
    )


def _problem(error: Problem) -> Response:
    return _answer(error.status, error.code, error.message, error.headers)


def _store_error(error: StoreError) -> Response:
    return _answer(404 if isinstance(error, NotFound) else 409, error.code, error_sentence(error))


def _csrf(error: CSRFError) -> Response:
    sentence = gettext("This form is too old or came from another page: go back, reload it and try again.")
    return _answer(400, "csrf", sentence)


def _http(error: HTTPException) -> Response:
    status = 408 if isinstance(error, ClientDisconnected) else error.code or 500  # its connection may be half open
    code = "too_slow" if status == 408 else (error.name or "error").lower().replace(" ", "_")
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After", "Location")}
    if 300 <= status < 400:
        return make_response(error.get_response())
    if status == 404:
        return _answer(status, code, error_sentence(NotFound()), headers)
    sentence = SENTENCES.get(status) or error.description or marked("This cannot be done.")
    return _answer(status, code, gettext(sentence), headers)


def _database(error: SQLAlchemyError) -> Response:
    log.error("The database did not answer.", exc_info=error)
    code, sentence = not_now(error)
    return _answer(503, code, gettext(sentence), {"Retry-After": "5"})


def _unexpected(error: Exception) -> Response:
    log.error("Unexpected error on %s %s", request.method, request.path, exc_info=error)
    return _answer(500, "unexpected", gettext(UNEXPECTED))
