"""Text is resolved once, when it enters a chat, and kept as it is from then on."""

import random
import uuid

import pytest

from store import chats, edits, turns
from store.errors import Refused
from store.greetings import MAX_GREETINGS
from store.macros.clock_and_dice import MOST_DICE
from store.macros.resolver import MAX_INSERTED
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


def test_dice_of_a_message_and_of_all_greetings_together_are_bounded(database, user, monkeypatch):
    rolled = []
    monkeypatch.setattr(random.SystemRandom, "randint", lambda self, low, high: rolled.append(high) or 1)
    dice = "{{roll:999d6+999d6+999d6+999d6+999d6+999d6+999d6+999d6}}"
    card = CARD | {"first_mes": dice * 20, "alternate_greetings": [dice] * 20}
    with database.session() as session:
        session.add(
            Character(id="d" * 32, name="Dice", tagline="", card=card, avatar="", rating="everyone", locale="en",
                      owner_id=None, created_at=0.0)
        )  # fmt: skip
    chat = chats.create_chat(database, user.id, "d" * 32, "Ada")
    assert len(rolled) <= MOST_DICE
    begun = turns.begin_turn(database, user.id, command(chat, dice * 300))
    assert len(rolled) <= 2 * MOST_DICE
    assert begun.message.text == "7992" + dice * 299


def test_greetings_are_bounded_in_number_and_in_what_they_insert(database, user):
    card = CARD | {"description": "x" * 10_000, "first_mes": "", "alternate_greetings": ["{{description}}"] * 1_000}
    with database.session() as session:
        session.add(
            Character(id="m" * 32, name="Many", tagline="", card=card, avatar="", rating="everyone", locale="en",
                      owner_id=None, created_at=0.0)
        )  # fmt: skip
    greetings = texts_of(database, chats.create_chat(database, user.id, "m" * 32, "Ada"))[0]
    assert len(greetings) == MAX_GREETINGS
    assert sum(map(len, greetings)) <= MAX_INSERTED + 1_000 * len("{{description}}")
    assert greetings[-1] == "{{description}}"
