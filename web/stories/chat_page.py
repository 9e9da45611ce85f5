"""The chat page: rendered with the newest messages in it; from then on the web socket (web/live) keeps it up to date.

What it does: also answers the two JSON requests of the page that need no web socket: earlier messages, re-read cost.
What it refuses to know: turns and frames (web/live). To add a part of the page: templates/chat.html, a class in
static/js/chat, made in controller.js; what it shows at first comes with the snapshot (web/live/snapshot.py).
"""

from flask import Blueprint, jsonify, redirect, render_template, request, url_for
from redis.exceptions import RedisError
from werkzeug.wrappers import Response

from store import characters, chats, message_pages, personas, reread_cost, sampling, usage_limits
from store.lore import books
from store.presets import own_presets
from store.wanted_model import is_met, wanted_model
from web import serializers
from web.assets import avatar_url
from web.auth.accounts import me, signed_in
from web.i18n.language import language, translate_frame
from web.live import snapshot
from web.services import services
from web.stories import sampler_dials

blueprint = Blueprint("chats", __name__)
PAGE_SIZE = 60


@blueprint.get("/chat/<chat_id>")
@signed_in
def show(chat_id: str) -> str:
    """The page of a chat."""
    shot = snapshot.take(services().database, me().id, chat_id)
    character = characters.character_of_chat(services().database, me(), chat_id)
    selves = personas.list_personas(services().database, me().id)
    wants, models = wanted_model(character.card), services().maintenance.models
    return render_template(
        "chat.html",
        chat=shot.chat,
        character=character,
        shown=translate_frame(shot.opened(0, None), language()),
        books=books.list_names(services().database, me(), chat_id),
        dials=sampler_dials.DIALS,
        presets=sampler_dials.PRESETS,
        preset_values=sampling.PRESETS,
        personas=selves,
        faces={name: avatar_url(avatar) for name, avatar in personas.faces(selves).items()},
        own_presets=serializers.presets_json(own_presets.list_presets(services().database, me().id)),
        lengths={"short": sampling.SHORT, "long": sampling.LONG, "range": sampling.OF_REPLIES["reply_tokens"]},
        stops={"most": sampling.MAX_STOPS, "letters": sampling.MAX_STOP_CHARS},
        wants=wants,
        wants_met=not models or is_met(wants, models),
        me=me(),
        today=usage_limits.today(services().database, me()),
        quiet=usage_limits.quiet_time(me()),
    )


@blueprint.get("/chat/<chat_id>/messages")
@signed_in
def earlier_messages(chat_id: str) -> Response:
    """JSON: the messages just before the ordinal `before`, and whether any come before those."""
    chats.get_chat(services().database, me().id, chat_id)
    before = request.args.get("before", type=int, default=0)
    page = message_pages.before(services().database, chat_id, before, PAGE_SIZE)
    found = {"messages": serializers.messages_json(page.messages), "earlier": page.more}
    return jsonify(translate_frame(found, language()))


@blueprint.get("/chat/<chat_id>/price")
@signed_in
def cost_of_change(chat_id: str) -> Response:
    """JSON: the re-read cost of editing and of deleting the message `message`; null for what is not known."""
    edit, delete = reread_cost.of_message(services().database, me().id, chat_id, request.args.get("message", ""))
    speed = _reading_speed(chat_id)
    return jsonify(edit=_cost_json(edit, speed), delete=_cost_json(delete, speed))


@blueprint.post("/chat/<chat_id>/delete")
@signed_in
def delete(chat_id: str) -> Response:
    """Delete a chat."""
    chats.delete_chat(services().database, me().id, chat_id)
    return redirect(url_for("home.show"))


def _reading_speed(chat_id: str) -> float | None:
    """Tokens that the chat's worker reads per second; None while Redis does not answer or no speed is known."""
    try:
        return reread_cost.tokens_per_second(services().redis, chat_id)
    except RedisError:
        return None


def _cost_json(one: reread_cost.RereadCost, speed: float | None) -> dict[str, float | None]:
    seconds = one.n_tokens / speed if speed and one.n_tokens is not None else None
    return {"messages": one.n_messages, "tokens": one.n_tokens, "seconds": seconds}
