"""What a person changes in a chat by hand."""

import uuid
import zlib

import pytest

from engine.sampling import RANGES, settings_from
from store import chats, edits, explanations, sampling, turns
from store.errors import NotFound, Refused
from store.models import Chat
from store.turns import Reply, TurnCommand


@pytest.fixture
def told(database, user, chat):
    """A chat with a message and a reply; returns both."""
    turn = turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", 1, "hi")).turn
    claim = turns.claim(database, turn.id, "gpu0", 5)
    turns.commit(database, turn.id, claim.attempt, Reply("Hello", (1, 2), "smol"), {"examples": 1, "messages": 0})
    return chats.transcript(database, chat.id)[1:]


def refusal(call, *arguments, **options):
    with pytest.raises(Refused) as refused:
        call(*arguments, **options)
    return refused.value.code


def test_an_edit_takes_the_place_of_the_text(database, user, chat, told):
    edited = edits.edit_message(database, user.id, told[1].id, " Good\r\nday ", 3)
    assert (edited.text, edited.revision, edited.chosen.tokens, edited.chosen.finish) == (
        "Good\nday",
        4,
        None,
        "edited",
    )
    assert refusal(edits.edit_message, database, user.id, told[1].id, "x", 3) == "moved_on"
    assert refusal(edits.edit_message, database, user.id, told[1].id, " ", 4) == "empty"
    assert refusal(edits.edit_message, database, user.id, told[1].id, "x" * 30_000, 4) == "too_long"


def test_what_was_kept_about_words_goes_with_an_edit_and_stays_when_a_stopped_turn_grows(database, user, chat, told):
    word = {"text": "Hello", "p": 0.5, "top": [["Hello", 0.5]]}
    retry = turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "retry", 3)).turn
    attempt = turns.claim(database, retry.id, "gpu0", 5).attempt
    turns.commit(database, retry.id, attempt, Reply("Hello", (1, 2), "smol", stats={"words": [word], "hint": "rain"}))
    grow = turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "continue", 4)).turn
    attempt = turns.claim(database, grow.id, "gpu0", 5).attempt
    turns.save_partial(database, grow.id, attempt, " there")
    turns.give_back(database, grow.id, attempt, crashed=True)
    turns.request_cancel(database, user.id, grow.id)
    last = chats.transcript(database, chat.id)[-1]
    behind = {"text": " there", "p": None, "top": []}
    assert (last.text, last.chosen.stats) == ("Hello there", {"words": [word, behind], "hint": "rain"})
    edits.edit_message(database, user.id, last.id, "Hello you", 5)
    assert chats.transcript(database, chat.id)[-1].chosen.stats == {"hint": "rain"}


def test_a_delete_can_be_undone(database, user, chat, told):
    assert edits.delete_message(database, user.id, told[0].id, 3) == 4
    assert [m.text for m in chats.transcript(database, chat.id)[1:]] == ["Hello"]
    with pytest.raises(NotFound):
        edits.delete_message(database, user.id, told[0].id, 4)
    restored = edits.restore_message(database, user.id, told[0].id, 4)
    assert (restored.text, restored.revision) == ("hi", 5)
    assert [m.text for m in chats.transcript(database, chat.id)[1:]] == ["hi", "Hello"]


def test_everything_below_a_message_can_be_deleted_and_comes_back(database, user, chat, told):
    def shown():
        return [message.text for message in chats.transcript(database, chat.id)[1:]]

    greeting = chats.transcript(database, chat.id)[0]
    edits.delete_message(database, user.id, told[1].id, 3, now=10.0)
    assert edits.delete_below(database, user.id, greeting.id, 4, now=20.0) == 5
    assert shown() == []
    assert edits.restore_below(database, user.id, greeting.id, 5) == 6
    assert shown() == ["hi"], "what was deleted before stays deleted"
    assert refusal(edits.delete_below, database, user.id, greeting.id, 5) == "moved_on"
    assert edits.restore_below(database, user.id, greeting.id, 6) == 7
    assert shown() == ["hi", "Hello"]


def test_of_very_much_below_nothing_is_deleted(database, user, chat, told, monkeypatch):
    monkeypatch.setattr(edits, "ROWS", 1)
    greeting = chats.transcript(database, chat.id)[0]
    assert refusal(edits.delete_below, database, user.id, greeting.id, 3) == "too_many_below"
    assert edits.delete_below(database, user.id, told[0].id, 3) == 4


def test_a_memory_that_began_just_before_what_is_left_begins_again(database, user, chat, told):
    with database.session() as session:
        session.get(Chat, chat.id).window = {"examples": 0, "messages": 1}
    edits.delete_below(database, user.id, told[0].id, 3)
    assert chats.load_story(database, chat.id).chat.window == {}


def test_an_edit_of_a_text_that_has_changed_meanwhile_is_refused(database, user, chat, told):
    """Two windows edit one message: the last save won, and nobody was told."""
    seen = zlib.crc32(b"Hello")
    assert edits.edit_message(database, user.id, told[1].id, "First", 3, seen=seen).text == "First"
    assert refusal(edits.edit_message, database, user.id, told[1].id, "Second", 4, seen=seen) == "message_moved"
    assert chats.transcript(database, chat.id)[-1].text == "First"
    edits.pin_message(database, user.id, told[0].id, True, 4)
    assert edits.edit_message(database, user.id, told[1].id, "Second", 4, seen=zlib.crc32(b"First")).text == "Second"


def test_nothing_is_changed_while_a_turn_is_under_way(database, user, chat, told):
    turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "retry", 3))
    for change in (edits.delete_message, edits.restore_message, edits.delete_below, edits.restore_below):
        with pytest.raises((Refused, NotFound)):
            change(database, user.id, told[0].id, 3)
    assert refusal(edits.edit_message, database, user.id, told[0].id, "x", 3) == "busy"
    assert refusal(edits.pin_message, database, user.id, told[0].id, True, 3) == "busy"


def test_what_is_somebody_elses_does_not_exist(database, make_user, chat, told):
    eve = make_user("Eve").id
    for call in (
        lambda: edits.edit_message(database, eve, told[0].id, "x", 3),
        lambda: edits.delete_message(database, eve, told[0].id, 3),
        lambda: edits.delete_below(database, eve, told[0].id, 3),
        lambda: edits.restore_below(database, eve, told[0].id, 3),
        lambda: edits.pin_message(database, eve, told[0].id, True, 3),
        lambda: edits.branch(database, eve, told[0].id),
        lambda: edits.start_over(database, eve, chat.id),
        lambda: chats.change_chat(database, eve, chat.id, title="Mine"),
    ):
        with pytest.raises(NotFound):
            call()
    assert chats.transcript(database, chat.id)[1:] == told


def test_a_branch_is_the_same_up_to_its_message(database, user, chat, told):
    chats.change_chat(database, user.id, chat.id, author_note="Be brief.", settings={"temperature": 1})
    branch = edits.branch(database, user.id, told[0].id)
    assert (branch.author_note, branch.settings) == ("Be brief.", {"temperature": 1.0})
    assert branch.title == f"{chat.title} (2)"
    copied = chats.transcript(database, branch.id)
    assert [m.text for m in copied] == [m.text for m in chats.transcript(database, chat.id)[:2]]
    assert {m.id for m in copied}.isdisjoint({m.id for m in chats.transcript(database, chat.id)})
    whole = chats.transcript(database, edits.branch(database, user.id, told[1].id).id)
    assert whole[-1].chosen.tokens == (1, 2)
    assert whole[-1].chosen.turn_id == told[1].chosen.turn_id


@pytest.mark.parametrize(
    ("title", "next_title"),
    [
        ("The storm", "The storm (2)"),
        ("The storm (2)", "The storm (3)"),
        ("The storm (of 2)", "The storm (of 2) (2)"),
        ("x" * 80, "x" * 76 + " (2)"),
    ],
)
def test_a_branch_has_the_next_number(database, user, chat, told, title, next_title):
    chats.change_chat(database, user.id, chat.id, title=title)
    assert edits.branch(database, user.id, told[0].id).title == next_title


def test_starting_over_keeps_the_settings_and_the_old_chat(database, user, chat, told):
    chats.change_chat(database, user.id, chat.id, title="The storm", author_note="Be brief.", reference="A map.")
    new = edits.start_over(database, user.id, chat.id)
    assert (new.title, new.author_note, new.reference) == ("The storm", "Be brief.", "")
    assert len(chats.transcript(database, new.id)) == 1
    assert len(chats.transcript(database, chat.id)) == 3


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"title": " "}, "bad_title"),
        ({"title": "x" * 81}, "bad_title"),
        ({"author_note": "x" * 4001}, "too_long"),
        ({"settings": {"temperature": 9}}, "bad_setting"),
        ({"settings": {"temperature": "hot"}}, "bad_setting"),
        ({"settings": {"top_k": 1.5}}, "bad_setting"),
        ({"settings": {"grammar": "root ::= x"}}, "bad_setting"),
        ({"settings": {"reply_tokens": 15}}, "bad_setting"),
        ({"settings": {"reply_tokens": 2001}}, "bad_setting"),
        ({"settings": {"stop": "END"}}, "bad_setting"),
        ({"settings": {"stop": ["a"] * 9}}, "bad_setting"),
        ({"settings": {"stop": [""]}}, "bad_setting"),
        ({"settings": {"stop": ["x" * 41]}}, "bad_setting"),
        ({"settings": {"stop": [1]}}, "bad_setting"),
        ({"settings": {"temperature": ["hot"]}}, "bad_setting"),
    ],
)
def test_settings_that_make_no_sense_are_refused(database, user, chat, changes, code):
    assert refusal(chats.change_chat, database, user.id, chat.id, **changes) == code


def test_the_samplers_settings_are_those_of_the_engine():
    for name, (low, high) in sampling.RANGES.items():
        engine_low, engine_high = RANGES[name]
        assert engine_low <= low <= high <= engine_high
        settings_from({name: sampling.checked({name: low})[name]})
        settings_from({name: sampling.checked({name: high})[name]})
    every = dict.fromkeys([*sampling.RANGES, *sampling.OF_REPLIES, "stop"], 1)
    assert set(sampling.of_sampler(every)) == set(sampling.RANGES), "what is no sampler's is left out"
    for preset in sampling.PRESETS.values():
        assert sampling.checked(preset) == preset


def test_why_a_word_was_chosen_is_told_to_its_owner_only(database, user, make_user, chat, told):
    assert explanations.token_probabilities(database, user.id, told[1].id, 0) == ()
    assert refusal(explanations.token_probabilities, database, user.id, told[1].id, 1) == "no_such_alternative"
    with pytest.raises(NotFound):
        explanations.token_probabilities(database, make_user("Eve").id, told[1].id, 0)
