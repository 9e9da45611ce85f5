"""Every kind of turn, alone and together, with the echo engine: what is written, streamed, kept and read again."""

import uuid

import pytest

from store import chats, turns
from store.broker import events
from store.errors import Refused
from worker.jobs import run_turn

STATUS = [
    {"name": "Mood", "type": "one_of", "options": ["calm", "merry"]},
    {"name": "Energy", "type": "integer", "unit": "%", "minimum": 0, "maximum": 100},
]


class Play:
    """A person at one chat; every turn is run at once."""

    def __init__(self, database, redis, chat):
        self.database, self.redis, self.chat = database, redis, chat
        self.turn = None

    def __call__(self, kind, text="", then=()):
        self.turn = self.submit(kind, text, then)
        run_turn(self.turn.id)
        self.turn = turns.get_turn(self.database, self.turn.id)
        return self.messages()

    def submit(self, kind, text="", then=()):
        revision = chats.get_revision(self.database, self.chat.id)
        command = turns.TurnCommand(uuid.uuid4().hex, self.chat.id, kind, revision, text, then=tuple(then))
        return turns.begin_turn(self.database, self.chat.owner_id, command).turn

    def messages(self):
        return chats.load_story(self.database, self.chat.id).messages

    def said(self, *types):
        return [event for event in events.read(self.redis, self.turn.id) if event["type"] in types]

    def streamed(self):
        texts = {}
        for event in self.said("text"):
            texts[event["part"]] = texts.get(event["part"], "")[: event["offset"]] + event["text"]
        return texts

    def n_evaluated(self):
        return self.messages()[-1].chosen.stats["n_evaluated"]


@pytest.fixture
def play(make_context, database, redis, chat):
    make_context(max_reply_tokens=400, context=4096)
    return Play(database, redis, chat)


def test_continue_lets_the_last_message_grow_and_reads_nothing(play):
    first = play("chat", "Good evening")[-1]
    grown = play("continue")
    assert len(grown) == 3
    assert (grown[-1].id, len(grown[-1].alternatives)) == (first.id, 1)
    assert grown[-1].text == first.text + play.streamed()[0]
    assert len(grown[-1].text) > len(first.text)
    assert play.n_evaluated() == 0
    (part,) = play.said("part")
    assert (part["kind"], part["message"], part["parts"]) == ("continue", first.id, 1)
    play("chat", "And then?")
    assert play.n_evaluated() < 60


def test_a_greeting_can_go_on(play):
    greeting = play.messages()[0]
    grown = play("continue")
    assert len(grown) == 1
    assert grown[0].text.startswith(greeting.text)
    assert len(grown[0].text) > len(greeting.text)


def test_continue_after_the_users_word_writes_the_reply_that_never_came(play, database, user):
    turn = play.submit("chat", "Hello?")
    turns.request_cancel(database, user.id, turn.id)
    *_, question, reply = play("continue")
    assert (question.text, reply.role) == ("Hello?", "character")


def test_narrate_adds_a_message_and_leaves_the_note_behind(play):
    play("chat", "Good evening")
    narration = play("narrate", "a storm")[-1]
    assert (narration.role, narration.name) == ("narrator", "Narrator")
    assert "a storm" in narration.text  # the echo repeats what it heard last: the note
    assert play.streamed() == {0: narration.text}
    retried = play("retry")[-1]
    assert (retried.id, len(retried.alternatives), retried.active) == (narration.id, 2, 1)
    assert "a storm" in retried.text
    assert play.n_evaluated() == 0
    play("suggest")
    play("retry")
    assert play.n_evaluated() == 0
    grown = play("continue")[-1]
    assert play.n_evaluated() == 0
    assert grown.text.startswith(narration.text[:10])
    reply = play("chat", "What a storm")[-1]
    assert "heard: What a storm" in reply.text
    assert play.n_evaluated() < 60


def test_only_the_last_narrations_stay_in_the_session(play):
    for n in range(4):
        play("chat", f"Message {n}")
        play("narrate")
    assert [message.role for message in play.messages()].count("narrator") == 4
    reply = play("chat", "The last one")[-1]
    assert play.n_evaluated() < 70
    n_heard = int(reply.text.split("(")[1].split(" ")[0])
    assert n_heard == 1 + 1 + 8 + 2 + 1  # persona, greeting, four exchanges, two narrations, the last message


def test_a_suggestion_beside_the_users_own_word(play):
    play("chat", "Good evening", ["suggest"])
    assert (play.turn.state, bool(play.turn.result["suggestion"])) == ("done", True)


def test_suggest_leaves_no_trace(play):
    before = play("chat", "Good evening")
    revision = chats.get_revision(play.database, play.chat.id)
    assert play("suggest") == before
    assert chats.get_revision(play.database, play.chat.id) == revision
    (done,) = play.said("done")
    assert done["suggestion"] == play.streamed()[0].strip() == play.turn.result["suggestion"]
    assert done["messages"] == []
    assert turns.result_of(play.database, play.turn.id).suggestion == done["suggestion"]
    play("chat", "Another one")
    assert play.n_evaluated() < 60


def test_status_is_kept_with_its_message_and_only_the_last_one_in_the_session(play, give_status):
    give_status(STATUS)
    play("chat", "Good evening")
    message = play("status")[-1]
    assert [fact["name"] for fact in message.chosen.status["fields"]] == ["Mood", "Energy"]
    assert message.chosen.status["fields"][0]["value"] == "calm"
    assert isinstance(message.chosen.status["fields"][1]["value"], int)
    assert message.as_dict()["alternatives"][0]["status"] == message.chosen.status["fields"]
    assert play.said("text") == []
    heard = play("chat", "And now?")[-1]
    assert play.n_evaluated() < 60
    assert "(6 messages" in heard.text  # persona, greeting, message, reply, status, the new message
    again = play("status")
    assert [message.chosen.status is not None for message in again] == [False, False, True, False, True]
    play("chat", "Once more")
    assert play.n_evaluated() < 60


def test_everything_in_one_turn(play, give_status):
    give_status(STATUS)
    *_, question, reply, narration = play("chat", "Good evening", ["narrate", "suggest", "status"])
    assert [question.role, reply.role, narration.role] == ["user", "character", "narrator"]
    assert narration.chosen.status["fields"][0]["name"] == "Mood"
    assert [part["kind"] for part in play.said("part")] == ["chat", "narrate", "suggest", "status"]
    streamed = play.streamed()
    assert (streamed[0], streamed[1]) == (reply.text, narration.text)
    (done,) = play.said("done")
    assert [message["id"] for message in done["messages"]] == [reply.id, narration.id]
    assert done["suggestion"] == streamed[2].strip()
    assert play.turn.parts == ("chat", "narrate", "suggest", "status")
    play("chat", "And then?")
    assert play.n_evaluated() < 60


def test_a_part_that_fails_takes_nothing_from_those_before_it(make_context, database, redis, chat, give_status):
    give_status(STATUS)
    make_context(max_reply_tokens=8)
    play = Play(database, redis, chat)
    *_, reply = play("chat", "Good evening", ["status"])  # eight letters are no whole status
    assert (reply.role, reply.chosen.status, play.turn.state) == ("character", None, "done")
    play("status")
    assert (play.turn.state, play.turn.error_code) == ("failed", "bad_status")


@pytest.mark.parametrize(
    ("kind", "then", "code"),
    [
        ("chat", ["chat"], "bad_kind"),
        ("narrate", ["narrate"], "bad_kind"),
        ("chat", ["suggest", "suggest"], "bad_kind"),
        ("sing", [], "bad_kind"),
        ("retry", [], "nothing_to_retry"),
    ],
)
def test_what_makes_no_sense_is_refused(play, kind, then, code):
    with pytest.raises(Refused) as refused:
        play.submit(kind, "Hello" if kind == "chat" else "", then)
    assert refused.value.code == code


@pytest.fixture
def give_status(database, chat):
    from store.models import Character

    def give(fields):
        with database.session() as session:
            row = session.get(Character, chat.character_id)
            row.card = {**row.card, "extensions": {"inglenook": {"status": fields}}}

    return give


def test_a_status_stays_where_it_is_while_something_else_is_suggested(play, give_status):
    give_status(STATUS)
    play("chat", "Good evening")
    play("status")
    play("chat", "Six")
    n_evaluated = play.n_evaluated()
    play("status", then=["suggest"])
    play("chat", "Ten")
    assert play.n_evaluated() == n_evaluated
