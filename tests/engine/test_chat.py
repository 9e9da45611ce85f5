"""A conversation as engine/chat.py keeps it: what each command costs, and what is there again after a restart."""

import json

import pytest

from engine import Cancelled, Done, Failed, RequestError, SamplerSettings, Text
from engine.backend import DecodeResult
from engine.backends.echo import EchoBackend
from engine.chat import Conversation, Transcript

GREEDY = SamplerSettings(temperature=0, repeat_penalty=1.0)
PERSONA = "You are Mira."


@pytest.fixture
def chat(make_engine, echo):
    return Conversation(make_engine(echo), Transcript(PERSONA, "Mira", "Ann"), max_tokens=120, sampling=GREEDY)


def end_of(turn):
    return list(turn.events())[-1]


def test_a_reply_becomes_part_of_the_transcript(chat):
    done = end_of(chat.send("Hello"))
    assert done.text.startswith("Mira heard: Hello (2 messages")
    assert [(m.role, m.text) for m in chat.messages] == [("user", "Hello"), ("character", done.text)]
    assert end_of(chat.send("Again")).text.startswith("Mira heard: Again (4 messages")


def test_only_what_is_new_is_read(chat):
    end_of(chat.send("Hello"))
    done = end_of(chat.send("Again"))
    assert done.stats.n_evaluated == len("Ann\nAgain\n") + 2 + len("Mira\n") + 1
    first = done.text
    done = end_of(chat.retry())
    assert (done.stats.n_evaluated, done.text) == (0, first)
    assert len(chat.messages) == 4


def test_a_reply_goes_on_where_it_ended(make_engine, echo):
    engine = make_engine(echo)
    chat = Conversation(engine, Transcript(PERSONA, "Mira", "Ann"), max_tokens=8, sampling=GREEDY)
    first = end_of(chat.send("Hello"))
    assert first.finish == "length"
    more = end_of(chat.continue_reply())
    assert more.stats.n_evaluated == 0
    assert chat.messages[-1].text == first.text + more.text == "Mira heard: Hell"
    assert len(chat.messages) == 2


def test_the_oldest_messages_leave_and_the_persona_stays(make_engine):
    backend = EchoBackend(n_cells=4096, n_sequences=8, n_batch=64)
    engine = make_engine(backend, context=800)
    chat = Conversation(engine, Transcript(PERSONA, "Mira", "Ann"), max_tokens=100, sampling=GREEDY)
    costs = []
    for turn in range(30):
        done = end_of(chat.send(f"message {turn}"))
        assert f"message {turn} (" in done.text
        costs.append(done.stats.n_evaluated)
    assert chat.transcript.n_left_out > 30
    assert max(costs[1:]) <= min(costs[1:]) + 1
    assert engine.inspect(next(iter(engine.known())))[0].segment.name == "persona"


def test_a_stopped_reply_is_kept_as_far_as_it_came(make_engine):
    backend = EchoBackend(n_cells=2000, n_sequences=4, n_batch=64, delay_s=0.005)
    chat = Conversation(make_engine(backend), Transcript(PERSONA), max_tokens=200, sampling=GREEDY)
    turn = chat.send("A long story about the sea and its many ships")
    shown = ""
    for event in turn.events():
        if isinstance(event, Text):
            shown += event.text
            break
    turn.cancel()
    events = list(turn.events())
    assert isinstance(events[-1], Cancelled)
    assert chat.messages[-1].text == shown + "".join(event.text for event in events if isinstance(event, Text))


def test_after_a_restart_the_conversation_goes_on(make_engine, tmp_path):
    def opened(**transcript):
        backend = EchoBackend(n_cells=4096, n_sequences=8, n_batch=64)
        engine = make_engine(backend, folder=tmp_path / "blocks")
        return engine, Conversation(
            engine, Transcript(PERSONA, **transcript), tmp_path / "deep" / "chat.json", 120, GREEDY
        )

    engine, chat = opened(user="Ann")
    end_of(chat.send("Hello"))
    engine.close()
    _, again = opened()
    assert again.messages == chat.messages
    assert again.transcript.user == "Ann"
    done = end_of(again.send("Back"))
    assert "(4 messages" in done.text
    assert done.stats.n_restored > done.stats.n_evaluated


def test_words_of_another_model_are_read_as_text(make_engine, tmp_path):
    file = tmp_path / "chat.json"
    end_of(Conversation(make_engine(EchoBackend()), Transcript(PERSONA), file, 120, GREEDY).send("Hello"))
    other = Conversation(make_engine(EchoBackend(salt="other")), Transcript(PERSONA), file, 120, GREEDY)
    assert "(4 messages" in end_of(other.send("Hello again")).text
    assert end_of(other.continue_reply()).text == " And so on."  # though it had ended


def test_a_file_that_is_no_conversation_is_a_sentence(make_engine, echo, tmp_path):
    for content in ("", "[]", "{}", json.dumps({"persona": "x", "messages": [{}]}), '{"messages": [], "what": 1}'):
        (tmp_path / "chat.json").write_text(content)
        with pytest.raises(RequestError, match="is not a conversation"):
            Conversation(make_engine(echo), Transcript(PERSONA), tmp_path / "chat.json")


def test_what_cannot_be_done_leaves_the_transcript_alone(chat):
    for command in (chat.retry, chat.continue_reply):
        with pytest.raises(RequestError, match="say something first"):
            command()
    with pytest.raises(RequestError, match="can need"):
        chat.send("x" * 2000)
    assert chat.messages == ()


class Refusing(EchoBackend):
    refuses = False

    def decode(self, runs):
        return DecodeResult.REFUSED if self.refuses else super().decode(runs)


def test_a_failed_reply_can_be_asked_for_again(make_engine):
    backend = Refusing()
    chat = Conversation(make_engine(backend), Transcript(PERSONA), max_tokens=120, sampling=GREEDY)
    backend.refuses = True
    assert isinstance(end_of(chat.send("Hello")), Failed)
    assert [message.role for message in chat.messages] == ["user"]
    backend.refuses = False
    assert isinstance(end_of(chat.retry()), Done)
    before = chat.messages
    backend.refuses = True
    assert isinstance(end_of(chat.continue_reply()), Failed)
    assert chat.messages == before
