"""Recall in prompts: where the segment stands, that it costs its own tokens only, its receipt and its switches."""

import json
from dataclasses import replace

import pytest
from test_turn_kinds import Play
from worker_stories import ByteFraming, message, story, talk, text_of, turn

from engine.kv.planner import plan as plan_moves
from store import chats, edits, prompt_records, search
from store.models import Chat
from store.views import Passage
from worker.prompt.build import plan_part
from worker.prompt.recall import Recalled, memory_of, question_of, remembered
from worker.prompt.segments import Limits

FRAMING = ByteFraming()
KEY = Passage("m0", 0, 30, "d", ordinal=0, name="Mira", role="character", text="The key is under the stove.", score=9.0)


def plan(chat_story, kind="chat", recalled=None, context=4000, budget=300, **fields):
    limits = Limits(context, 50, "key", recall=budget)
    return plan_part(chat_story, turn(kind, **fields), kind, FRAMING, limits, recalled=recalled)


def names(result):
    return [segment.name.split(":")[0] for segment in result.wanted]


def recalled(chat_story, *passages):
    return Recalled(passages, memory_of(question_of(chat_story), passages))


def test_it_stands_before_the_last_word_with_its_speaker_and_a_receipt():
    chat_story = story(*talk(4), author_note="Be brief.")
    result = plan(chat_story, recalled=recalled(chat_story, KEY))
    assert names(result)[-4:] == ["character", "recall", "note", "user"]
    segment = next(one for one in result.wanted if one.name.startswith("recall:"))
    assert segment.ephemeral
    assert "newest first:\n- Mira: The key is under the stove." in text_of(segment.tokens)
    (receipt,) = result.recalled
    assert receipt == {"message": "m0", "ordinal": 0, "name": "Mira", "excerpt": "The key is under the stove."}


def test_the_same_segment_is_found_by_what_follows_and_leaves_with_nothing_read_again():
    chat_story = story(*talk(4))
    first = plan(chat_story, recalled=recalled(chat_story, KEY))
    told = replace(chat_story, chat=replace(chat_story.chat, window=first.window))
    assert remembered(told, question_of(told)) == (KEY.kept,)
    replied = replace(told, messages=(*told.messages, message(4, "character", "Oh.")))
    for kind in ("retry", "suggest"):
        again = plan(replied, kind, recalled(replied, KEY), reply_message_id="m4")
        assert [one for one in again.wanted if one.name.startswith("recall:")] == [
            one for one in first.wanted if one.name.startswith("recall:")
        ]
        assert again.window["recall"] == first.window["recall"]
    after = replace(replied, messages=(*replied.messages, message(5, "user", "Well.")))
    assert remembered(after, question_of(after)) is None
    result = plan(after, recalled=Recalled(memory={}))
    moves = plan_moves(first.wanted, result.wanted, result.forgotten, result.pinned)
    assert moves.n_evaluated(result.wanted) == sum(len(segment.tokens) for segment in result.wanted[-2:])
    assert "recall" not in result.window


def test_the_budget_takes_the_best_that_fit_and_nothing_stays_where_there_is_no_room():
    chat_story = story(*talk(4))
    other = replace(KEY, source="m1", ordinal=1, text="x" * 80, score=5.0)
    third = replace(KEY, source="m2", ordinal=2, text="A ring.", score=4.0)
    result = plan(chat_story, recalled=recalled(chat_story, third, other, KEY), budget=120)
    assert [one["message"] for one in result.recalled] == ["m2", "m0"]
    assert plan(chat_story, recalled=recalled(chat_story, KEY), budget=0).recalled == ()
    full = story(message(0, "user", "x" * 300))
    result = plan(full, recalled=recalled(full, KEY), context=620)
    assert (result.recalled, "recall" in names(result)) == ((), False)


def test_a_preload_leaves_it_out_and_keeps_what_is_remembered():
    chat_story = story(*talk(4), window={"recall": {"asked": "k", "kept": []}})
    result = plan(chat_story)
    assert "recall" not in names(result)
    assert result.window["recall"] == {"asked": "k", "kept": []}


@pytest.fixture
def play(make_context, database, redis, chat):
    make_context(max_reply_tokens=400, context=4096)
    return Play(database, redis, chat)


def forget_all_but_the_last(play):
    """Move the window, as a full one does, and let the index follow."""
    while search.index_some(play.database):
        pass
    with play.database.session() as session:
        row = session.get_one(Chat, play.chat.id)
        row.window = {"messages": play.messages()[-1].ordinal}


def test_a_turn_recalls_reads_its_own_tokens_only_and_keeps_a_receipt(play):
    play("chat", "My brother Quintus lives in Brackwater.")
    play("chat", "Two")
    play("chat", "Three")
    plain = play.n_evaluated()
    forget_all_but_the_last(play)
    reply = play("chat", "Do you know Quintus?")[-1]
    receipts = reply.chosen.stats["recalled"]
    assert all("Quintus lives in Brackwater" in receipt["excerpt"] for receipt in receipts)
    record = prompt_records.read(play.database, play.chat.owner_id, reply.id, reply.active)
    (told,) = [part for part in record["segments"] if part["kind"] == "recall"]
    assert "Quintus lives in Brackwater" in told["text"]
    assert play.n_evaluated() == plain + told["tokens"] + len(b"Do you know Quintus?") - len(b"Three")
    window = chats.get_chat(play.database, play.chat.owner_id, play.chat.id).window
    assert "Quintus" not in json.dumps(window)
    play("retry")
    assert play.n_evaluated() == 0
    assert play.messages()[-1].chosen.stats["recalled"] == receipts
    play("continue")
    assert play.n_evaluated() == 0


def test_it_is_off_by_the_storys_switch_and_without_a_source(play):
    said = play("chat", "My brother Quintus lives in Brackwater.")
    play("chat", "Two")
    forget_all_but_the_last(play)
    chats.change_chat(play.database, play.chat.owner_id, play.chat.id, memory={"recall": False})
    assert "recalled" not in play("chat", "Do you know Quintus?")[-1].chosen.stats
    chats.change_chat(play.database, play.chat.owner_id, play.chat.id, memory={})
    forget_all_but_the_last(play)
    assert play("chat", "Do you know Quintus?")[-1].chosen.stats["recalled"]
    source = next(one for one in said if "Quintus" in one.text and one.role == "user")
    revision = chats.get_revision(play.database, play.chat.id)
    edits.edit_message(play.database, play.chat.owner_id, source.id, "Nothing.", revision)
    receipts = play("retry")[-1].chosen.stats.get("recalled", [])
    assert source.id not in [one["message"] for one in receipts]


def test_what_found_no_room_is_left_out_by_a_retry_too():
    chat_story = story(*talk(4))
    newer = replace(KEY, source="m1", ordinal=1, text="The key is on the shelf now.", score=5.0)
    first = plan(chat_story, recalled=recalled(chat_story, newer, KEY), budget=100)
    told = replace(chat_story, chat=replace(chat_story.chat, window=first.window))
    read = {one.kept: replace(one, score=0.0) for one in (newer, KEY)}  # a passage that is read again has no score
    again = plan(told, "retry", recalled(told, *(read[one] for one in remembered(told, question_of(told)))), budget=100)
    assert [one["message"] for one in first.recalled] == ["m0"]
    assert again.recalled == first.recalled
