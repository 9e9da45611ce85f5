"""The first page: my chats, and the characters to begin a new one with."""

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from store import characters, chats
from web.accounts import me, signed_in
from web.house import house

blueprint = Blueprint("library", __name__)


@blueprint.get("/")
@signed_in
def home() -> str:
    """My chats and the characters."""
    database = house().database
    mine = chats.list_chats(database, me().id)
    return render_template("home.html", chats=mine, characters=characters.list_characters(database, me()), me=me())


@blueprint.post("/chats")
@signed_in
def begin() -> Response:
    """Begin a chat with a character."""
    character = characters.get_character(house().database, me(), request.form.get("character", ""))
    chat = chats.create_chat(house().database, me().id, character.id, me().name)
    return redirect(url_for("chats.show", chat_id=chat.id))
