"""Of a long chat a worker reads what is inside its window, and the names of the rest."""

import pytest

from store import chats, context_messages, edits, messages
from store.broker import warmup
from store.models import Chat


@pytest.fixture
def long_chat(database, chat):
    """Forty messages behind the greeting; the window begins at the thirtieth."""
    with database.session() as session:
        row = session.get(Chat, chat.id)
        for number in range(1, 41):
            role = ("character", "user")[number % 2]
            message = messages.add_message(session, row, role, role, None, 100.0 + number)
            session.flush()
            messages.add_alternative(session, message, messages.Reply(f"Line {number}."), None, 100.0 + number)
    warmup.keep_window(database, chat.id, chats.get_revision(database, chat.id), {"examples": 0, "messages": 30})
    return chat


def ordinals(story):
    return [message.ordinal for message in story.messages]


def test_the_messages_inside_the_window_and_the_pinned_ones_are_read(database, user, long_chat):
    third = chats.transcript(database, long_chat.id)[3]
    edits.pin_message(database, user.id, third.id, True, chats.get_revision(database, long_chat.id))
    story = chats.load_story(database, long_chat.id)
    assert ordinals(story) == [3, *range(30, 41)]
    assert len(story.older) == 29
    assert third.id not in {one.id for one in story.older}
    edits.pin_message(database, user.id, third.id, False, chats.get_revision(database, long_chat.id))
    story = chats.load_story(database, long_chat.id)
    assert third.id in {one.id for one in story.older}, "a session may still hold it"


def test_of_what_lies_before_the_window_only_the_newest_have_names(database, long_chat, monkeypatch):
    monkeypatch.setattr(context_messages, "MAX_OLDER", 5)
    told = {message.id: message.ordinal for message in chats.transcript(database, long_chat.id)}
    assert [told[one.id] for one in chats.load_story(database, long_chat.id).older] == [29, 28, 27, 26, 25]


def test_a_worker_learns_twice_as_many_names_as_there_are_messages_inside(database, long_chat, monkeypatch):
    monkeypatch.setattr(context_messages, "MIN_OLDER", 0)
    story = chats.load_story(database, long_chat.id)
    assert (len(story.messages), len(story.older)) == (11, 22)


def test_when_all_of_the_window_was_deleted_the_memory_begins_anew(database, user, long_chat):
    for message in chats.transcript(database, long_chat.id)[25:]:
        edits.delete_message(database, user.id, message.id, chats.get_revision(database, long_chat.id))
    story = chats.load_story(database, long_chat.id)
    assert ordinals(story) == list(range(25))
    assert (story.chat.window["messages"], story.older) == (0, ())


def test_a_branch_from_before_the_window_has_a_memory_of_its_own(database, user, long_chat):
    told = chats.transcript(database, long_chat.id)
    early, late = (edits.branch(database, user.id, told[at].id) for at in (20, 40))
    assert ordinals(chats.load_story(database, early.id)) == list(range(21))
    assert ordinals(chats.load_story(database, late.id)) == list(range(30, 41))
