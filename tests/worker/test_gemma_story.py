"""A story on Gemma 3 270M through store, prompt and engine: a base model with a sliding window, without a template."""

import pytest
from test_turn_kinds import Play

from store import chats
from tests.harness.models import gemma_path

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


@pytest.fixture
def play(make_context, database, redis, chat):
    make_context(
        backend="llama", model=str(gemma_path()), context=1024, max_reply_tokens=40, ram_cache_mb=64, threads=1
    )
    chats.change_chat(database, chat.owner_id, chat.id, settings={"temperature": 0.0})
    return Play(database, redis, chat)


def test_a_short_story_of_every_kind(play, database):
    said = ("Good evening! What are you doing?", "May I come in?", "Thank you. Is there tea?")
    replies = [play("chat", text)[-1] for text in said]
    narration = play("narrate", "it begins to snow")[-1]
    play("suggest")
    assert play.turn.result["suggestion"]
    assert len(play("retry")[-1].alternatives) == 2
    assert narration.role == "narrator"
    for written in (*replies, narration, *play("chat", "Look, snow!")[-1:]):
        assert written.text
        assert "<|im" not in written.text
        assert not any(f"\n{name}:" in written.text for name in ("Ada", "Mo", "Narrator"))
    assert len(chats.load_story(database, play.chat.id).messages) == 10
