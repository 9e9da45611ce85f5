import uuid
from dataclasses import replace

import pytest

from store import accounts, chats, turns
from store.errors import Failure, NotFound, Refused, Stale
from store.turns import Outcome, Progress, Reply, TurnCommand


def refusal(call, *args, **kwargs):
    with pytest.raises(Refused) as refused:
        call(*args, **kwargs)
    return refused.value.code


def command(chat, text="hi", kind="chat", revision=None, turn_id=None):
    return TurnCommand(turn_id or uuid.uuid4().hex, chat.id, kind, revision or chat.revision, text)


@pytest.fixture
def say(database, user):
    """`say(chat, ...)`: submit a turn at the chat's revision of now."""

    def submit(chat, text="hi", kind="chat", now=0.0, **options):
        revision = chats.get_revision(database, chat.id)
        return turns.begin_turn(database, chat.owner_id, command(chat, text, kind, revision), now, **options).turn

    return submit


@pytest.fixture
def finish(database):
    """`finish(turn, text)`: claim and commit."""

    def claim_and_commit(turn, text="Hello", now=1.0):
        claim = turns.claim(database, turn.id, "gpu0", 5, now)
        return turns.commit(database, turn.id, claim.attempt, Reply(text), now=now)

    return claim_and_commit


def texts_of(database, chat):
    return [(message.role, message.text) for message in chats.transcript(database, chat.id)[1:]]


def test_a_turn_from_send_to_reply(database, user, chat, say):
    turn = say(chat, " hi\r\nthere ", now=10.0)
    assert (turn.state, turn.attempt, turn.created_at) == ("waiting", 0, 10.0)
    assert texts_of(database, chat) == [("user", "hi\nthere")]
    assert chats.get_revision(database, chat.id) == 2
    claim = turns.claim(database, turn.id, "gpu0", lease_s=5, now=11.0)
    assert (claim.attempt, claim.turn.state, claim.turn.lease_until, claim.turn.worker) == (1, "waking", 16.0, "gpu0")
    for state in ("reading", "writing"):
        turns.renew(database, {turn.id: Progress(1, state)}, 16.0)
        assert turns.get_turn(database, turn.id).state == state
    turns.save_partial(database, turn.id, 1, "Hel")
    assert turns.renew(database, {turn.id: Progress(1)}, 20.0) == {turn.id: False}
    end = turns.commit(
        database, turn.id, 1, Outcome((Reply("Hello", stats={"n": 1}),), spent={"n": 2}), {"start": 1}, now=12.0
    )
    message = end.message
    assert (end.revision, message.text, message.turn_id, end.suggestion) == (3, "Hello", turn.id, None)
    done = turns.get_turn(database, turn.id)
    assert (done.state, done.ended_at, done.reply_message_id, done.partial) == ("done", 12.0, message.id, "")
    assert (done.lease_until, done.stats, done.ended) == (None, {"n": 2}, True)
    assert turns.result_of(database, turn.id) == end
    assert turns.unfinished(database) == ()


def test_sending_twice_makes_one_turn(database, user, chat):
    twice = command(chat)
    first, again = (turns.begin_turn(database, user.id, twice, at) for at in (1.0, 2.0))
    assert (first.is_new, again.is_new) == (True, False)
    assert again == replace(first, is_new=False)
    assert (again.message.text, again.revision) == ("hi", 2)
    assert texts_of(database, chat) == [("user", "hi")]


def test_an_id_of_somebody_else_or_of_another_chat_is_no_key(database, user, chat, make_user, make_chat):
    turn = turns.begin_turn(database, user.id, command(chat)).turn
    stranger = make_user("Eve")
    assert (
        refusal(turns.begin_turn, database, stranger.id, command(make_chat(stranger), turn_id=turn.id)) == "bad_turn_id"
    )
    assert refusal(turns.begin_turn, database, user.id, command(make_chat(user), turn_id=turn.id)) == "bad_turn_id"


@pytest.mark.parametrize("turn_id", ["", "a" * 31, "A" * 32, "g" * 32, "a" * 32 + "\n", "a" * 33])
def test_bad_turn_ids(database, user, chat, turn_id):
    wrong = TurnCommand(turn_id, chat.id, "chat", 1, "hi")
    assert refusal(turns.begin_turn, database, user.id, wrong) == "bad_turn_id"


def test_refusals_write_nothing(database, user, chat, make_chat):
    assert refusal(turns.begin_turn, database, user.id, command(chat, revision=2)) == "moved_on"
    assert refusal(turns.begin_turn, database, user.id, command(chat, " \n{{//x}}\0")) == "empty"
    assert refusal(turns.begin_turn, database, user.id, command(chat, "a" * 20_001)) == "too_long"
    assert refusal(turns.begin_turn, database, user.id, command(chat, kind="dance")) == "bad_kind"
    assert refusal(turns.begin_turn, database, user.id, command(chat, kind="retry")) == "nothing_to_retry"
    assert texts_of(database, chat) == []
    assert chats.get_revision(database, chat.id) == 1
    assert turns.unfinished(database) == ()


def test_one_unfinished_turn_per_chat_and_two_per_person(database, user, chat, make_chat, say, finish):
    first = say(chat)
    assert refusal(say, chat) == "busy"
    assert refusal(turns.begin_turn, database, user.id, command(chat, revision=1)) == "moved_on"
    say(make_chat(user))
    third = make_chat(user)
    assert refusal(say, third) == "too_many_waiting"
    assert say(third, max_waiting=3)
    finish(first)
    assert say(chat, max_waiting=3)


def test_retry_adds_an_alternative(database, user, chat, say, finish):
    first = finish(say(chat))
    end = finish(say(chat, kind="retry"), "Good day")
    again = end.message
    assert again.id == first.message.id
    assert [a.text for a in again.alternatives] == ["Hello", "Good day"]
    assert (again.active, end.revision) == (1, first.revision + 1)
    assert texts_of(database, chat) == [("user", "hi"), ("character", "Good day")]


def test_retry_when_the_reply_never_came_writes_it(database, user, chat, say, finish):
    turn = say(chat)
    failure = Failure("bad_status.missing", {"field": "'Mood'"})
    turns.fail(database, turn.id, turns.claim(database, turn.id, "gpu0", 5).attempt, failure)
    failed = turns.get_turn(database, turn.id)
    assert (failed.state, failed.error_code, failed.failure) == ("failed", "bad_status", failure)
    assert failed.error_text == "The status says nothing about 'Mood': press status to try again."
    finish(say(chat, kind="retry"))
    assert texts_of(database, chat) == [("user", "hi"), ("character", "Hello")]


def test_a_stale_attempt_changes_nothing(database, user, chat, say):
    turn = say(chat)
    old = turns.claim(database, turn.id, "gpu0", lease_s=5, now=0.0).attempt
    new = turns.claim(database, turn.id, "gpu1", lease_s=5, now=5.0).attempt
    assert (old, new) == (1, 2)
    before = turns.get_turn(database, turn.id)
    for call in (
        lambda: turns.save_partial(database, turn.id, old, "x"),
        lambda: turns.commit(database, turn.id, old, Reply("x")),
        lambda: turns.cancel(database, turn.id, old, Reply("x")),
        lambda: turns.cancel(database, turn.id),
        lambda: turns.fail(database, turn.id, old, Failure("x")),
        lambda: turns.give_back(database, turn.id, old),
    ):
        with pytest.raises(Stale):
            call()
    assert turns.renew(database, {turn.id: Progress(old, "writing", "x")}, 99.0) == {}
    assert turns.get_turn(database, turn.id) == before
    assert texts_of(database, chat) == [("user", "hi")]


def test_a_commit_happens_once(database, user, chat, say, finish):
    turn = say(chat)
    finish(turn)
    with pytest.raises(Stale):
        turns.commit(database, turn.id, 1, Reply("again"))
    assert refusal(turns.claim, database, turn.id, "gpu0", 5) == "not_claimable"


def test_a_good_lease_keeps_others_away(database, user, chat, say):
    turn = say(chat)
    turns.claim(database, turn.id, "gpu0", lease_s=5, now=0.0)
    assert refusal(turns.claim, database, turn.id, "gpu1", 5, 4.9) == "not_claimable"
    assert turns.expired_leases(database, 4.9) == ()
    assert [t.id for t in turns.expired_leases(database, 5.0)] == [turn.id]
    turns.renew(database, {turn.id: Progress(1)}, 9.0)
    assert turns.expired_leases(database, 5.0) == ()


def test_giving_back_keeps_attempt_and_partial_text(database, user, chat, say):
    turn = say(chat)
    turns.claim(database, turn.id, "gpu0", 5)
    turns.save_partial(database, turn.id, 1, "Hel")
    back = turns.give_back(database, turn.id, 1)
    assert (back.state, back.attempt, back.partial, back.lease_until) == ("queued", 1, "Hel", None)
    with pytest.raises(Stale):
        turns.commit(database, turn.id, 1, Reply("late"))
    again = turns.claim(database, turn.id, "gpu0", 5)
    assert (again.attempt, again.turn.partial) == (2, "Hel")


def test_stopping_a_waiting_turn_ends_it_at_once(database, user, chat, say, make_user):
    turn = say(chat)
    with pytest.raises(NotFound):
        turns.request_cancel(database, make_user("Eve").id, turn.id)
    with pytest.raises(NotFound):
        turns.request_cancel(database, user.id, "0" * 32)
    stopped = turns.request_cancel(database, user.id, turn.id, 9.0)
    assert (stopped.state, stopped.ended_at) == ("cancelled", 9.0)
    assert turns.request_cancel(database, user.id, turn.id) == stopped
    assert refusal(turns.claim, database, turn.id, "gpu0", 5) == "not_claimable"
    assert turns.result_of(database, turn.id).message is None


def test_stopping_a_running_turn_is_noted_and_what_was_written_stays(database, user, chat, say):
    turn = say(chat)
    turns.claim(database, turn.id, "gpu0", 5)
    noted = turns.request_cancel(database, user.id, turn.id)
    assert (noted.state, noted.cancel_requested) == ("waking", True)
    end = turns.cancel(database, turn.id, 1, Reply("Hel", finish="cancelled"))
    assert (end.message.text, end.message.chosen.finish, end.revision) == ("Hel", "cancelled", 3)
    assert turns.get_turn(database, turn.id).state == "cancelled"
    assert turns.result_of(database, turn.id) == end


def test_a_stopped_turn_without_words_leaves_no_message(database, user, chat, say, finish):
    turn = say(chat)
    attempt = turns.claim(database, turn.id, "gpu0", 5).attempt
    assert turns.cancel(database, turn.id, attempt, Reply(" \n")).messages == ()
    assert chats.get_revision(database, chat.id) == 2
    assert turns.cancel(database, say(chat, kind="retry").id).messages == ()
    assert texts_of(database, chat) == [("user", "hi")]


def test_a_stopped_retry_without_words_wrote_nothing(database, user, chat, say, finish):
    finish(say(chat))
    retry = say(chat, kind="retry")
    assert turns.cancel(database, retry.id).messages == ()
    assert turns.result_of(database, retry.id).messages == ()


def test_a_turn_that_was_to_stop_ends_when_its_worker_goes(database, user, chat, say):
    turn = say(chat)
    turns.claim(database, turn.id, "gpu0", lease_s=5, now=0.0)
    turns.save_partial(database, turn.id, 1, "Hel")
    turns.request_cancel(database, user.id, turn.id)
    assert refusal(turns.claim, database, turn.id, "gpu1", 5, 6.0) == "not_claimable"
    assert turns.give_back(database, turn.id, 1).state == "cancelled"
    assert texts_of(database, chat) == [("user", "hi"), ("character", "Hel")]


def test_a_new_alternative_begins_with_the_words_that_were_chosen(database, user, chat, say, finish):
    finish(say(chat))
    begins = " The inn {{user}} "  # to the letter: the next word may follow a blank, and no macro is resolved
    turn = say(chat, kind="retry", text=begins)
    assert turn.params == {"begins": begins.lstrip()}
    turns.claim(database, turn.id, "gpu0", lease_s=5, now=0.0)
    turns.save_partial(database, turn.id, 1, "was")
    turns.request_cancel(database, user.id, turn.id)
    assert turns.give_back(database, turn.id, 1).state == "cancelled"
    assert texts_of(database, chat)[-1] == ("character", "The inn {{user}} was")


def test_one_person_one_queued_turn(database, user, chat, make_chat, say, finish):
    first, second = say(chat, now=1.0), say(make_chat(user), now=2.0)
    assert turns.next_waiting(database, user.id).id == first.id
    assert turns.owners_waiting(database) == (user.id,)
    queued = turns.enqueue_next(database, user.id, "gpu0", 3.0)
    assert (queued.id, queued.state, queued.worker, queued.queued_at) == (first.id, "queued", "gpu0", 3.0)
    assert turns.enqueue_next(database, user.id, "gpu0") is None
    assert turns.owners_waiting(database) == ()
    finish(first)
    assert turns.enqueue_next(database, user.id, "gpu0").id == second.id
    assert turns.enqueue_next(database, user.id, "gpu0") is None


def test_who_waited_longest_comes_first(database, make_user, make_chat, say):
    people = [make_user(name) for name in ("A", "B", "C")]
    for now, person in ((3.0, people[0]), (1.0, people[1]), (2.0, people[2])):
        say(make_chat(person), now=now)
    assert turns.owners_waiting(database) == (people[1].id, people[2].id, people[0].id)


def test_unfinished_can_be_narrowed(database, user, chat, say, make_user, make_chat):
    mine, other = say(chat, now=1.0), say(make_chat(make_user("Bob")), now=2.0)
    turns.enqueue_next(database, other.owner_id, "gpu1", 0.5)
    assert [t.id for t in turns.unfinished(database)] == [other.id, mine.id]
    assert [t.id for t in turns.unfinished(database, owner_id=user.id)] == [mine.id]
    assert [t.id for t in turns.unfinished(database, chat_id=other.chat_id)] == [other.id]
    assert [t.id for t in turns.unfinished(database, worker="gpu1")] == [other.id]
    assert turns.assign(database, other.id, "gpu2")
    assert turns.unfinished(database, worker="gpu1") == ()
    assert not turns.assign(database, mine.id, "gpu2")


def test_recently_ended(database, user, chat, say, finish):
    turn = say(chat)
    finish(turn, now=5.0)
    assert turns.recently_ended(database, 4.0, 6.0) == (turn.id,)
    assert turns.recently_ended(database, 5.1, 6.0) == ()


def test_the_words_of_an_account_survive_in_its_turns(database, user, chat, say):
    say(chat, "🙂 \ud83d <|im_start|>system")
    assert texts_of(database, chat) == [("user", "🙂 \ufffd <|im_start|>system")]
    assert accounts.get_user(database, user.id) == user


def test_a_lease_is_renewed_with_how_far_the_attempt_is(database, user, chat, say):
    turn = say(chat)
    first = turns.claim(database, turn.id, "gpu0", 5, 1.0).attempt
    assert turns.renew(database, {turn.id: Progress(first, "writing", "Hel")}, 9.0, 2.0) == {turn.id: False}
    now = turns.get_turn(database, turn.id)
    assert (now.state, now.partial, now.lease_until, now.updated_at) == ("writing", "Hel", 9.0, 2.0)
    turns.request_cancel(database, user.id, turn.id)
    assert turns.renew(database, {turn.id: Progress(first)}, 10.0) == {turn.id: True}
    assert turns.get_turn(database, turn.id).state == "writing"


def test_without_a_text_what_the_attempt_before_has_shown_stays(database, chat, say):
    turn = say(chat)
    first = turns.claim(database, turn.id, "gpu0", 5, 1.0).attempt
    turns.renew(database, {turn.id: Progress(first, "writing", "Hel")}, 9.0)
    turns.give_back(database, turn.id, first)
    second = turns.claim(database, turn.id, "gpu0", 5, 2.0).attempt
    turns.renew(database, {turn.id: Progress(second, "reading")}, 9.0)
    now = turns.get_turn(database, turn.id)
    assert (now.state, now.partial) == ("reading", "Hel")
    assert turns.renew(database, {turn.id: Progress(first, "writing", "Hello")}, 9.0) == {}


def test_of_several_leases_the_lost_one_costs_the_others_nothing(database, make_chat, user, chat, say):
    mine, lost = say(chat), say(make_chat(user))
    for turn in (mine, lost):
        turns.claim(database, turn.id, "gpu0", 5, 1.0)
    turns.give_back(database, lost.id, 1)
    news = {lost.id: Progress(1, "writing", "x"), mine.id: Progress(1, "writing", "Hel")}
    assert turns.renew(database, news, 9.0) == {mine.id: False}
    assert (turns.get_turn(database, lost.id).partial, turns.get_turn(database, mine.id).partial) == ("", "Hel")
