"""Import and export of character cards: the upload page, the import report of each card, the downloads.

What it does: takes several files at once (web/file_transfer.py). The report is worked out from the stored card, so it
can be read again at any time. What it refuses to know: what is in a file (store/cards), and who may import one
(store/card_import.py). To add a format: a reader in store/cards with its line in `read_card` (store/cards/files.py);
its ending in ENDINGS here; its name in the hint of templates/import_cards.html; a file of it in
tests/store/card_files.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Flask, redirect, render_template, request, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from store import card_import, characters
from store.card_import import ImportResult
from store.cards import report, stored_card
from store.cards.errors import MAX_FILE_BYTES
from store.cards.files import read_card, write_json, write_png
from store.errors import NotFound, Refused
from store.import_findings import Finding
from store.views import CharacterView
from store.visibility import allowed_ratings
from web import file_transfer, notices
from web.auth.accounts import Page, me, signed_in
from web.characters import export_picture
from web.characters.pictures import BACKGROUND_SIDE, MAX_SIDE, reencode
from web.errors import Problem
from web.file_transfer import UploadResult
from web.i18n.language import error_sentence
from web.rendering import import_report
from web.services import services

blueprint = Blueprint("card_files", __name__, url_prefix="/characters")
MAX_FILES = 10
MAX_BYTES = MAX_FILES * MAX_FILE_BYTES  # of all files that come at once
ENDINGS = (".png", ".json", ".charx", ".webp")


def init_app(app: Flask) -> None:
    """Allow uploads; give templates `may_import_cards(person)` and `card_files()`, the limits of the form."""
    file_transfer.allow_uploads(app, ["card_files.import_files"], lambda: MAX_BYTES)
    app.add_template_global(lambda person: person.role in card_import.IMPORT_ROLES, "may_import_cards")
    app.add_template_global(lambda: {"endings": ",".join(ENDINGS), "most": MAX_FILES, "bytes": MAX_BYTES}, "card_files")


@blueprint.get("/bring")
@signed_in
def import_form() -> str:
    """The upload page."""
    return _form_page((), may_import=me().role in card_import.IMPORT_ROLES)


@blueprint.post("/bring")
@signed_in
def import_files() -> Page:
    """Import the uploaded cards; a single new character leads to its report, anything else to a list of results."""
    if me().role not in card_import.IMPORT_ROLES:
        raise Problem(403, "adults_bring", error_sentence(Refused("adults_bring")))
    files = file_transfer.uploaded("cards")
    if not files:
        return _form_page([file_transfer.no_file()]), 422
    results = file_transfer.import_files(files, _import_card, MAX_FILES)
    first = results[0].imported
    if len(results) == 1 and first and not first.duplicate_of:
        notices.done("brought")
        return redirect(url_for("card_files.show_report", character_id=first.character.id))
    return _form_page(results), 200 if any(result.imported for result in results) else 422


@blueprint.get("/<character_id>/report")
@signed_in
def show_report(character_id: str) -> str:
    """The import report of a card."""
    return _report_page(_own(character_id))


@blueprint.post("/<character_id>/report")
@signed_in
def finish_import(character_id: str) -> Page:
    """Name and rate an imported character."""
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
    """Keep the held-back duplicate as a second copy."""
    card_import.keep_copy(services().database, me(), character_id)
    notices.done("brought")
    return redirect(url_for("card_files.show_report", character_id=character_id))


@blueprint.get("/<character_id>/card.json")
@signed_in
def as_json(character_id: str) -> Response:
    """The character as a V3 card."""
    character = characters.get_character(services().database, me(), character_id)
    return file_transfer.attachment(write_json(_card_to_export(character)), character.name, "json", "application/json")


@blueprint.get("/<character_id>/card.png")
@signed_in
def as_png(character_id: str) -> Response:
    """The character as a picture with its card inside, for V2 and for V3."""
    character = characters.get_character(services().database, me(), character_id)
    picture = export_picture.export_png(services().database, character)
    return file_transfer.attachment(write_png(picture, _card_to_export(character)), character.name, "png", "image/png")


def _import_card(file: FileStorage, filename: str) -> ImportResult:
    """Raises CardError, Refused."""
    read = read_card(file.stream.read(MAX_FILE_BYTES + 1), filename)
    picture, background, card = _picture(read.picture), _picture(read.background, BACKGROUND_SIDE), read.card
    if read.picture and picture is None:
        card = stored_card.with_note(card, Finding("approximated", "picture", "no_picture"))
    if background:
        card = stored_card.with_note(card, Finding("applied", "data.assets", "background"))
    return card_import.import_card(
        services().database, me(), card, picture, background, quota=services().settings.quota
    )


def _picture(data: bytes | None, max_side: int = MAX_SIDE) -> bytes | None:
    """A picture as it is kept; None if it cannot be read, for the card matters more."""
    try:
        return reencode(data, max_side) if data else None
    except Refused:
        return None


def _form_page(results: Sequence[UploadResult[ImportResult]], may_import: bool = True) -> str:
    return render_template("import_cards.html", results=results, may_import=may_import, counts=_report_counts)


def _report_counts(character: CharacterView) -> Mapping[str, int]:
    """How many lines the import report of a character has of each verdict."""
    by_verdict = import_report.report_lines(report.findings(character.card))
    return {verdict: sum(max(1, len(line.fields)) for line in lines) for verdict, lines in by_verdict.items()}


def _report_page(character: CharacterView, wrong: str = "", name: str = "") -> str:
    found = report.findings(character.card)
    options: dict[str, Any] = {"ratings": allowed_ratings(me().role), "titles": import_report.VERDICTS}
    return render_template(
        "card_report.html",
        character=character,
        report=import_report.report_lines(found),
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
