"""Password reset: an admin makes a link for a person, and whoever has the link chooses a new password.

What it does: the link is a signed token with the account's id and session epoch, valid for a day and stored nowhere.
Using it raises the epoch, so it works once; a changed password and signing out everywhere end it, too.
What it refuses to know: the old password, and anything else of the account.
"""

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from itsdangerous import BadData, URLSafeTimedSerializer
from wtforms import PasswordField

from store import accounts
from store.accounts import DAY_S
from store.errors import Refused
from store.views import UserView
from web import notices
from web.auth import passwords
from web.auth.accounts import NEW_PASSWORD, Page, sign_in
from web.auth.hashing_queue import KNOWN
from web.auth.rate_limits import PER_ADDRESS, is_familiar, limiter
from web.i18n.language import lazy
from web.services import services

blueprint = Blueprint("password_resets", __name__)


class ResetForm(FlaskForm):  # type: ignore[misc]
    """Only a new password."""

    password = PasswordField(lazy("New password"), NEW_PASSWORD)


def make_token(person: UserView) -> str:
    """The token of a reset link, the last part of its address."""
    return _signer().dumps([person.id, person.session_epoch])


@blueprint.get("/reset/<token>")
@limiter.limit(PER_ADDRESS, exempt_when=lambda: is_familiar() or _is_ours())
def show(token: str) -> Page:
    """The form, or that the link is not valid."""
    account = _user_of(token)
    page = render_template("password_reset.html", account=account, form=ResetForm() if account else None)
    return page if account else (page, 410)


@blueprint.post("/reset/<token>")
@limiter.limit(PER_ADDRESS, exempt_when=lambda: is_familiar() or _is_ours())
def submit(token: str) -> Page:
    """Save the new password, end every session, sign in here."""
    account, form = _user_of(token), ResetForm()
    if account is None:
        return render_template("password_reset.html", account=None, form=None), 410
    if not form.validate():
        return render_template("password_reset.html", account=account, form=form), 422
    with KNOWN.turn():
        hashed = passwords.hash_password(form.password.data)
    try:
        changed = accounts.change_password(services().database, account.id, hashed, epoch=account.session_epoch)
    except Refused:  # the same link was used twice at the same moment
        return render_template("password_reset.html", account=None, form=None), 410
    sign_in(changed)
    notices.done("password")
    return redirect(url_for("home.show"))


def _is_ours() -> bool:
    """Whether the link of this request was made here: such a one opens, whoever else tries at this address."""
    return _user_of((request.view_args or {}).get("token", "")) is not None


def _user_of(token: str) -> UserView | None:
    """The account of a token; None when it is forged, expired or used."""
    try:
        user_id, epoch = _signer().loads(token, max_age=DAY_S)
    except (BadData, ValueError, TypeError):
        return None
    person = accounts.get_user(services().database, str(user_id))
    is_valid = person is not None and person.session_epoch == epoch and person.suspended_at is None
    return person if is_valid else None


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="reset of a password")
