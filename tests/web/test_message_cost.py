"""What the page is told about the price of a change."""

from store import accounts, chats
from store.broker import registry
from store.broker.registry import EngineView, WorkerView
from store.messages import Reply
from store.turns import TurnCommand, begin_turn, claim, commit


def told(site, who, chat_id):
    """A question and a reply of twenty tokens; the id of the question."""
    command = TurnCommand("1" * 32, chat_id, "chat", chats.get_revision(site.database, chat_id), "a" * 40)
    begin_turn(site.database, who.id, command)
    attempt = claim(site.database, command.id, "tale", 30).attempt
    commit(site.database, command.id, attempt, Reply("b" * 100, tuple(range(20)), "smol"), {})
    return chats.transcript(site.database, chat_id)[1].id


def test_tokens_and_seconds_as_far_as_they_are_known(site, ada, redis):
    who = accounts.find_user(site.database, "Ada")
    chat = ada.begin_chat(site.mara)
    mine = told(site, who, chat)
    price = f"/chat/{chat}/price?message={mine}"
    assert ada.get(price).json() == {
        "edit": {"messages": 2, "tokens": 28, "seconds": None},
        "delete": {"messages": 1, "tokens": 20, "seconds": None},
    }
    quick = EngineView(n_tokens_read=1000, read_s=100.0)
    registry.announce(redis, WorkerView("gpu0", "smol", 1, 0, (chat,), 1.0, engine=quick))
    assert ada.get(price).json()["edit"]["seconds"] == 2.8
    greeting = chats.transcript(site.database, chat)[0].id
    assert ada.get(f"/chat/{chat}/price?message={greeting}").json()["edit"]["messages"] == 3


def test_messages_of_others_have_no_price(site, ada, bo):
    who = accounts.find_user(site.database, "Ada")
    chat, others = ada.begin_chat(site.mara), bo.begin_chat(site.mara)
    mine = told(site, who, chat)
    for path in (f"/chat/{others}/price?message={mine}", f"/chat/{chat}/price?message={mine}", f"/chat/{others}/price"):
        assert bo.get(path, headers={"Accept": "application/json"}).status_code == 404
