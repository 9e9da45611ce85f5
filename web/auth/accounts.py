"""Sign-up with an invitation, sign-in, sign-out; the decorators of pages that need an account.

What it does: the cookie carries the account's id, its session epoch and the key of its own session: signing out ends
that one in SQL, raising the epoch ends every one (store/sign_ins.py).
What it refuses to know: settings of an account (account_settings.py) and accounts of others (admin/people.py).
To add a page for one role only: a decorator like `admin_only`, and the role in ROUTES of tests/web/test_access.py.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask_login import UserMixin, current_user, login_required, login_user, logout_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from store import accounts, sign_ins
from store.errors import Refused
from store.views import UserView
from web.auth import known_browsers, password_tries, passwords
from web.auth.hashing_queue import KNOWN
from web.auth.rate_limits import PER_ADDRESS, PER_LINK, is_familiar, limiter, token_key
from web.auth.session_cookie import key_of, new_key, now_or_signed_at
from web.errors import Problem
from web.i18n import language
from web.i18n.language import error_sentence, gettext, lazy
from web.services import services

blueprint = Blueprint("accounts", __name__)
Page = str | Response | tuple[str, int] | tuple[str, int, dict[str, str]]
View = TypeVar("View", bound=Callable[..., Any])


class SignedIn(UserMixin):  # type: ignore[misc]
    """The account of a request, for flask-login. The session epoch is in the key: raising it ends every session."""

    def __init__(self, view: UserView) -> None:
        self.view = view

    def get_id(self) -> str:
        """What the cookie carries."""
        return f"{self.view.id}:{self.view.session_epoch}"


class NameForm(FlaskForm):  # type: ignore[misc]
    """Name and password."""

    name = StringField(
        lazy("Name"), [InputRequired(lazy("Write your name.")), Length(max=80, message=lazy("That name is too long."))]
    )
    password = PasswordField(
        lazy("Password"),
        [
            InputRequired(lazy("Write your password.")),
            Length(max=passwords.MAX_LENGTH, message=lazy("That password is too long.")),
        ],
    )


NEW_PASSWORD = [
    InputRequired(lazy("Choose a password.")),
    Length(
        min=passwords.MIN_LENGTH,
        max=passwords.MAX_LENGTH,
        message=lazy("A password has %(min)d characters or more; a short sentence is fine."),
    ),
]


class SignUpForm(NameForm):
    """The same, with a password that is long enough."""

    password = PasswordField(lazy("Password"), NEW_PASSWORD)


def signed_in(view: View) -> View:
    """Decorator of pages that need an account (flask-login's, with its type)."""
    return cast(View, login_required(view))


def admin_only(view: View) -> View:
    """Decorator of pages that only an admin may see."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if me().role != "admin":
            raise Problem(403, "not_allowed", gettext("Only an admin can open this page."))
        return view(*args, **kwargs)

    return signed_in(cast(View, guarded))


def me() -> UserView:
    """The account that is signed in. Only in a view that is `signed_in`."""
    view: UserView = current_user.view
    return view


@blueprint.get("/login")
def login() -> Page:
    """The sign-in form."""
    if current_user.is_authenticated:
        return redirect(url_for("home.show"))
    return render_template("login.html", form=NameForm())


@blueprint.post("/login")
@limiter.limit(PER_ADDRESS, exempt_when=is_familiar)
def submit_login() -> Page:
    """Sign in."""
    form = NameForm()
    if not form.validate():
        return render_template("login.html", form=form), 422
    user = accounts.find_user(services().database, form.name.data)
    if wait_s := password_tries.begin(form.name.data, user):
        form.password.errors = [gettext("Too many tries: wait %(n)d seconds, then try again.", n=wait_s)]
        return render_template("login.html", form=form), 429, {"Retry-After": str(wait_s)}
    if not (password_tries.is_password(form.name.data, user, form.password.data) and user):
        form.password.errors = [error_sentence(Refused("bad_password"))]
        return render_template("login.html", form=form), 422
    if user.suspended_at is not None:
        form.password.errors = [error_sentence(Refused("suspended"))]
        return render_template("login.html", form=form), 403
    _store_language(user, language.chosen())
    sign_in(user)
    return redirect(safe_next_url(request.args.get("next", "")))


@blueprint.get("/invite/<token>")
def sign_up_form(token: str) -> Page:
    """The sign-up form of an invitation."""
    try:
        invited = accounts.find_invite(services().database, token)
    except Refused:
        return render_template("invite.html", form=None), 410
    return render_template("invite.html", form=SignUpForm(data={"name": invited.name}))


@blueprint.post("/invite/<token>")
@limiter.limit(PER_LINK, key_func=token_key)
def submit_sign_up(token: str) -> Page:
    """Sign up."""
    form = SignUpForm()
    if not form.validate():
        return render_template("invite.html", form=form), 422
    accounts.find_invite(services().database, token)  # before the costly hash
    with KNOWN.turn():
        hashed = passwords.hash_password(form.password.data)
    try:
        user = accounts.sign_up(services().database, token, form.name.data, hashed)
    except Refused as refusal:
        if refusal.code == "bad_invite":
            raise
        form.name.errors = [error_sentence(refusal)]
        return render_template("invite.html", form=form), 422
    _store_language(user, language.language())
    sign_in(user)
    return redirect(url_for("home.show"))


@blueprint.post("/language")
def choose_language() -> Page:
    """Change the language of a browser that is not signed in; an account has a setting for it."""
    language.choose(request.form.get("language", ""))
    return redirect(safe_next_url(request.form.get("back", "")))


@blueprint.post("/logout")
@signed_in
def logout() -> Page:
    """Sign out of this browser: no copy of its cookie counts any more."""
    sign_ins.end_session(services().database, me().id, key_of(session), now_or_signed_at())
    logout_user()
    session.clear()
    return redirect(url_for("accounts.login"))


def sign_in(user: UserView) -> None:
    """Sign this browser in, with the current session epoch of the account."""
    session.clear()  # nothing of an earlier session survives a sign-in
    new_key(session)
    login_user(SignedIn(user))
    known_browsers.remember(user)


def _store_language(user: UserView, locale: str | None) -> None:
    """Make the language that was chosen before the sign-in the language of the account."""
    if locale:
        accounts.set_preferences(services().database, user.id, locale=locale)


def safe_next_url(url: str) -> str:
    """The address to go to after a form. Guards against open redirects: only a path of this server, else the home
    page."""
    is_local = url.startswith("/") and not url.startswith(("//", "/\\")) and url.isprintable()
    return url if is_local else url_for("home.show")
