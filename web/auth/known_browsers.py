"""Known browsers: a signed cookie that names the accounts under which this browser has signed in.

What it does: tries to sign in as somebody are counted apart for a browser that has been this person before, so that a
stranger who guesses at a name delays other strangers only. The cookie lets nobody in. It holds for an account until its
session epoch changes (a new password, signing out everywhere).
What it refuses to know: passwords, and how tries are counted (store/broker/sign_in_tries.py).
"""

import secrets

from flask import Flask, after_this_request, current_app, request
from itsdangerous import BadData, URLSafeSerializer
from werkzeug.wrappers import Response

from store.views import UserView

COOKIE = "inglenook_browser"
LASTS_S = 400 * 86_400  # as long as browsers keep a cookie
MAX_PEOPLE = 8  # of one browser; who signed in last stays
Known = tuple[str, dict[str, int]]  # the browser's own id; account id -> session epoch


def remember(user: UserView) -> None:
    """This browser has just signed in as `user`: the answer to this request brings its cookie."""
    browser, people = _own()
    others = [(person, epoch) for person, epoch in people.items() if person != user.id]
    value = signer(current_app).dumps([browser, dict([*others, (user.id, user.session_epoch)][-MAX_PEOPLE:])])

    @after_this_request
    def _set(response: Response) -> Response:
        secure = current_app.session_interface.get_cookie_secure(current_app)
        response.set_cookie(COOKIE, value, max_age=LASTS_S, secure=secure, httponly=True, samesite="Lax")
        return response


def known_as(user: UserView | None) -> str | None:
    """The id of this browser if it has been signed in as `user` before, else None."""
    browser, people = _own()
    return browser if user is not None and people.get(user.id) == user.session_epoch else None


def is_known() -> bool:
    """Whether somebody has been signed in in this browser before."""
    return bool(_own()[1])


def read(signed: URLSafeSerializer, cookie: str) -> Known:
    """What a cookie says; a new browser's own id and nobody where it is not ours."""
    try:
        browser, people = signed.loads(cookie)
        return str(browser), {str(person): int(epoch) for person, epoch in people.items()}
    except (BadData, ValueError, TypeError, AttributeError):
        return secrets.token_hex(8), {}


def signer(app: Flask) -> URLSafeSerializer:
    """What signs the cookies of an application."""
    return URLSafeSerializer(str(app.secret_key), salt="known browser")


def _own() -> Known:
    return read(signer(current_app), request.cookies.get(COOKIE, ""))
