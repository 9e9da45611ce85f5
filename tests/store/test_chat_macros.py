"""Text is resolved once, when it enters a chat, and kept as it is from then on."""

import uuid

import pytest

from store import chats, edits, turns
from store.errors import Refused
from store.models import Character
from store.turns import TurnCommand

CARD = {
    "name": "Mara Lind",
    "nickname": "Mara",
    "description": "{{char}} keeps an inn for {{user}}.",
    "first_mes": "Welcome, {{user}}. {{description}} You are {{persona}}",
    "alternate_greetings": ["{{roll:1d1}} o'clock", 7, None, "{{char}} nods"],
}


@pytest.fixture
def inn(database, user):
    with database.session() as session:
        session.add(
            Character(id="i" * 32, name="Mara Lind", tagline="", card=CARD, avatar="", rating="everyone", locale="en",
                      owner_id=None, created_at=0.0)
        )  # fmt: skip
    return chats.create_chat(database, user.id, "i" * 32, "Ada", now=5.0, user_persona="a friend of {{char}}")


def command(chat, text, kind="chat", revision=1) -> TurnCommand:
    return TurnCommand(id=uuid.uuid4().hex, chat_id=chat.id, kind=kind, expected_revision=revision, text=text)


def texts_of(database, chat):
    return [[one.text for one in message.alternatives] for message in chats.transcript(database, chat.id)]


def test_a_greeting_and_ones_own_description(database, inn):
    assert inn.user_persona == "a friend of Mara"
    greeting = "Welcome, Ada. Mara keeps an inn for Ada. You are a friend of Mara"
    assert texts_of(database, inn) == [[greeting, "1 o'clock", "Mara nods"]]


def test_a_message_knows_the_last_ones(database, user, inn):
    text = "{{lastMessage}}|{{lastUserMessage}}|{{lastCharMessage}}|{{input}}|{{idleDuration}}|{{what}}|{{persona}}"
    turns.begin_turn(database, user.id, command(inn, text), now=125.0)
    greeting = "Welcome, Ada. Mara keeps an inn for Ada. You are a friend of Mara"
    assert texts_of(database, inn)[1] == [f"{greeting}||{greeting}||2 minutes|{{{{what}}}}|a friend of Mara"]


def test_a_hint_and_a_note(database, user, inn):
    turn = turns.begin_turn(database, user.id, command(inn, "{{user}} sleeps", "narrate")).turn
    assert turn.params["hint"] == "Ada sleeps"
    chat = chats.change_chat(database, user.id, inn.id, author_note="{{char}} is shy", title="{{char}}")
    assert (chat.author_note, chat.title) == ("Mara is shy", "{{char}}")


def test_an_edit_sees_what_stands_before_its_message(database, user, inn):
    message = chats.transcript(database, inn.id)[0]
    edited = edits.edit_message(database, user.id, message.id, "{{user}}!{{lastMessage}}", 1)
    assert edited.text == "Ada!"


def test_what_grows_too_long_is_refused_and_nothing_is_written(database, user, inn):
    description = "{{description}}" * 1_300  # 19,500 letters that would become 32,500
    with pytest.raises(Refused) as refused:
        turns.begin_turn(database, user.id, command(inn, description))
    assert refused.value.code == "too_long"
    with pytest.raises(Refused) as refused:
        edits.edit_message(database, user.id, chats.transcript(database, inn.id)[0].id, description, 1)
    assert refused.value.code == "too_long"
    with pytest.raises(Refused) as refused:
        chats.change_chat(database, user.id, inn.id, author_note="{{description}}" * 200)
    assert refused.value.code == "too_long"
    assert len(texts_of(database, inn)) == 1


def test_stored_text_is_never_resolved_again(database, user, inn):
    turns.begin_turn(database, user.id, command(inn, "{{{{noop}}char}}"))
    assert texts_of(database, inn)[1] == ["{{char}}"]
    copied = edits.branch(database, user.id, chats.transcript(database, inn.id)[1].id)
    assert texts_of(database, copied)[1] == ["{{char}}"]
    chats.change_chat(database, user.id, inn.id, user_persona="{{{{noop}}user}}")
    assert edits.start_over(database, user.id, inn.id).user_persona == "{{user}}"
