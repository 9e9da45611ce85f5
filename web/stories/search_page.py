"""The search page over all of a person's stories or one, and the passages of a story that a jump to a hit needs.

What it does: a passage is JSON: messages around a place, or those that follow one, which the chat page puts among the
newest ones that it has.
What it refuses to know: how words are found (store/search), how the page jumps (static/js/chat/jump.js).
"""

from flask import Blueprint, jsonify, render_template, request
from werkzeug.wrappers import Response

from store import chats, message_pages, search
from store.message_pages import MAX_ORDINAL
from web import serializers
from web.auth.accounts import me, signed_in
from web.i18n.language import language, translate_frame
from web.services import services

blueprint = Blueprint("search", __name__)
PASSAGE = 40
MAX_QUERY = 200
_MAX_NUMBER = 1 << 62


@blueprint.get("/search")
@signed_in
def show() -> str:
    """What was found for `q`, in all stories or in the one that `story` names; `before` goes on."""
    query = " ".join(request.args.get("q", "")[:MAX_QUERY].split())
    database, story = services().database, request.args.get("story") or None
    chat = chats.get_chat(database, me().id, story) if story else None
    before = min(max(0, request.args.get("before", type=int, default=0)), _MAX_NUMBER)
    found = search.find(database, me().id, query, story, before or None)
    titles = () if chat or before else search.titles(database, me().id, query)
    return render_template("search.html", query=query, chat=chat, found=found, titles=titles)


@blueprint.get("/chat/<chat_id>/passage")
@signed_in
def passage(chat_id: str) -> Response:
    """JSON: messages around the ordinal `at`, or those after the ordinal `after`, and what lies on both sides."""
    database = services().database
    chats.get_chat(database, me().id, chat_id)
    after = request.args.get("after", type=int)
    at = min(max(0, request.args.get("at", type=int, default=0)), MAX_ORDINAL)
    if after is not None:
        page = message_pages.after(database, chat_id, after, PASSAGE)
        found = {"messages": serializers.messages_json(page.messages), "later": page.more}
    else:
        before, behind = message_pages.around(database, chat_id, at, PASSAGE)
        messages = serializers.messages_json((*before.messages, *behind.messages))
        found = {"messages": messages, "earlier": before.more, "later": behind.more}
    return jsonify(translate_frame(found, language()))
