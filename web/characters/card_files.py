"""Characters come in as card files and go out again: the page to bring them, the report of each, the downloads.

What it does: takes several files at once, each by itself, so that one that is refused holds up no other. What a file
had is told on the character's report page, now and later.
What it refuses to know: what is in a file (store/cards), and who may bring one (store/card_import.py).
To add a format: store/cards; then name its ending in ENDINGS.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Flask, redirect, render_template, request, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from store import card_import, characters
from store.cards import report, stored_card
from store.cards.errors import MAX_FILE_BYTES, CardError
from store.cards.files import read_card, write_json, write_png
from store.errors import NotFound, Refused
from store.import_findings import Finding
from store.views import CharacterView
from store.visibility import allowed_ratings
from web import notices
from web.auth.accounts import Page, me, signed_in
from web.characters import export_picture
from web.characters.pictures import reencode
from web.errors import Problem
from web.i18n.language import gettext, say
from web.rendering import import_report
from web.services import services

blueprint = Blueprint("card_files", __name__, url_prefix="/characters")
MAX_FILES = 10
MAX_BYTES = MAX_FILES * MAX_FILE_BYTES  # of all files that come at once
ENDINGS = (".png", ".json", ".charx", ".webp")


def init_app(app: Flask) -> None:
    """Let the form with the files be larger than others; tell the first page who may bring some."""

    @app.before_request
    def _room_for_cards() -> None:
        if request.endpoint == "card_files.import_files":
            request.max_content_length = MAX_BYTES + (1 << 20)

    app.add_template_global(lambda person: person.role in card_import.IMPORT_ROLES, "may_bring")
    app.add_template_global(lambda: {"endings": ",".join(ENDINGS), "most": MAX_FILES, "bytes": MAX_BYTES}, "card_files")


@dataclass(frozen=True)
class Arrival:
    """One file that came: the character that it became, or the sentence that says why not."""

    filename: str
    character: CharacterView | None = None
    already: CharacterView | None = None
    code: str = ""
    sentence: str = ""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many lines its report has of each verdict."""
        told = import_report.told(report.findings(self.character.card)) if self.character else {}
        return {verdict: sum(max(1, len(line.fields)) for line in lines) for verdict, lines in told.items()}


@blueprint.get("/bring")
@signed_in
def import_form() -> str:
    """The page with the form."""
    return render_template("import_cards.html", arrivals=(), may=me().role in card_import.IMPORT_ROLES)


@blueprint.post("/bring")
@signed_in
def import_files() -> Page:
    """Take the files. One that becomes a character leads to its report, anything else to a list."""
    if me().role not in card_import.IMPORT_ROLES:
        raise Problem(403, "adults_bring", say(Refused("adults_bring")))
    files = [one for one in request.files.getlist("cards") if one.filename or one.content_length]
    if not files:
        return _form_page([Arrival("", code="empty_file", sentence=gettext("Choose a file first."))], 422)
    arrivals = [_import_file(one) for one in files[:MAX_FILES]]
    arrivals += [_left_out(one) for one in files[MAX_FILES:]]
    first = arrivals[0]
    if len(arrivals) == 1 and first.character and not first.already:
        notices.done("brought")
        return redirect(url_for("card_files.show_report", character_id=first.character.id))
    return _form_page(arrivals, 200 if any(one.character for one in arrivals) else 422)


@blueprint.get("/<character_id>/report")
@signed_in
def show_report(character_id: str) -> str:
    """What became of a card that was brought along."""
    return _report_page(_own(character_id))


@blueprint.post("/<character_id>/report")
@signed_in
def finish_import(character_id: str) -> Page:
    """Name and rate a character that was brought along."""
    character, form = _own(character_id), request.form
    try:
        card_import.finish_import(
            services().database, me(), character, form.get("name", ""), form.get("rating", character.rating)
        )
    except Refused as refusal:
        return _report_page(character, wrong=refusal.code, name=form.get("name", "")), 422
    notices.done("character")
    return redirect(url_for("characters.show", character_id=character_id))


@blueprint.post("/<character_id>/copy")
@signed_in
def keep_copy(character_id: str) -> Response:
    """Keep a second copy of a card that was there already."""
    card_import.keep_copy(services().database, me(), character_id)
    notices.done("brought")
    return redirect(url_for("card_files.show_report", character_id=character_id))


@blueprint.get("/<character_id>/card.json")
@signed_in
def as_json(character_id: str) -> Response:
    """The character as a V3 card."""
    character = characters.get_character(services().database, me(), character_id)
    return download(write_json(_card_to_export(character)), character.name, "json", "application/json")


@blueprint.get("/<character_id>/card.png")
@signed_in
def as_png(character_id: str) -> Response:
    """The character as a picture with its card inside, for V2 and for V3."""
    character = characters.get_character(services().database, me(), character_id)
    picture = export_picture.export_png(services().database, character)
    return download(write_png(picture, _card_to_export(character)), character.name, "png", "image/png")


def _import_file(file: FileStorage) -> Arrival:
    name = (file.filename or "")[:200]
    try:
        card = read_card(file.stream.read(MAX_FILE_BYTES + 1), name)
        picture, made = _picture(card.picture), card.card
        if card.picture and picture is None:
            made = stored_card.with_note(made, Finding("approximated", "picture", "no_picture"))
        brought = card_import.import_card(services().database, me(), made, picture)
    except CardError as error:
        return Arrival(name, code=error.code, sentence=say(error))
    except Refused as refusal:
        return Arrival(name, code=refusal.code, sentence=say(refusal))
    return Arrival(name, brought.character, brought.duplicate_of)


def _left_out(file: FileStorage) -> Arrival:
    sentence = gettext("This is one file too many: bring at most %(n)s at once.", n=MAX_FILES)
    return Arrival((file.filename or "")[:200], code="too_many_files", sentence=sentence)


def _picture(data: bytes | None) -> bytes | None:
    """The picture as it is kept; None if it cannot be read, for the card matters more."""
    try:
        return reencode(data) if data else None
    except Refused:
        return None


def _form_page(arrivals: list[Arrival], status: int) -> Page:
    return render_template("import_cards.html", arrivals=arrivals, may=True), status


def _report_page(character: CharacterView, wrong: str = "", name: str = "") -> str:
    found = report.findings(character.card)
    options: dict[str, Any] = {"ratings": allowed_ratings(me().role), "titles": import_report.VERDICTS}
    return render_template(
        "card_report.html",
        character=character,
        report=import_report.told(found),
        unnamed=any(one.reason == "no_name" for one in found),
        wrong=wrong,
        name=name or character.name,
        **options,
    )


def _own(character_id: str) -> CharacterView:
    character = characters.get_character(services().database, me(), character_id)
    if character.owner_id != me().id:
        raise NotFound("character")
    return character


def _card_to_export(character: CharacterView) -> dict[str, Any]:
    return stored_card.with_tagline(character.card, character.tagline)


def download(data: bytes, name: str, ending: str, mimetype: str) -> Response:
    """A file to be kept, called after what is in it."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name).strip("_")
    response = Response(data, mimetype=mimetype, headers={"Cache-Control": "no-store"})
    whole = quote(f"{name}.{ending}", safe="")
    response.headers["Content-Disposition"] = (
        f"attachment; filename=\"{plain or 'character'}.{ending}\"; filename*=UTF-8''{whole}"
    )
    return response
