"""What a list shows of each story: its last line, its size, what it branched off."""

import pytest

from store import accounts, chats, edits, removal
from store.messages import Reply, add_alternative, add_message
from store.models import Chat
from store.stories.listing import LINE, last_line, list_stories


@pytest.fixture
def say(database):
    """`say(chat, text)`: one more message of the chat; its id."""

    def said(chat, text, name="Mara"):
        with database.session() as session:
            message = add_message(session, session.get_one(Chat, chat.id), "character", name, None, 5.0)
            add_alternative(session, message, Reply(text), None, 5.0)
            return message.id

    return said


def rows(database, user):
    return list_stories(database, user.id)[0]


def test_a_story_is_listed_with_its_last_line_and_its_size(database, user, chat, say):
    say(chat, "Hello.\n\n*She pours the tea.*\n")
    (row,) = rows(database, user)
    assert (row.chat.id, row.n_messages, row.last_name, row.last_line) == (chat.id, 2, "Mara", "She pours the tea.")
    assert row.parent is None


def test_a_deleted_message_is_neither_counted_nor_the_last(database, user, chat, say):
    say(chat, "First.")
    edits.delete_message(database, user.id, say(chat, "Second."), chats.get_revision(database, chat.id))
    (row,) = rows(database, user)
    assert (row.n_messages, row.last_line) == (2, "First.")


def test_a_branch_names_its_parent_as_long_as_that_is_there(database, user, chat, say):
    copy = edits.branch(database, user.id, say(chat, "First."))
    branch, parent = (next(row for row in rows(database, user) if row.chat.id == one.id) for one in (copy, chat))
    assert (branch.parent.id, branch.parent.title, parent.parent) == (chat.id, chat.title, None)
    assert branch.n_messages == 2
    chats.delete_chat(database, user.id, chat.id)
    assert [row.parent for row in rows(database, user)] == [None]
    removal.remove_deleted(database, keep_s=0.0)
    assert [row.n_messages for row in rows(database, user)] == [2]
    accounts.delete_account(database, user.id)
    removal.remove_deleted(database)
    assert rows(database, user) == ()


def test_a_list_has_the_newest_ones_and_says_how_many_there_are(database, user, make_chat):
    made = [make_chat(user).id for _ in range(5)]
    listed, n = list_stories(database, user.id, most=3)
    assert n == 5
    assert {row.chat.id for row in listed} < set(made)
    assert len(listed) == 3


def test_nobody_sees_somebody_elses(database, make_user, chat):
    assert list_stories(database, make_user("Bob").id) == ((), 0)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("\n \n", ""),
        ("***\n", ""),
        ("One.\nTwo.", "Two."),
        ("“Yes,” *he says*", "“Yes,” he says"),
        ("x" * (LINE + 5), "x" * LINE + "…"),
    ],
)
def test_the_last_line_is_one_with_words(text, line):
    assert last_line(text) == line


def test_a_title_says_where_it_is_from(database, user, chat, say):
    def title_from(chat_id):
        with database.reading() as session:
            return session.get_one(Chat, chat_id).title_from

    copy = edits.branch(database, user.id, say(chat, "First."))
    assert [title_from(one.id) for one in (chat, copy)] == ["", "hand"]
    chats.change_chat(database, user.id, chat.id, author_note="x")
    assert title_from(chat.id) == ""
    chats.change_chat(database, user.id, chat.id, title="Tea")
    assert title_from(chat.id) == "hand"
    assert title_from(edits.start_over(database, user.id, chat.id).id) == "hand"
