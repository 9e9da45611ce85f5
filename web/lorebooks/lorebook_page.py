"""The pages of lorebooks: import, entries, editing, a test of which entries a text activates, export.

Those with whom a lorebook is shared read the same pages, without what changes it, and may copy it.
What it refuses to know: which lorebook an address names (opened.py), what an entry means (store/lore), chats that use a
lorebook (live/changes.py), the form of an entry (entry_form.py), and with whom it is shared (sharing/share_pages.py).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Flask, redirect, render_template, request, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from store.cards.card_json import read_json
from store.cards.errors import MAX_FILE_BYTES, CardError
from store.errors import NotFound, Refused
from store.lore import books, edit, report
from store.lore.book import body_of, read_book
from store.lore.match import ActivatedEntry, MatchContext, activate
from store.sharing import shares
from store.sharing.shares import Sharing
from store.views import LorebookView
from web import file_transfer, notices
from web.auth.accounts import Page, me, signed_in
from web.characters import card_files
from web.errors import Problem
from web.i18n.language import error_sentence, gettext
from web.lorebooks import entry_form
from web.lorebooks.opened import OpenedLorebook, to_change, to_read
from web.rendering import import_report
from web.services import services

blueprint = Blueprint("lorebooks", __name__, url_prefix="/books")
MAX_LOREBOOKS = 200
EMPTY_LOREBOOK: Mapping[str, Any] = {"spec": "lorebook_v3", "data": {"extensions": {}, "entries": []}}


def init_app(app: Flask) -> None:
    """Allow uploads of as many bytes as on the page of the cards: a card may have a lorebook in it."""
    file_transfer.allow_uploads(app, ["lorebooks.create"], lambda: card_files.MAX_BYTES)


@blueprint.get("")
@signed_in
def show_all() -> str:
    """The list of lorebooks, with the forms to import and to create one."""
    return _list_page()


@blueprint.post("")
@signed_in
def create() -> Page:
    """Import lorebooks from files, each by itself, or keep an empty one with a name."""
    if len(books.list_books(services().database, me().id)) >= MAX_LOREBOOKS:
        raise Problem(409, "too_many", gettext("There is room for %(n)s lorebooks: remove one first.", n=MAX_LOREBOOKS))
    files = file_transfer.uploaded("file")
    if not files:
        return _create_empty(request.form.get("name", ""))
    most = card_files.MAX_FILES
    results = file_transfer.import_files(files[:most], _import_lorebook, most)
    wrong = [f"{result.filename}: {result.sentence}" for result in results if result.sentence]
    if len(files) > most:
        wrong.append(file_transfer.too_many_files(most)[1])
    if wrong:
        return _list_page(wrong), 422
    notices.done("book-brought")
    first = results[0].imported
    if len(results) > 1 or first is None:
        return redirect(url_for("lorebooks.show_all"))
    return redirect(url_for("lorebooks.show", lorebook_id=first.id))


@blueprint.get("/<lorebook_id>")
@signed_in
def show(lorebook_id: str) -> str:
    """A lorebook with its entries."""
    return lorebook_page(lorebook_id)


@blueprint.post("/<lorebook_id>/copy")
@signed_in
def copy(lorebook_id: str) -> Response:
    """Make an own copy of a lorebook."""
    opened = to_read(lorebook_id)
    try:
        kept = books.add_book(services().database, me().id, opened.data, opened.name, rating=opened.rating)
    except Refused as refusal:
        notices.refused(refusal)
        return redirect(url_for("lorebooks.show", lorebook_id=lorebook_id))
    notices.done("book-copied")
    return redirect(url_for("lorebooks.show", lorebook_id=kept.id))


@blueprint.post("/<lorebook_id>/name")
@signed_in
def rename(lorebook_id: str) -> Response:
    """Rename a lorebook."""
    try:
        books.change_book(services().database, me().id, lorebook_id, name=request.form.get("name", ""))
        notices.done("book")
    except Refused as refusal:
        notices.refused(refusal)
    return redirect(url_for("lorebooks.show", lorebook_id=lorebook_id))


@blueprint.post("/<lorebook_id>/delete")
@signed_in
def delete(lorebook_id: str) -> Response:
    """Delete a lorebook."""
    books.delete_book(services().database, me().id, lorebook_id)
    notices.done("book-gone")
    return redirect(url_for("lorebooks.show_all"))


@blueprint.post("/<lorebook_id>/try")
@signed_in
def try_out(lorebook_id: str) -> str:
    """Show which entries a text activates."""
    opened, text = to_read(lorebook_id), request.form.get("text", "")
    found = activate({opened.id: opened.book}, MatchContext([text], 10**6, n_replies=10**6), budget=10**9)
    return _page(opened, tried=text, woken=found.inserted, slow=found.slow)


@blueprint.get("/<lorebook_id>/entries/new")
@signed_in
def new_entry(lorebook_id: str) -> str:
    """An empty form."""
    return _entry_page(to_change(lorebook_id), None, entry_form.form_of(edit.EntryDraft()))


@blueprint.post("/<lorebook_id>/entries")
@signed_in
def create_entry(lorebook_id: str) -> Page:
    """Create an entry."""
    return _save_entry(to_change(lorebook_id), None)


@blueprint.get("/<lorebook_id>/entries/<place>")
@signed_in
def edit_entry(lorebook_id: str, place: str) -> str:
    """The form of an entry."""
    opened = to_change(lorebook_id)
    return _entry_page(opened, place, entry_form.form_of(_draft(opened, place)))


@blueprint.post("/<lorebook_id>/entries/<place>")
@signed_in
def change_entry(lorebook_id: str, place: str) -> Page:
    """Change an entry."""
    return _save_entry(to_change(lorebook_id), place)


@blueprint.post("/<lorebook_id>/entries/<place>/delete")
@signed_in
def delete_entry(lorebook_id: str, place: str) -> Response:
    """Delete an entry, unless it was changed since the person saw it."""
    opened = to_change(lorebook_id)
    if entry_form.fingerprint(_draft(opened, place)) != request.form.get("seen"):
        notices.refused(Refused("entry_moved"))
    else:
        opened.keep(edit.without(opened.data, place))
        notices.done("entry-gone")
    return redirect(url_for("lorebooks.show", lorebook_id=lorebook_id))


@blueprint.get("/<lorebook_id>/lorebook.json")
@signed_in
def as_v3(lorebook_id: str) -> Response:
    """Export the lorebook in the V3 format."""
    opened = to_read(lorebook_id)
    return _download(edit.as_v3(opened.data, opened.name), opened.name)


@blueprint.get("/<lorebook_id>/original.json")
@signed_in
def original(lorebook_id: str) -> Response:
    """Export the lorebook in the format of its import."""
    opened = to_read(lorebook_id)
    return _download(opened.data, opened.name)


def _create_empty(name: str) -> Page:
    """Create an empty lorebook."""
    try:
        kept = books.add_book(services().database, me().id, EMPTY_LOREBOOK, name)
    except Refused as refusal:
        return _list_page([error_sentence(refusal)], name), 422
    notices.done("book")
    return redirect(url_for("lorebooks.show", lorebook_id=kept.id))


def _import_lorebook(file: FileStorage, filename: str) -> LorebookView:
    """Raises CardError, Refused."""
    data = _read_file(file.stream.read(MAX_FILE_BYTES + 1))
    name = read_book(data).name or filename.rpartition(".")[0] or filename
    return books.add_book(services().database, me().id, data, name)


def _read_file(data: bytes) -> dict[str, Any]:
    """Parse the file of a lorebook. Raises CardError, Refused "no_book"."""
    if not data:
        raise CardError("empty_file")
    raw = read_json(data)
    if not isinstance(raw, dict) or not isinstance(body_of(raw).get("entries"), list | dict):
        raise Refused("no_book")
    return raw


def _draft(opened: OpenedLorebook, place: str) -> edit.EntryDraft:
    entry = edit.entry_at(opened.data, place)
    if entry is None:
        raise NotFound("page")
    return edit.draft_of(entry)


def _save_entry(opened: OpenedLorebook, place: str | None) -> Page:
    """Save an entry, or show the form again with what the person wrote and what is wrong."""
    before = edit.EntryDraft() if place is None else _draft(opened, place)
    form = entry_form.read_form(request.form)
    wrong = form.wrong()
    if not wrong and place is not None and request.form.get("seen") != entry_form.fingerprint(before):
        wrong = {"": gettext("This entry was changed in another window. Save again to keep what stands here.")}
    if wrong:
        return _entry_page(opened, place, form, before, wrong), 422
    try:
        opened.keep(edit.changed(opened.data, place, form.draft(before)))
    except Refused as refusal:
        return _entry_page(opened, place, form, before, {"": error_sentence(refusal)}), 422
    notices.done("entry")
    return redirect(url_for("lorebooks.show", lorebook_id=opened.id))


def _list_page(wrong: Sequence[str] = (), name: str = "") -> str:
    mine = [(one, len(read_book(one.data).entries)) for one in books.list_books(services().database, me().id)]
    shared = books.list_shared(services().database, me())
    owners = shares.names(services().database, (owner_id for _, _, owner_id in shared))
    return render_template("lorebooks.html", books=mine, shared=shared, owners=owners, wrong=wrong, name=name)


def lorebook_page(lorebook_id: str, refused: tuple[Sharing, str, str] | None = None) -> str:
    """The page of a lorebook; `refused`: what was chosen in the form of sharing, and what is wrong with it."""
    return _page(to_read(lorebook_id), refused=refused)


def _page(
    opened: OpenedLorebook,
    tried: str | None = None,
    woken: tuple[ActivatedEntry, ...] = (),
    slow: tuple[str, ...] = (),
    refused: tuple[Sharing, str, str] | None = None,
) -> str:
    return render_template(
        "lorebook.html",
        opened=opened,
        entries=sorted(opened.book.entries, key=lambda entry: entry.order),
        report=import_report.report_lines(report.findings(opened.data, "book")),
        titles=import_report.VERDICTS,
        tried=tried,
        woken=woken,
        slow=slow,
        refused=refused,
    )


def _entry_page(
    opened: OpenedLorebook,
    place: str | None,
    form: entry_form.EntryForm,
    before: edit.EntryDraft | None = None,
    wrong: Mapping[str, str] | None = None,
) -> str:
    seen = entry_form.fingerprint(before or (edit.EntryDraft() if place is None else _draft(opened, place)))
    return render_template(
        "lorebook_entry.html", opened=opened, place=place, form=form, seen=seen, wrong=wrong or {}, fields=entry_form
    )


def _download(data: Mapping[str, Any], name: str) -> Response:
    written = json.dumps(data, ensure_ascii=False, indent=2).encode(errors="replace")
    return file_transfer.attachment(written, name, "json", "application/json")
