"""Chats come in as files and go out again: the page to bring them, the report of each, the downloads.

What it does: takes several files at once, each by itself; finds the character of a chat by the name in its file unless
the person has chosen one. Nothing is sent to a worker: a chat that came in is text until its owner opens it.
What it refuses to know: what is in a file (store/chat_files), and how it becomes a chat (store/chat_transfer.py).
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Flask, redirect, render_template, request, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from store import characters, chat_files, chat_transfer, chats, texts
from store.chat_files import limits
from store.errors import NotFound, Refused
from store.views import CharacterView, ChatView
from web import notices
from web.auth.accounts import Page, me, signed_in
from web.auth.rate_limits import PER_DOWNLOAD, limiter, user_key
from web.characters.card_files import download
from web.i18n.language import gettext, say
from web.rendering import import_report
from web.services import services

blueprint = Blueprint("chat_files", __name__)
MAX_FILES, MAX_BYTES, PER_UPLOAD = 10, chat_files.MAX_FILE_BYTES, "20 per minute"  # bytes: of all that come at once
ENDINGS = (".jsonl", ".json")
KINDS = {"jsonl": "application/jsonl", "json": "application/json", "md": "text/markdown; charset=utf-8"}
_one_at_a_time = threading.Lock()  # the largest file needs some hundred MB while it is read


def init_app(app: Flask) -> None:
    """Let the form with the files be larger than others."""

    @app.before_request
    def _room_for_chats() -> None:
        if request.endpoint == "chat_files.import_files":
            request.max_content_length = MAX_BYTES + (1 << 20)

    hint = {
        "most": MAX_FILES,
        "together": MAX_BYTES >> 20,
        "jsonl": limits.JSONL_FILE.max_bytes >> 20,
        "json": limits.NATIVE_FILE.max_bytes >> 20,
    }
    app.add_template_global(lambda: {"endings": ",".join(ENDINGS), "bytes": MAX_BYTES, "hint": hint}, "chat_files")


@dataclass(frozen=True)
class Arrival:
    """One file that came: the chat that it became, or the sentence that says why not."""

    filename: str
    chat: ChatView | None = None
    code: str = ""
    sentence: str = ""


@blueprint.get("/chats/bring")
@signed_in
def import_form() -> str:
    """The page with the form."""
    return _page(())


@blueprint.post("/chats/bring")
@signed_in
@limiter.limit(PER_UPLOAD, key_func=user_key)
def import_files() -> Page:
    """Take the files. One that becomes a chat leads to its report, anything else to a list."""
    everybody = characters.list_characters(services().database, me())
    chosen = request.form.get("character", "")
    if chosen and chosen not in {one.id for one in everybody}:
        raise NotFound("character")
    files = [one for one in request.files.getlist("chats") if one.filename or one.content_length]
    if not files:
        return _page([Arrival("", code="empty_file", sentence=gettext("Choose a file first."))], chosen), 422
    arrivals = [_import_file(one, everybody, chosen) for one in files[:MAX_FILES]]
    arrivals += [_left_out(one) for one in files[MAX_FILES:]]
    first = arrivals[0]
    if len(arrivals) == 1 and first.chat:
        notices.done("chat-brought")
        return redirect(url_for("chat_files.report", chat_id=first.chat.id))
    return _page(arrivals, chosen), 200 if any(one.chat for one in arrivals) else 422


@blueprint.get("/chat/<chat_id>/report")
@signed_in
def report(chat_id: str) -> str:
    """What became of a file that was brought along."""
    chat = chats.get_chat(services().database, me().id, chat_id)
    told = import_report.told(chat_transfer.import_report(services().database, me().id, chat_id))
    return render_template("chat_report.html", chat=chat, report=told, titles=import_report.VERDICTS)


@blueprint.get("/chat/<chat_id>/story.<ending>")
@signed_in
@limiter.limit(PER_DOWNLOAD, key_func=user_key)
def export(chat_id: str, ending: str) -> Response:
    """The chat as a file."""
    if ending not in KINDS:
        raise NotFound()
    document = chat_transfer.export_chat(services().database, me().id, chat_id)
    return download(chat_files.WRITERS[ending](document), document.title, ending, KINDS[ending])


def _import_file(file: FileStorage, everybody: Sequence[CharacterView], chosen: str) -> Arrival:
    name = (file.filename or "")[:200]
    try:
        with _one_at_a_time:
            found = chat_files.read(file.stream.read(), time.time())
        character = chosen or _character_named(found.document.character_name, everybody)
        if not character:
            return Arrival(name, code="no_character", sentence=_no_character_sentence(found.document.character_name))
        return Arrival(
            name, chat_transfer.import_chat(services().database, me().id, character, found.document, found.findings)
        )
    except Refused as refusal:
        return Arrival(name, code=refusal.code, sentence=say(refusal))


def _character_named(name: str, everybody: Sequence[CharacterView]) -> str:
    """The id of the character of this name, one's own before those of the house; empty if there is none."""
    key = texts.name_key(name)
    named = [one for one in everybody if key and key in (texts.name_key(one.name), texts.name_key(_nickname(one)))]
    own = [one for one in named if one.owner_id]
    return next((one.id for one in [*own, *named]), "")


def _nickname(character: CharacterView) -> str:
    nickname = character.card.get("nickname")
    return nickname if isinstance(nickname, str) else ""


def _no_character_sentence(name: str) -> str:
    if not name:
        return gettext("This file does not say who the story is with: choose somebody, then bring it again.")
    return gettext("Nobody here is called %(name)s: choose whom the story is with, then bring it again.", name=name)


def _left_out(file: FileStorage) -> Arrival:
    sentence = gettext("This is one file too many: bring at most %(n)s at once.", n=MAX_FILES)
    return Arrival((file.filename or "")[:200], code="too_many_files", sentence=sentence)


def _page(arrivals: Sequence[Arrival], chosen: str = "") -> str:
    everybody = characters.list_characters(services().database, me())
    return render_template("import_chats.html", arrivals=arrivals, characters=everybody, chosen=chosen)
