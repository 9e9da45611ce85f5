"""Import and export of whole chats: the upload page, the import report of each chat, the downloads.

What it does: takes several files at once (web/file_transfer.py); finds the character of a chat by the name in its file
unless the person has chosen one. Nothing is sent to a worker: an imported chat is text until its owner opens it.
What it refuses to know: what is in a file (store/chat_files), and how it becomes a chat (store/chat_transfer.py).
To add a format: a module in store/chat_files with its line in `read` or WRITERS; here its ending in ENDINGS (import) or
MEDIA_TYPES (export); its link in templates/_export_links.html, its name in the hint of templates/import_chats.html.
"""

import threading
import time
from collections.abc import Sequence

from flask import Blueprint, Flask, redirect, render_template, request, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from store import characters, chat_files, chat_transfer, chats, texts
from store.chat_files import limits
from store.errors import NotFound
from store.views import CharacterView, ChatView
from web import file_transfer, notices
from web.auth.accounts import Page, me, signed_in
from web.auth.rate_limits import PER_DOWNLOAD, limiter, user_key
from web.file_transfer import NotImported, UploadResult
from web.full_collections import full_collections
from web.i18n.language import gettext
from web.pace import Rests
from web.rendering import import_report
from web.services import services

blueprint = Blueprint("chat_files", __name__)
MAX_FILES, MAX_BYTES, PER_UPLOAD = 10, chat_files.MAX_FILE_BYTES, "20 per minute"  # bytes: of all that come at once
ENDINGS = (".jsonl", ".json")
MEDIA_TYPES = {"jsonl": "application/jsonl", "json": "application/json", "md": "text/markdown; charset=utf-8"}
_reading_lock = threading.Lock()  # the largest file needs some hundred MB while it is read


def init_app(app: Flask) -> None:
    """Allow uploads; give templates `chat_files()`, the limits of the form."""
    file_transfer.allow_uploads(app, ["chat_files.import_files"], lambda: MAX_BYTES)
    hint = {
        "most": MAX_FILES,
        "together": MAX_BYTES >> 20,
        "jsonl": limits.JSONL_FILE.max_bytes >> 20,
        "json": limits.NATIVE_FILE.max_bytes >> 20,
    }
    app.add_template_global(lambda: {"endings": ",".join(ENDINGS), "bytes": MAX_BYTES, "hint": hint}, "chat_files")


@blueprint.get("/chats/bring")
@signed_in
def import_form() -> str:
    """The upload page."""
    return _page(())


@blueprint.post("/chats/bring")
@signed_in
@limiter.limit(PER_UPLOAD, key_func=user_key)
def import_files() -> Page:
    """Import the uploaded chats; a single new chat leads to its report, anything else to a list of results."""
    visible = characters.list_characters(services().database, me())
    chosen = request.form.get("character", "")
    if chosen and chosen not in {character.id for character in visible}:
        raise NotFound("character")
    files = file_transfer.uploaded("chats")
    if not files:
        return _page([file_transfer.no_file()], chosen), 422
    with full_collections.put_off():
        results = file_transfer.import_files(files, lambda file, _: _import_chat(file, visible, chosen), MAX_FILES)
    first = results[0].imported
    if len(results) == 1 and first:
        notices.done("chat-brought")
        return redirect(url_for("chat_files.report", chat_id=first.id))
    return _page(results, chosen), 200 if any(result.imported for result in results) else 422


@blueprint.get("/chat/<chat_id>/report")
@signed_in
def report(chat_id: str) -> str:
    """The import report of a chat."""
    chat = chats.get_chat(services().database, me().id, chat_id)
    by_verdict = import_report.report_lines(chat_transfer.import_report(services().database, me().id, chat_id))
    return render_template("chat_report.html", chat=chat, report=by_verdict, titles=import_report.VERDICTS)


@blueprint.get("/chat/<chat_id>/story.<ending>")
@signed_in
@limiter.limit(PER_DOWNLOAD, key_func=user_key)
def export(chat_id: str, ending: str) -> Response:
    """The chat as a file."""
    if ending not in MEDIA_TYPES:
        raise NotFound()
    with full_collections.put_off():
        document = chat_transfer.export_chat(services().database, me().id, chat_id)
        data = chat_files.WRITERS[ending](document)
    return file_transfer.attachment(data, document.title, ending, MEDIA_TYPES[ending])


def _import_chat(file: FileStorage, visible: Sequence[CharacterView], chosen: str) -> ChatView:
    """`chosen`: the id of the character, or empty: the one named in the file. Raises Refused, NotImported."""
    with _reading_lock:
        read = chat_files.read(file.stream.read(), time.time(), Rests())
    character_id = chosen or _character_named(read.document.character_name, visible)
    if not character_id:
        raise NotImported("no_character", _no_character_sentence(read.document.character_name))
    given = (services().database, me().id, character_id, read.document, read.findings)
    return chat_transfer.import_chat(*given, quota=services().settings.quota)


def _character_named(name: str, visible: Sequence[CharacterView]) -> str:
    """The id of the character of this name: the person's own before shared ones, the bundled ones last; empty if there
    is none."""
    key = texts.name_key(name)
    named = [one for one in visible if key and key in (texts.name_key(one.name), texts.name_key(_nickname(one)))]
    named.sort(key=lambda one: (one.owner_id is None, one.owner_id != me().id))
    return next((one.id for one in named), "")


def _nickname(character: CharacterView) -> str:
    nickname = character.card.get("nickname")
    return nickname if isinstance(nickname, str) else ""


def _no_character_sentence(name: str) -> str:
    if not name:
        return gettext("This file does not say who the story is with: choose a character, then import it again.")
    return gettext(
        "No character here is called %(name)s: choose whom the story is with, then import it again.", name=name
    )


def _page(results: Sequence[UploadResult[ChatView]], chosen: str = "") -> str:
    visible = characters.list_characters(services().database, me())
    return render_template("import_chats.html", results=results, characters=visible, chosen=chosen)
