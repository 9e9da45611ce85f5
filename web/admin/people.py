"""The admin's page of accounts: roles, limits, suspension, removal, invitations, links for a forgotten password.

What it refuses to know: chats and characters. An admin does not see other people's stories.
To add a setting of a person: a column in store/models.py with its migration, its field in UserView
(store/views/people.py), its setter in store/accounts.py; here `change`; templates/people.html.
"""

import re
import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from store import accounts
from store.accounts import DAY_S
from store.errors import NotFound, Refused
from store.links.addresses import machine_addresses
from store.links.offers import Offer, offers
from store.models import ROLES
from store.views import InviteView
from web import notices
from web.auth import password_resets
from web.auth.accounts import admin_only, me
from web.services import services

blueprint = Blueprint("people", __name__, url_prefix="/people")
EXPIRIES = (1, 7, 30)
DEFAULT_ROLE = "adult"
_MINUTES = re.compile(r"\d{1,4}", re.ASCII)
_FIELDS = ("role", "daily_minutes", "quiet_from", "quiet_until")


@blueprint.get("")
@admin_only
def show() -> str:
    """All accounts and invitations."""
    return _page()


@blueprint.post("/invitations")
@admin_only
def invite() -> Response | str:
    """Make an invitation. Its link is shown once: only a hash of it is stored."""
    days = request.form.get("days", type=int)
    try:
        role = request.form.get("role", DEFAULT_ROLE)
        ttl_s = float((days if days in EXPIRIES else EXPIRIES[1]) * DAY_S)
        created, token = accounts.create_invite(
            services().database, role, created_by=me().id, ttl_s=ttl_s, name=request.form.get("name", "")
        )
    except Refused as refusal:
        notices.refused(refusal)
        return redirect(url_for("people.show"))
    return _page(new_invite=created, offered=_offers(url_for("accounts.sign_up_form", token=token)))


@blueprint.post("/invitations/<invite_id>/revoke")
@admin_only
def revoke(invite_id: str) -> Response:
    """Revoke an invitation."""
    accounts.revoke_invite(services().database, invite_id)
    notices.done("revoked")
    return redirect(url_for("people.show"))


@blueprint.post("/<user_id>/reset")
@admin_only
def reset(user_id: str) -> str:
    """Make a password reset link. It is shown once and stored nowhere."""
    person = accounts.get_user(services().database, user_id)
    if person is None:
        raise NotFound("account")
    path = url_for("password_resets.show", token=password_resets.make_token(person))
    return _page(reset_person=person, offered=_offers(path))


@blueprint.post("/<user_id>")
@admin_only
def change(user_id: str) -> Response:
    """Change role, daily minutes and quiet hours of a person: all of it, or nothing, and the form comes back."""
    typed = {name: request.form.get(name, "").strip() for name in _FIELDS}
    minutes = typed["daily_minutes"]
    allowed = None if not minutes else int(minutes) if _MINUTES.fullmatch(minutes) else 0
    quiet = typed["quiet_from"] or None, typed["quiet_until"] or None
    try:
        accounts.refuse_bad_limits(allowed, *quiet)
        changed = accounts.set_role(services().database, user_id, typed["role"])
        accounts.set_limits(services().database, user_id, allowed, *quiet)
        notices.done("person")
    except Refused as refusal:
        notices.bring_back("person", {user_id: refusal.reason}, typed)
        return redirect(url_for("people.show", _anchor=f"person-{user_id}"))
    stays = changed.id != me().id or changed.role == "admin"
    return redirect(url_for("people.show" if stays else "home.show"))


@blueprint.post("/<user_id>/suspend")
@admin_only
def suspend(user_id: str) -> Response:
    """Keep a person out, or let them in again; everything of theirs stays."""
    is_kept_out = request.form.get("suspended") == "1"
    return _other(user_id, lambda: accounts.suspend(services().database, user_id, is_kept_out), "suspended", "let-in")


@blueprint.post("/<user_id>/delete")
@admin_only
def delete(user_id: str) -> Response:
    """Delete a person's account with everything in it, for good."""
    return _other(user_id, lambda: accounts.delete_account(services().database, user_id), "person-gone")


def _other(user_id: str, act: Callable[[], object], *codes: str) -> Response:
    """Do something to somebody else, and say on the page of people that it is done, or why not."""
    try:
        if user_id == me().id:
            raise Refused("not_yourself")
        act()
        notices.done(codes[-1] if request.form.get("suspended") == "0" else codes[0])
    except Refused as refusal:
        notices.refused(refusal)
    return redirect(url_for("people.show"))


def _page(**more: Any) -> str:
    everybody = accounts.list_users(services().database)
    names = {person.id: person.name for person in everybody}
    invites = [
        {"view": one, "state": _state(one), "used_by": names.get(one.used_by or "")}
        for one in accounts.list_invites(services().database)
    ]
    options = {"roles": ROLES, "expiries": EXPIRIES, "me": me(), "refused": notices.brought_back("person")}
    options["others_at"] = next(iter(machine_addresses()), "")
    return render_template("people.html", people=everybody, invites=invites, **options, **more)


def _state(invite: InviteView) -> str:
    if invite.used_at:
        return "used"
    if invite.revoked_at:
        return "revoked"
    return "open" if invite.expires_at > time.time() else "expired"


def _offers(path: str) -> tuple[Offer, ...]:
    """A link with each address under which others can open it, first the one that the admin uses."""
    return offers(services().settings.origins, path, _own_origin())


def _own_origin() -> str:
    """The public origin (scheme and host) of this request; behind a proxy the scheme here may be http instead of
    https."""
    public = [origin for origin in services().settings.origins if origin.endswith(f"//{request.host}")]
    return public[0] if public else request.host_url.rstrip("/")
