"""All kinds of turns on the demo model: what is read is what is new, and a status is whole."""

import pytest
from test_turn_kinds import STATUS, Play, give_status  # noqa: F401 (a fixture)

from store import chats

pytestmark = pytest.mark.timeout(300)


def test_every_kind_reads_only_what_is_new(make_context, database, redis, chat, give_status):  # noqa: F811
    give_status(STATUS)
    make_context(backend="llama", context=1024, max_reply_tokens=24, ram_cache_mb=64, threads=1)
    chats.change_chat(database, chat.owner_id, chat.id, settings={"seed": 1})
    play = Play(database, redis, chat)
    reply = play("chat", "Good evening! What are you doing?", ["status"])[-1]
    (mood, energy) = reply.chosen.status["fields"]
    assert mood["value"] in ("calm", "merry")
    assert 0 <= energy["value"] <= 100
    grown = play("continue")[-1]
    assert grown.text.startswith(reply.text)
    assert len(grown.text) > len(reply.text)
    assert play.n_evaluated() == 0
    assert grown.chosen.status is None  # it described the shorter one
    narration = play("narrate", "it begins to snow")[-1]
    assert narration.role == "narrator"
    assert play.n_evaluated() < 90  # the note, and the narrator's header
    play("suggest")
    assert play.turn.result["suggestion"]
    assert len(play("retry")[-1].alternatives) == 2
    assert play.n_evaluated() == 0
    play("chat", "Look, snow!")
    assert play.n_evaluated() < 30  # the message, and two frames
    play("status")
    play("chat", "Good night.")
    assert play.n_evaluated() < 30
