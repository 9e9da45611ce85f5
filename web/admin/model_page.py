"""The admin's page of models: what is here, what is on its way, what the catalogue suggests; fetch, use, remove.

What it does: reads and writes rows of the shelf; the downloader and the workers do the rest, and `now` shows how far
they are, a few seconds later.
What it refuses to know: hubs, GGUF files and memory plans. Nothing here waits for a network.
To add a command: a function of store/shelf/asking.py or choices.py; its route here; its button in
templates/_models.html; its line in ROUTES of tests/web/test_access.py; a command beside it in deploy/cli/models.py.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Flask, get_template_attribute, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from store.errors import NotFound, Refused
from store.shelf import asking, catalogue, choices, reading
from store.shelf.names import source_of
from web import notices
from web.admin import model_rows
from web.admin.model_rows import ModelsView
from web.auth.accounts import Page, admin_only, me
from web.i18n.language import language
from web.services import services

blueprint = Blueprint("models", __name__, url_prefix="/models")
PIECES = ("answering", "room", "standstill", "suggested")
LISTS = ("here", "coming")
_FILE_COMMANDS: dict[str, Callable[..., object]] = {
    "get": asking.get,
    "pause": asking.pause,
    "cancel": asking.cancel,
    "remove": asking.remove,
}


def init_app(app: Flask) -> None:
    """Give templates `toy_answers()`: whether nothing but the demo model answers. It asks Redis."""
    app.add_template_global(lambda: model_rows.is_toy(services()), "toy_answers")


@blueprint.get("")
@admin_only
def show() -> str:
    """The page."""
    return _page()


@blueprint.get("/now")
@admin_only
def now() -> Response:
    """JSON: the current HTML of each piece and of each entry of the lists, for the page that is open."""
    seen = _view()
    pieces = {name: str(_macro(name)(seen)) for name in PIECES}
    lists = {name: [(row.file.id, str(_macro("entry")(seen, row))) for row in getattr(seen, name)] for name in LISTS}
    maintenance = services().maintenance
    service = {"trouble": maintenance.trouble, "change_s": maintenance.change_s}
    return jsonify({"pieces": pieces, "lists": lists, **service})


@blueprint.post("/ask")
@admin_only
def ask() -> Page:
    """Want another model, by repository and file or by URL: its header first, so that a plan can be made.

    What was refused comes back at once: an address is too long for the way through the session.
    """
    typed = {name: request.form.get(name, "") for name in ("repo", "path", "url", "sha256")}
    try:
        row = asking.ask_to_look(services().database, source_of(**typed), me().id)
    except Refused as refusal:
        return _page(typed, refusal), 422
    return _back_to(row.id)


@blueprint.post("/suggested/<entry_id>/<wish>")
@admin_only
def ask_suggested(entry_id: str, wish: str) -> Response:
    """Want a model of the catalogue: `look` for its header and a plan, `get` for the whole of it."""
    entry = catalogue.find(entry_id)
    if entry is None or wish not in ("look", "get"):
        raise NotFound("model")
    ask_for = asking.ask_to_get if wish == "get" else asking.ask_to_look
    return _carry_out(lambda: ask_for(services().database, source_of(entry.repo, entry.file), me().id).id)


@blueprint.post("/<file_id>/choose")
@admin_only
def choose_file(file_id: str) -> Response:
    """Take one of the files that fit what was asked for; the list of them has done its work."""
    database, path = services().database, request.args.get("path", "")
    listed = reading.get_file(database, file_id)

    def take() -> str:
        taken = asking.ask_to_look(database, source_of(listed.repo, path), me().id)
        if listed.state == "listed" and taken.id != file_id:
            asking.forget(database, file_id)
        return taken.id

    return _carry_out(take)


@blueprint.post("/<file_id>/<command>")
@admin_only
def change(file_id: str, command: str) -> Response:
    """Get, pause, cancel or remove a model of the shelf."""
    if command not in _FILE_COMMANDS:
        raise NotFound("page")
    return _carry_out(lambda: _FILE_COMMANDS[command](services().database, file_id) and file_id)


@blueprint.post("/use")
@admin_only
def use() -> Response:
    """Let a worker run a model; an empty name: the one of its start."""
    worker, name = request.args.get("worker", ""), request.args.get("name", "")

    def choose() -> str:
        if worker not in model_rows.worker_names(services()):
            raise Refused("no_such_worker", name=worker[:40])
        choices.choose(services().database, worker, name, me().id)
        return ""

    return _carry_out(choose)


def _page(typed: Mapping[str, str] | None = None, refusal: Refused | None = None) -> str:
    return render_template("models.html", seen=_view(), typed=typed or {}, refused=refusal)


def _carry_out(command: Callable[[], Any]) -> Response:
    try:
        return _back_to(str(command() or ""))
    except Refused as refusal:
        notices.refused(refusal)
        return _back_to("")


def _back_to(file_id: str) -> Response:
    return redirect(url_for("models.show", _anchor=f"model-{file_id}" if file_id else None))


def _view() -> ModelsView:
    return model_rows.read_models(services(), language(), request.args.get("card", type=int))


def _macro(name: str) -> Callable[..., Any]:
    macro: Callable[..., Any] = get_template_attribute("_models.html", name)
    return macro
