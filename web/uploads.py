"""Upload gate: a body longer than a form holds a thread while it is read; only people who are signed in may send one.

What it does: refuses longer bodies of strangers unread; counts those of people, in all and for each (PersonLimiter).
What it refuses to know: how long a body of which page may be (file_transfer.py), and how fast it has to come
(server/paced_reader.py).
"""

from flask import Flask, g, request
from flask_login import current_user
from werkzeug.exceptions import RequestEntityTooLarge

from web.auth.accounts import me
from web.errors import Problem
from web.i18n.language import gettext
from web.services import services


def init_app(app: Flask) -> None:
    """Register the gate. Nothing that reads a form may be registered before it."""
    app.before_request(_gate)
    app.teardown_request(_release)


def _gate() -> None:
    if (request.content_length or 0) <= request.max_content_length:  # type: ignore[operator]  # set by app.py
        return
    if not current_user.is_authenticated:
        raise RequestEntityTooLarge
    if not services().upload_limiter.acquire(me().id):
        sentence = gettext("Other files are still on their way: wait until they have arrived, then try again.")
        raise Problem(503, "too_many_uploads", sentence, {"Retry-After": "10"})
    g.upload_of = me().id


def _release(_error: BaseException | None) -> None:
    user_id = g.pop("upload_of", None)
    if user_id is not None:
        services().upload_limiter.release(user_id)
