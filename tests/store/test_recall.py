"""Recall: what is found of the messages that have left the window, what never is, and the short memory test."""

import pytest
from sqlalchemy import update

from bench.memory_test import tell
from bench.recall import ALL, EXACT, Score, ask_all, bring, new_person
from store import chats, edits, search
from store.memory import recall, recording
from store.memory.passages import best_cut, cleaned
from store.memory.questions import asked_terms
from store.models import Message

TALK = (
    "The storm took the roof of the old mill last night.",
    "*He lights the lamp.* My sister Odalys lives in Brackwater, and hates the sea.",
    "Then let us have some soup.",
    "我把铜钥匙藏在老铁匠的炉子底下了。",
    "Bread, too?",
    "I promise to bring Tobias the silver compass.",
)


@pytest.fixture
def person(database):
    return new_person(database)


@pytest.fixture
def told(database, person):
    """The id of a chat whose first messages are TALK; small talk follows."""
    more = [f"We talk about the weather, for the {n}th time." for n in range(40)]
    return bring(database, person, [(n % 2 == 0, text) for n, text in enumerate((*TALK, *more))])


def texts(database, chat, *asked, before=20, **options):
    return [passage.text for passage in recall.recall(database, chat, asked, before, **options)]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("Do you know Odalys?", "My sister Odalys lives in Brackwater, and hates the sea."),
        ("What do I owe Tobias?", "I promise to bring Tobias the silver compass."),
        ("铜钥匙在哪里?", "我把铜钥匙藏在老铁匠的炉子底下了。"),
    ],
)
def test_a_name_or_a_thing_is_found_in_both_languages(database, told, question, found):
    (passage,) = recall.recall(database, told, (question,), 20)
    assert found in passage.text
    assert passage.text == cleaned(passage.text)
    assert (passage.ordinal, passage.name) in ((1, "Mara"), (5, "Mara"), (3, "Mara"))


def test_small_talk_and_words_of_grammar_find_nothing(database, told):
    for idle in ("And then? What happened?", "*smiles*", "We talk about the weather.", "", "!?", "你说什么呢?"):
        assert texts(database, told, idle) == []


def test_only_what_has_left_the_window_is_found(database, told):
    assert texts(database, told, "Where is Tobias?", before=5) == []
    assert len(texts(database, told, "Where is Tobias?", before=6)) == 1
    assert texts(database, told, "Where is Tobias?", before=0) == []


def test_pinned_deleted_edited_and_unindexed_messages_are_never_told(database, person, told):
    message = chats.transcript(database, told)[5]
    revision = edits.pin_message(database, person.id, message.id, True, 1).revision
    assert texts(database, told, "Tobias?") == []
    revision = edits.pin_message(database, person.id, message.id, False, revision).revision
    (passage,) = recall.recall(database, told, ("Tobias?",), 20)
    (again,) = recall.recall_again(database, told, (passage.kept,), 20)
    assert (again.text, again.kept) == (passage.text, passage.kept)
    assert recall.recall_again(database, told, (passage.kept,), 5) == ()
    edits.edit_message(database, person.id, message.id, "I promise nothing.", revision)
    assert texts(database, told, "Tobias?") == []
    assert recall.recall_again(database, told, (passage.kept,), 20) == ()
    with database.session() as session:
        session.execute(update(Message).where(Message.chat_id == told, Message.ordinal == 1).values(deleted_at=1.0))
    assert texts(database, told, "Odalys?") == []


def test_another_chats_messages_are_never_found(database, person, told):
    other = bring(database, person, [(True, "Quintus has a red hat."), *((False, "So.") for _ in range(30))])
    assert texts(database, told, "Quintus?") == []
    (passage,) = recall.recall(database, other, ("Quintus?",), 20)
    assert recall.recall_again(database, told, (passage.kept,), 20) == ()


def test_notes_are_recalled_unless_they_are_told_anyway(database, told):
    new = recording.NewNote("Jorvik the smith forged a crown for the queen.", (), "model", 0, 9, 9)
    note = recording.record_note(database, told, chats.get_revision(database, told), {"messages": 10}, new)
    (passage,) = recall.recall(database, told, ("Who is Jorvik?",), 20)
    assert (passage.is_note, passage.source, passage.ordinal) == (True, note.id, 9)
    assert recall.recall_again(database, told, (passage.kept,), 20)[0].text == passage.text
    assert texts(database, told, "Who is Jorvik?", told={note.id}) == []


def test_of_a_long_message_the_sentences_around_the_hit_are_told():
    text = "Nothing happened here at all. " * 40 + "Then **Odalys** came in. She was wet. " + "The wind blew. " * 40
    cut = best_cut(text, {"odali": 5.0, "odalys": 5.0})
    assert "Odalys** came in" in text[cut.start : cut.end]
    assert cut.end - cut.start <= 320
    chinese = "今天什么都没有发生。" * 60 + "老铁匠来了。" + "风很大。" * 60
    cut = best_cut(chinese, {"铁匠": 5.0})
    assert "老铁匠来了" in chinese[cut.start : cut.end]
    assert cut.end - cut.start <= 110


def test_markup_is_no_part_of_a_passage():
    assert cleaned("*She* says **no**.\n> [a map](http://x/y) <b>of</b> `it`") == "She says no. a map of it"


def test_names_and_numbers_are_asked_for_first_and_few_terms():
    words = list(asked_terms(("we wandered along Odalys and 4711 " + " ".join(f"thing{n}x" for n in range(99)), "")))
    assert {"4711"} <= set(words[:2])
    assert len(words) <= 16


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_memory_test_in_its_short_form(database, person, language):
    story, score = tell(language, 7, 60, 20), Score()
    chat = bring(database, person, (*story.messages, *story.messages[:10]))
    ask_all(database, chat, story, score)
    assert score.exact >= EXACT
    assert score.over_all >= ALL
    assert score.newest_first == score.corrected_asked
    assert score.idle_told <= 1
    assert score.precision >= 0.5


def test_what_is_not_indexed_yet_is_not_found(database, person, told):
    with database.session() as session:
        search.remove(session, [message.id for message in chats.transcript(database, told)[:10]])
    assert texts(database, told, "Odalys?") == []
