"""The pages of a character: show, create, copy, edit, delete.

What it refuses to know: the fields of a card (card_form.py, which says how to add one) and the bytes of pictures
(pictures.py).
"""

from dataclasses import replace
from typing import Any

from flask import Blueprint, Flask, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from store import characters, personas, pictures, texts
from store.accounts import LOCALES
from store.cards import stored_card
from store.errors import NotFound, Refused
from store.models import RATINGS
from store.sharing import wishes
from store.sharing.shares import Sharing
from store.status import MAX_FIELDS
from store.views import CharacterView, PersonaView
from store.visibility import allowed_ratings
from web import notices
from web.auth.accounts import Page, me, signed_in
from web.characters import card_form
from web.characters.card_form import CardForm
from web.characters.openings import openings_of, persona_of
from web.characters.pictures import BACKGROUND_SIDE, MAX_UPLOAD_BYTES, allow_pictures, uploaded
from web.characters.tags import tags_of
from web.i18n.language import language
from web.rendering.prose import render
from web.services import services

blueprint = Blueprint("characters", __name__, url_prefix="/characters")
MAX_TEXT_BYTES = 1 << 20


def init_app(app: Flask) -> None:
    """Allow larger requests for the two forms that carry a picture."""
    allow_pictures(app, ("characters.create", "characters.change"), MAX_TEXT_BYTES)


@blueprint.get("/<character_id>")
@signed_in
def show(character_id: str) -> str:
    """A character, with the form to begin a story."""
    return character_page(characters.get_character(services().database, me(), character_id))


@blueprint.get("/<character_id>/openings")
@signed_in
def openings(character_id: str) -> str:
    """A piece of the page: how a story begins for a persona, or for a name."""
    character = characters.get_character(services().database, me(), character_id)
    persona = persona_of(request.args.get("persona"))
    name = texts.clean_name(request.args.get("name", "")) or (persona.name if persona else me().name)
    return render_template("_openings.html", character=character, openings=openings_of(character, name, persona))


@blueprint.get("/new")
@signed_in
def new() -> str:
    """An empty form, or one that begins as a copy of a character."""
    source = request.args.get("from")
    if not source:
        return _form_page(None, CardForm(locale=me().locale), wish=request.args.get("wish", ""))
    copied = characters.get_character(services().database, me(), source)
    return _form_page(None, card_form.form_of(copied), source=copied.id)


@blueprint.post("")
@signed_in
def create() -> Page:
    """Create a character."""
    source = request.form.get("source")
    copied = characters.get_character(services().database, me(), source) if source else None
    return _save(None, copied)


@blueprint.get("/<character_id>/edit")
@signed_in
def edit(character_id: str) -> str:
    """The form of a character of the person."""
    character = _own(character_id)
    return _form_page(character, card_form.form_of(character))


@blueprint.post("/<character_id>/edit")
@signed_in
def change(character_id: str) -> Page:
    """Change a character."""
    character = _own(character_id)
    return _save(character, character)


@blueprint.post("/<character_id>/delete")
@signed_in
def delete(character_id: str) -> Response:
    """Delete a character."""
    try:
        characters.delete_character(services().database, me(), character_id)
    except Refused as refusal:
        notices.refused(refusal)
        return redirect(url_for("characters.show", character_id=character_id))
    notices.done("character-gone")
    return redirect(url_for("home.show"))


def character_page(
    character: CharacterView,
    chosen: PersonaView | None = None,
    name: str = "",
    wrong: str = "",
    refused: tuple[Sharing, str, str] | None = None,
) -> str:
    """A character's page, perhaps with what is wrong in the form to begin a story or, `refused`, to share it."""
    return render_template(
        "character.html",
        character=character,
        tags=tags_of(character.card),
        openings=openings_of(character, name or me().name, chosen),
        notes=render(_notes(character.card)),
        made_by=_line(character.card.get("creator")),
        card_version=_line(character.card.get("character_version")),
        brought=bool(stored_card.record_of(character.card)),
        personas=personas.list_personas(services().database, me().id),
        chosen=chosen,
        name=name or me().name,
        wrong=wrong,
        refused=refused,
        me=me(),
    )


def _notes(card: dict[str, Any]) -> str:
    """The creator's notes, in the language of the page if the card has them."""
    others = card.get("creator_notes_multilingual")
    said = others.get(language()) if isinstance(others, dict) else None
    return str(said if isinstance(said, str) and said.strip() else card.get("creator_notes") or "")


def _line(value: Any) -> str:
    """A text of a card that is shown on one line."""
    return " ".join(value.split())[:80] if isinstance(value, str) else ""


def _own(character_id: str) -> CharacterView:
    character = characters.get_character(services().database, me(), character_id)
    if character.owner_id != me().id:
        raise NotFound("character")
    return character


def _save(character: CharacterView | None, base: CharacterView | None) -> Page:
    """Save the form; `base` is the character whose card is the starting point."""
    before = card_form.form_of(base) if base else CardForm()
    after, card = card_form.read_form(request.form), dict(base.card if base else card_form.BLANK)
    if after.wrong_rows() and after.status != before.status:
        return _form_page(character, after, wrong="bad_status"), 422
    try:
        kept = characters.save_character(
            services().database,
            me(),
            card_form.merge_into(card, before, after),
            tagline=after.tagline,
            rating=after.rating,
            locale=after.locale if after.locale in LOCALES else LOCALES[0],
            character_id=character.id if character else None,
            picture=uploaded("picture") or (_picture_of(base.avatar) if base and not character else None),
            background=_background(None if character or not base else base),
            avatar=base.avatar if base and not base.avatar.startswith(pictures.PREFIX) else "",
            quota=services().settings.quota,
        )
    except Refused as refusal:
        if refusal.code in ("quota", "too_many_characters"):
            raise
        return _form_page(character, after, wrong=refusal.code), 422
    notices.done("character")
    if wish := request.form.get("wish"):
        _grant(wish, kept)
    return redirect(url_for("characters.show", character_id=kept.id))


def _grant(wish_id: str, made: CharacterView) -> None:
    """Share a new character with who asked for it, or say why not; the character is kept either way."""
    try:
        wishes.grant(services().database, me(), wish_id, made.id)
        notices.done("granted")
    except Refused as refusal:
        notices.refused(refusal)
    except NotFound:  # somebody else has answered meanwhile
        pass


def _picture_of(name: str) -> bytes | None:
    """The uploaded picture that an avatar or a background of a character names."""
    if not name.startswith(pictures.PREFIX):
        return None
    return pictures.get_picture(services().database, name.removeprefix(pictures.PREFIX)).data


def _background(copied: CharacterView | None) -> bytes | None:
    """What becomes of the background: the new one, none (no bytes), that of a copied character, or the old one."""
    if "no_background" in request.form:
        return b""
    return uploaded("background", BACKGROUND_SIDE) or (_picture_of(copied.background) if copied else None)


def _form_page(
    character: CharacterView | None, form: CardForm, source: str = "", wrong: str = "", wish: str = ""
) -> str:
    options: dict[str, Any] = {"ratings": allowed_ratings(me().role), "locales": LOCALES}
    if form.rating not in options["ratings"]:
        form = replace(form, rating=RATINGS[0])
    return render_template(
        "character_form.html",
        character=character,
        form=form,
        source=source or request.form.get("source", ""),
        wish=wish or request.form.get("wish", ""),
        wrong=wrong,
        wrong_rows=form.wrong_rows() if wrong == "bad_status" else (),
        max_picture=MAX_UPLOAD_BYTES,
        blank_row=card_form.StatusRow(),
        max_rows=MAX_FIELDS,
        **options,
    )
