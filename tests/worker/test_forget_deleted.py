"""A deleted story is forgotten by the engine, whoever was away when it was deleted."""

from store import accounts, chats
from worker.forgetting import forget_deleted
from worker.jobs import run_turn


def test_what_is_deleted_in_sql_is_forgotten_by_the_engine(make_context, database, user, make_user, make_chat, say):
    context = make_context(disk_cache_mb=16)
    mine, hers = make_chat(user), make_chat(make_user("Bo"))
    for chat in (mine, hers):
        run_turn(say(chat, "My diary").id)
    assert forget_deleted(database, context.engine) == frozenset()
    chats.delete_chat(database, user.id, mine.id)
    assert forget_deleted(database, context.engine) == {mine.id}
    assert hers.id in context.engine.remembered()
    assert mine.id not in context.engine.remembered()
    accounts.delete_account(database, hers.owner_id)
    assert forget_deleted(database, context.engine) == {hers.id}
    assert hers.id not in context.engine.remembered()
