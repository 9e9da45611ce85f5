"""A page whose house cannot take anything just now: nothing is lost, and nobody has to press anything."""

import json

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_what_the_house_could_not_take_just_now_is_sent_again(chat):
    chat.page.route_web_socket("**/ws", not_now)
    chat.page.reload()
    chat.rest()
    chat.say("Take this when you can.")
    chat.page.get_by_text("cannot reach its database").wait_for()
    chat.until("() => document.querySelectorAll('[data-testid=message][data-role=character]').length == 2")
    chat.rest()
    assert chat.roles() == ["character", "user", "character"]
    assert chat.messages()[1]["words"] == "Take this when you can."


def not_now(socket):
    """A house whose disk is full when the first message comes."""
    server = socket.connect_to_server()
    error = {"code": "database", "message": "The server cannot reach its database: try again in a moment."}
    refusals = [json.dumps({"type": "refused", "id": None, "error": error})]
    socket.on_message(
        lambda text: socket.send(refusals.pop()) if refusals and '"submit"' in text else server.send(text)
    )
