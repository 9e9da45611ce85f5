"""The settings of one's own account: theme, language, notifications, password, sign-out everywhere, export, deletion.

What it refuses to know: accounts of others (admin/people.py).
To add a setting: a column in store/models.py with its migration, its field in UserView (store/views/people.py), its
argument in `accounts.set_preferences`; here the form's view; templates/account_settings.html.
"""

import json

from flask import Blueprint, make_response, redirect, render_template, request, session, url_for
from flask_login import logout_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import PasswordField
from wtforms.validators import InputRequired, Length

from store import accounts, export, usage_limits
from store.error_texts import TEXTS
from store.errors import Refused
from web import notices
from web.auth import passwords
from web.auth.accounts import NEW_PASSWORD, Page, me, sign_in, signed_in
from web.auth.hashing_queue import KNOWN
from web.auth.rate_limits import PER_DOWNLOAD, limit_password_tries, limiter, user_key
from web.full_collections import full_collections
from web.i18n.language import error_sentence, gettext, lazy
from web.services import services

blueprint = Blueprint("settings", __name__, url_prefix="/settings")
SAMPLES = {"en": "Once upon a time, a lamp was lit on a rock in the sea.", "zh": "从前，海中的礁石上点起了一盏灯。"}
_WRONG = TEXTS["bad_password"]
_WRONG_FIELDS = "settings.wrong"  # of the session: field -> the sentence that says what is wrong in it
CURRENT_PASSWORD = [
    InputRequired(lazy("Write your password.")),
    Length(max=passwords.MAX_LENGTH, message=lazy(_WRONG)),
]


class ChangePasswordForm(FlaskForm):  # type: ignore[misc]
    """The old password and a new one."""

    old_password = PasswordField(lazy("Old password"), CURRENT_PASSWORD)
    new_password = PasswordField(lazy("New password"), NEW_PASSWORD)


class DeleteAccountForm(FlaskForm):  # type: ignore[misc]
    """The password once more, before the account is deleted."""

    password = PasswordField(lazy("Your password"), CURRENT_PASSWORD)


@blueprint.get("")
@signed_in
def show() -> Page:
    """The settings page; what was wrong in a form that was just sent stands in it."""
    password_form, delete_form = ChangePasswordForm(formdata=None), DeleteAccountForm(formdata=None)
    wrong = session.pop(_WRONG_FIELDS, {})
    for form in (password_form, delete_form):
        for field in form:
            field.errors = [wrong[field.name]] if field.name in wrong else []
    return render_template(
        "account_settings.html",
        me=me(),
        samples=SAMPLES,
        today=usage_limits.today(services().database, me()),
        password_form=password_form,
        delete_form=delete_form,
    )


@blueprint.post("/look")
@signed_in
def appearance() -> Response:
    """Save theme, size of the text and language."""
    theme, text_size, locale = (request.form.get(name) for name in ("theme", "text_size", "locale"))
    try:
        accounts.set_preferences(services().database, me().id, theme=theme, text_size=text_size, locale=locale)
        notices.done("look")
    except Refused as refusal:
        notices.refused(refusal)
    return redirect(url_for("settings.show"))


@blueprint.post("/done")
@signed_in
def notifications() -> Response:
    """Save how a finished reply is announced; a checkbox that is off is not in the form."""
    form = request.form
    accounts.set_preferences(services().database, me().id, notify="notify" in form, sound="sound" in form)
    notices.done("done")
    return redirect(url_for("settings.show"))


@blueprint.post("/password")
@signed_in
@limit_password_tries
def password() -> Response:
    """Change the password; every other browser is signed out."""
    form = ChangePasswordForm()
    if form.validate() and not _is_mine(form.old_password.data):
        form.old_password.errors = [gettext("This is not your password.")]
    if form.errors:
        return _back_to(form, "change-password")
    with KNOWN.turn():
        hashed = passwords.hash_password(form.new_password.data)
    sign_in(accounts.change_password(services().database, me().id, hashed))
    notices.done("password")
    return redirect(url_for("settings.show"))


@blueprint.post("/sign-out-everywhere")
@signed_in
def sign_out_everywhere() -> Response:
    """End every session but this one."""
    sign_in(accounts.sign_out_everywhere(services().database, me().id))
    notices.done("everywhere")
    return redirect(url_for("settings.show"))


@blueprint.get("/data")
@signed_in
@limiter.limit(PER_DOWNLOAD, key_func=user_key)
def download_data() -> Response:
    """Everything that is stored about the account, as a JSON file."""
    with full_collections.put_off():
        text = json.dumps(export.export_account(services().database, me().id), ensure_ascii=False, indent=1)
    response = make_response(text)
    response.mimetype = "application/json"
    response.headers["Content-Disposition"] = 'attachment; filename="inglenook-my-data.json"'
    return response


@blueprint.post("/delete")
@signed_in
@limit_password_tries
def delete() -> Response:
    """Delete the account with everything in it, at once."""
    form = DeleteAccountForm()
    if form.validate() and not _is_mine(form.password.data):
        form.password.errors = [gettext("This is not your password.")]
    if not form.errors:
        try:
            accounts.delete_account(services().database, me().id)
        except Refused as refusal:
            form.password.errors = [error_sentence(refusal)]
    if form.errors:
        return _back_to(form, "leave")
    logout_user()
    session.clear()
    notices.done("account-gone")
    return redirect(url_for("accounts.login"))


def _is_mine(password: str) -> bool:
    with KNOWN.turn():
        return passwords.is_password(me().password_hash, password)


def _back_to(form: FlaskForm, section: str) -> Response:
    """To the settings page, at a form in which something is wrong, so that its address is one to reload."""
    session[_WRONG_FIELDS] = {name: str(errors[0]) for name, errors in form.errors.items()}
    return redirect(url_for("settings.show", _anchor=section))
