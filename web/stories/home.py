"""The home page (newest chats, characters) and the list of all chats: begin and rename chats.

What it refuses to know: the chat page itself (chat_page.py), and the form to begin a chat
(characters/character_page.py).
"""

from flask import Blueprint, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from store import characters, chats, personas, usage_limits
from store.errors import Refused
from store.stories import listing
from web import notices
from web.auth.accounts import Page, me, signed_in
from web.characters import tags
from web.characters.character_page import character_page
from web.characters.openings import persona_of
from web.i18n.language import language
from web.services import services

blueprint = Blueprint("home", __name__)
MAX_RECENT, MAX_LISTED, MAX_AT_ONCE, MAX_BESIDE = 6, 100, 500, 40


@blueprint.get("/")
@signed_in
def show() -> str:
    """The newest chats of the person and the characters that they may see."""
    database = services().database
    mine, n_chats = listing.list_stories(database, me().id, MAX_RECENT)
    everybody = characters.list_characters(database, me())
    everybody = tuple(sorted(everybody, key=lambda one: one.locale != language()))  # whom I understand comes first
    return render_template(
        "home.html",
        stories=mine,
        n_chats=n_chats,
        characters=everybody,
        tags_of=tags.tags_of,
        tags=tags.most_common_tags(everybody),
        choose=bool(personas.list_personas(database, me().id)),
        me=me(),
        quiet=usage_limits.quiet_time(me()),
    )


@blueprint.get("/chats")
@signed_in
def all_chats() -> str:
    """The chats of the person, those used last first; with `?all` more than MAX_LISTED of them."""
    most = None if "all" in request.args else MAX_LISTED
    stories, n = listing.list_stories(services().database, me().id, most)
    return render_template("chats.html", stories=stories, n_stories=n, me=me())


@blueprint.get("/chats/beside")
@signed_in
def beside() -> Response:
    """JSON: the HTML of the list beside the chat `open`."""
    stories, n = listing.list_stories(services().database, me().id, MAX_BESIDE)
    return jsonify(
        html=render_template("_beside.html", stories=stories, n_stories=n, open=request.args.get("open", ""))
    )


@blueprint.post("/chats")
@signed_in
def begin_chat() -> Page:
    """Begin a chat with a character, as oneself or as a persona."""
    form, database = request.form, services().database
    character = characters.get_character(database, me(), form.get("character", ""))
    persona = persona_of(form.get("persona"))
    name = form.get("name", "").strip() or (persona.name if persona else me().name)
    about = persona.description if persona else ""
    opening = form.get("opening", default=0, type=int)
    try:
        quota = services().settings.quota
        chat = chats.create_chat(
            database, me().id, character.id, name, user_persona=about, quota=quota, opening=opening
        )
    except Refused as refusal:
        if refusal.code == "quota":
            raise
        return character_page(character, chosen=persona, name=name, wrong=refusal.code), 422
    return redirect(url_for("chats.show", chat_id=chat.id))


@blueprint.post("/chats/delete")
@signed_in
def delete_chats() -> Response:
    """Delete the chats that the form names, at most MAX_AT_ONCE of them."""
    chosen = list(dict.fromkeys(request.form.getlist("chat")))[:MAX_AT_ONCE]
    if not chosen:
        notices.refused(Refused("none_chosen"))
    elif chats.delete_chats(services().database, me().id, chosen):
        notices.refused(Refused("busy_stories"))
    else:
        notices.done("stories-gone")
    return redirect(url_for("home.all_chats"))


@blueprint.post("/chats/<chat_id>/rename")
@signed_in
def rename_chat(chat_id: str) -> Response:
    """Give a chat another title."""
    try:
        chats.change_chat(services().database, me().id, chat_id, title=request.form.get("title", ""))
        services().hub.publish_titled(me().id, chat_id)
        notices.done("renamed")
    except Refused as refusal:
        notices.refused(refusal)
    return redirect(url_for("home.all_chats"))
