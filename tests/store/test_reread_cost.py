"""What a change of an old message costs, as far as anybody knows."""

import pytest

from store import chats, edits, messages, reread_cost
from store.broker import registry, warmup
from store.broker.registry import EngineView, WorkerView
from store.errors import NotFound
from store.models import Chat
from store.reread_cost import RereadCost


def tell(database, chat_id, text, n_tokens=None):
    """One more message; who writes tokens is a model."""
    with database.session() as session:
        role = "character" if n_tokens else "user"
        message = messages.add_message(session, session.get(Chat, chat_id), role, role, None, 1.0)
        tokens = tuple(range(n_tokens)) if n_tokens else None
        messages.add_alternative(session, message, messages.Reply(text, tokens, "smol"), None, 1.0)
        return message.id


@pytest.fixture
def told(database, chat):
    """Behind the greeting: 40 letters of a person, 100 letters of a model in 20 tokens, and once more the same."""
    sizes = ((40, None), (100, 20), (40, None), (100, 20))
    return [tell(database, chat.id, "a" * letters, n_tokens) for letters, n_tokens in sizes]


def prices(database, chat, message_id):
    return reread_cost.of_message(database, chat.owner_id, chat.id, message_id)


def test_what_comes_after_is_counted_and_a_persons_words_are_estimated(database, chat, told):
    assert prices(database, chat, told[0]) == (RereadCost(4, 8 + 20 + 8 + 20), RereadCost(3, 20 + 8 + 20))
    assert prices(database, chat, told[3]) == (RereadCost(1, 20), RereadCost(0, 0))


def test_without_a_reply_to_learn_from_only_messages_are_counted(database, chat):
    mine = tell(database, chat.id, "Hello")
    assert prices(database, chat, mine) == (RereadCost(1, None), RereadCost(0, None))


def test_only_what_the_model_remembers_is_read_again(database, chat, told):
    ordinals = [message.ordinal for message in chats.transcript(database, chat.id)]
    warmup.keep_window(database, chat.id, chats.get_revision(database, chat.id), {"messages": ordinals[3]})
    assert prices(database, chat, told[0]) == (RereadCost(0, None), RereadCost(0, None))
    assert prices(database, chat, told[2]) == (RereadCost(2, 28), RereadCost(1, 20))
    revision = chats.get_revision(database, chat.id)
    edits.pin_message(database, chat.owner_id, told[0], True, revision)
    assert prices(database, chat, told[0]) == (RereadCost(3, 36), RereadCost(2, 28))


def test_the_wording_that_counts_is_priced_and_what_is_deleted_is_not(database, chat, told):
    with database.session() as session:
        message = session.get(messages.Message, told[3])
        messages.add_alternative(session, message, messages.Reply("e" * 50, tuple(range(10)), "smol"), None, 2.0)
        message.active = 1
    edits.delete_message(database, chat.owner_id, told[2], chats.get_revision(database, chat.id))
    assert prices(database, chat, told[1]) == (RereadCost(2, 30), RereadCost(1, 10))
    with pytest.raises(NotFound):
        prices(database, chat, told[2])


def test_a_message_of_somebody_else_or_of_another_chat_has_no_price(database, chat, told, make_user, make_chat):
    other = make_chat(make_user("Bo"))
    for owner_id, chat_id in ((other.owner_id, chat.id), (other.owner_id, other.id)):
        with pytest.raises(NotFound):
            reread_cost.of_message(database, owner_id, chat_id, told[0])


def test_the_speed_is_that_of_the_worker_which_has_the_chat(redis):
    assert reread_cost.tokens_per_second(redis, "chat") is None
    slow = EngineView(n_tokens_read=1000, read_s=20.0)
    registry.announce(redis, WorkerView("slow", "smol", 1, 0, ("chat",), 1.0, engine=slow))
    registry.announce(redis, WorkerView("new", "smol", 1, 0, ("other",), 1.0, engine=EngineView(n_tokens_read=9)))
    assert reread_cost.tokens_per_second(redis, "chat") == 50
    assert reread_cost.tokens_per_second(redis, "other") is None
