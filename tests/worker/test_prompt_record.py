"""What the model read: the record of a prompt, and how long it is kept."""

import pytest
from test_turn_kinds import Play

from store import chats, edits, prompt_records
from store.errors import NotFound, Refused


@pytest.fixture
def play(make_context, database, redis, chat):
    make_context(max_reply_tokens=60, context=4096)
    return Play(database, redis, chat)


def read(play, message, position=0):
    return prompt_records.read(play.database, play.chat.owner_id, message.id, position)


def test_it_is_what_the_model_read(play, make_user):
    chats.change_chat(play.database, play.chat.owner_id, play.chat.id, author_note="Rain, always.")
    greeting, question, reply = play("chat", "Who are you?")
    record = read(play, reply)
    kinds = [segment["kind"] for segment in record["segments"]]
    assert kinds == ["persona", "setting", "character", "note:author", "user", "reply"]
    by_kind = {segment["kind"]: segment for segment in record["segments"]}
    assert "Rain, always." in by_kind["note:author"]["text"]
    assert "Who are you?" in by_kind["user"]["text"]
    assert (by_kind["user"]["name"], by_kind["user"]["ordinal"]) == (question.name, question.ordinal)
    assert sum(segment["tokens"] for segment in record["segments"]) >= record["read"] > 0
    assert (record["context"], record["reply"]) == (4096, 60)
    assert record["forgotten"] == {"messages": 0, "examples": 0}
    revision = chats.get_revision(play.database, play.chat.id)
    edits.edit_message(play.database, play.chat.owner_id, question.id, "Changed", revision)
    assert read(play, reply) == record, "an edit changes nothing about what was read"
    assert read(play, greeting) is None
    with pytest.raises(NotFound):
        prompt_records.read(play.database, make_user("Eve").id, reply.id, 0)
    with pytest.raises(Refused, match="no_such_alternative"):
        read(play, reply, 1)


def test_only_the_newest_messages_keep_theirs(play, monkeypatch):
    monkeypatch.setattr(prompt_records, "KEPT", 4)
    for n in range(5):
        play("chat", f"Message {n}")
    replies = [message for message in play.messages()[1:] if message.role == "character"]
    assert [read(play, reply) is not None for reply in replies] == [False, False, False, True, True]


def test_a_retry_has_its_own(play):
    play("chat", "Who are you?")
    message = play("retry")[-1]
    assert read(play, message, 0)["segments"] == read(play, message, 1)["segments"]
    assert read(play, message, 1)["read"] == 0


def test_a_branch_leaves_them_where_they_are(play):
    """They count for no quota: a branch of a branch of a branch would be a way to fill the disk."""
    reply = play("chat", "Who are you?")[-1]
    branch = edits.branch(play.database, play.chat.owner_id, reply.id)
    copied = chats.transcript(play.database, branch.id)[-1]
    assert prompt_records.read(play.database, play.chat.owner_id, copied.id, 0) is None
    assert read(play, reply) is not None


def test_only_the_newest_alternatives_keep_theirs(play, monkeypatch):
    monkeypatch.setattr(prompt_records, "KEPT", 2)
    message = play("chat", "Who are you?")[-1]
    for _ in range(3):
        play("retry")
    assert [read(play, message, position) is not None for position in range(4)] == [False, False, True, True]


def test_one_that_is_too_large_is_not_kept(monkeypatch):
    record = {"segments": [{"text": "猫" * 100}]}
    assert prompt_records.unpack(prompt_records.pack(record)) == record
    monkeypatch.setattr(prompt_records, "MAX_BYTES", 600)
    assert prompt_records.pack(record) is None
