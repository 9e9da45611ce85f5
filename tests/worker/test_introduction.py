"""A person becomes somebody else in the middle of a story: told where it happens, and nothing is read again."""

import pytest
from test_turn_kinds import Play
from worker_stories import ByteFraming, message, story, talk, text_of, turn

from store import chats, edits
from worker.prompt.build import plan_part
from worker.prompt.segments import Limits

CARD = {"system_prompt": "Be {{char}}, with {{user}}.", "mes_example": "{{user}}: Hi", "scenario": "{{persona}}"}


def plan(chat_story, context=100_000):
    return plan_part(chat_story, turn(), "chat", ByteFraming(), Limits(context, 50, "key"))


def names(result):
    return [segment.name for segment in result.wanted]


def test_the_beginning_stays_and_the_change_is_told_where_it_was_made():
    messages = (*talk(4), message(4, "character", "x"), message(5, "user", "y"))
    before = plan(story(*messages, card=CARD, user_persona="A cook."))
    introduced = {"name": "Ann", "about": "A cook.", "since": 5}
    after = plan(story(*messages, card=CARD, user_name="Bea", user_persona="A spy.", introduced=introduced))
    assert after.wanted[: len(before.wanted) - 1] == before.wanted[:-1], "nothing before it is read again"
    assert names(after)[-2:] == ["cast:5", "user:m5.0"]
    told = text_of(after.wanted[-2].tokens)
    assert "talks with Bea. This is who Ann is called now." in told
    assert "for Bea: A spy." in told
    assert after.wanted[-2].ephemeral
    assert {"\nAnn:", "\nBea:"} <= set(after.reply.stop)


def test_it_stays_when_the_messages_around_it_are_evicted():
    introduced = {"name": "Ann", "about": "", "since": 3}
    chat_story = story(*talk(40, 100), card=CARD, user_name="Bea", introduced=introduced)
    result = plan(chat_story, context=3000)
    assert names(result)[2] == "cast:3"
    assert result.window["messages"] > 3
    assert "cast:3" not in result.forgotten


@pytest.fixture
def play(make_context, database, redis, chat):
    make_context(max_reply_tokens=400, context=4096)
    return Play(database, redis, chat)


def test_a_changed_person_costs_the_words_of_the_change_only(play):
    database, owner, chat_id = play.database, play.chat.owner_id, play.chat.id
    chats.change_chat(database, owner, chat_id, user_persona="A cook.")
    assert chats.get_chat(database, owner, chat_id).introduced == {}, "nothing was played: it is the beginning"
    for text in ("One", "Two", "Three"):
        play("chat", text)
    plain = play.n_evaluated()
    changed = chats.change_chat(database, owner, chat_id, user_name="Bea", user_persona="{{user}} is a spy.")
    assert changed.user_persona == "Bea is a spy."
    reply = play("chat", "Seven")
    assert play.n_evaluated() < plain + 200, "the note, not the story"
    assert (reply[-2].name, reply[-4].name) == ("Bea", "Ada")
    play("chat", "Eight")
    assert play.n_evaluated() == plain, "it stands where it is"
    play("retry")
    assert play.n_evaluated() == 0
    chats.change_chat(database, owner, chat_id, user_persona="A queen.")
    play("chat", "Nine!")
    assert play.n_evaluated() < plain + 200
    branch = edits.branch(database, owner, play.messages()[2].id)
    assert branch.introduced["since"] == 3
    assert branch.introduced["about"] == "A cook."
    over = edits.start_over(database, owner, chat_id)
    assert (over.user_name, over.user_persona, over.introduced) == ("Bea", "A queen.", {})
    chats.change_chat(database, owner, chat_id, user_name=changed.introduced["name"], user_persona="A cook.")
    assert chats.get_chat(database, owner, chat_id).introduced == {}, "as the beginning says it"
