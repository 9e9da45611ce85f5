"""Personas: the names, descriptions and pictures under which a person plays. List, create, change, delete.

What it refuses to know: chats; a chat copies the persona that it begins with.
"""

from flask import Blueprint, Flask, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from store import personas
from store.errors import Refused
from store.views import PersonaView
from web import notices
from web.auth.accounts import Page, me, signed_in
from web.characters.pictures import MAX_UPLOAD_BYTES, allow_pictures, uploaded
from web.errors import Problem
from web.i18n.language import gettext
from web.services import services

blueprint = Blueprint("personas", __name__, url_prefix="/personas")
MAX_PERSONAS = 60
MAX_TEXT_BYTES = 256 << 10


def init_app(app: Flask) -> None:
    """Allow larger requests for the two forms that carry a picture."""
    allow_pictures(app, ("personas.create", "personas.change"), MAX_TEXT_BYTES)


@blueprint.get("")
@signed_in
def show() -> str:
    """The personas of the person."""
    return render_template("personas.html", personas=personas.list_personas(services().database, me().id), me=me())


@blueprint.get("/new")
@signed_in
def new() -> str:
    """An empty form."""
    return _form_page(None, "", "")


@blueprint.post("")
@signed_in
def create() -> Page:
    """Create a persona."""
    if len(personas.list_personas(services().database, me().id)) >= MAX_PERSONAS:
        sentence = gettext("There is room for %(n)s personas: remove one first.", n=MAX_PERSONAS)
        raise Problem(409, "too_many", sentence)
    return _save(None)


@blueprint.get("/<persona_id>")
@signed_in
def edit(persona_id: str) -> str:
    """The form of a persona."""
    one = personas.get_persona(services().database, me().id, persona_id)
    return _form_page(one, one.name, one.description)


@blueprint.post("/<persona_id>")
@signed_in
def change(persona_id: str) -> Page:
    """Change a persona."""
    return _save(persona_id)


@blueprint.post("/<persona_id>/delete")
@signed_in
def delete(persona_id: str) -> Response:
    """Delete a persona."""
    personas.delete_persona(services().database, me().id, persona_id)
    notices.done("persona-gone")
    return redirect(url_for("personas.show"))


def _save(persona_id: str | None) -> Page:
    name, description = request.form.get("name", ""), request.form.get("description", "")
    database, quota = services().database, services().settings.quota
    try:
        picture = uploaded("picture") or (b"" if "no_picture" in request.form else None)
        personas.save_persona(database, me().id, name, description, persona_id, picture, quota=quota)
    except Refused as refusal:
        if refusal.code == "quota":
            raise
        one = personas.get_persona(database, me().id, persona_id) if persona_id else None
        return _form_page(one, name, description, refusal.code), 422
    notices.done("persona")
    return redirect(url_for("personas.show"))


def _form_page(persona: PersonaView | None, name: str, description: str, wrong: str = "") -> str:
    values = {"persona": persona, "name": name, "description": description, "wrong": wrong}
    return render_template("persona.html", max_picture=MAX_UPLOAD_BYTES, **values)
