"""A turn of a long story asks no more of the database than one of a short story: counted in the steps of SQLite."""

import time
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event, select, update

from store import accounts, characters, chat_transfer, chats, message_pages, reread_cost, turns, usage_limits
from store.broker import warmup
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage
from store.db import Database
from store.models import Message, Turn

SHORT, LONG = 800, 4_000
N_PINNED = 3
ALLOWED = 10  # steps: a plan may end one step sooner or later


class Steps:
    """Counts what SQLite does."""

    def __init__(self) -> None:
        self.n = 0

    def count(self) -> int:
        self.n += 1
        return 0

    def of(self, action) -> tuple[int, object]:
        before = self.n
        result = action()
        return self.n - before, result


@pytest.fixture
def steps() -> Iterator[Steps]:
    steps = Steps()

    def watch(connection, _record) -> None:
        connection.set_progress_handler(steps.count, 1)

    event.listen(Engine, "connect", watch)
    yield steps
    event.remove(Engine, "connect", watch)


@pytest.fixture
def new_house(steps, tmp_path):
    """`new_house()`: a database of its own, and one person in it; `steps` counts what it does."""
    houses: list[Database] = []

    def make():
        houses.append(Database(f"sqlite:///{tmp_path}/{len(houses)}.db"))
        houses[-1].migrate()
        _, token = accounts.create_invite(houses[-1], "teen")
        user = accounts.sign_up(houses[-1], token, "Ann", "hash")
        limits = {"daily_minutes": 1_000, "quiet_from": None, "quiet_until": None}
        return houses[-1], accounts.set_limits(houses[-1], user.id, **limits)

    yield make
    for house in houses:
        house.close()


def story_of(house, ann, n_messages, window):
    """So many messages and the turns that wrote them, long ago; some are pinned, some deleted."""
    said = tuple(
        DocMessage(
            ("user", "character")[n % 2], ("Ann", "Mo")[n % 2], (DocAlternative(f"Line {n}.", 1.0 + n),), 1.0 + n
        )
        for n in range(n_messages)
    )
    character = characters.list_characters(house, ann)[0]
    chat = chat_transfer.import_chat(house, ann.id, character.id, ChatDocument("", "Ann", said, 1.0))
    warmup.keep_window(house, chat.id, chats.get_revision(house, chat.id), {"messages": n_messages - window})
    with house.session() as session:
        ids = list(session.scalars(select(Message.id).where(Message.chat_id == chat.id).order_by(Message.ordinal)))
        session.execute(update(Message).where(Message.id.in_(ids[5 : 5 + N_PINNED])).values(pinned=True))
        session.execute(update(Message).where(Message.id.in_(ids[10:13])).values(deleted_at=1.0))
        at = {"chat_id": chat.id, "owner_id": ann.id, "kind": "chat", "state": "done"}
        session.add_all(
            Turn(id=uuid.uuid4().hex, **at, created_at=1.0 + n, updated_at=1.0 + n, ended_at=2.0 + n)
            for n in range(n_messages // 2)
        )
    return chat


def one_turn(house, ann, chat, steps):
    """The steps of everything that a turn asks of the database, by name."""
    taken: dict[str, int] = {}

    def did(name, action):
        taken[name], result = steps.of(action)
        return result

    revision = did("see the chat", lambda: chats.get_chat(house, ann.id, chat.id)).revision
    did("its turn", lambda: turns.unfinished(house, chat_id=chat.id))
    did("its last turn", lambda: turns.newest_ended(house, chat.id))
    did("its newest messages", lambda: message_pages.newest(house, chat.id, 60))
    command = turns.TurnCommand(uuid.uuid4().hex, chat.id, "chat", revision, "{{lastMessage}} Go on.")
    turn = did("submit", lambda: turns.begin_turn(house, ann.id, command, time.time()).turn)
    claim = did("claim", lambda: turns.claim(house, turn.id, "gpu0", 60.0))
    story = did("story", lambda: chats.load_story(house, chat.id))
    did("price", lambda: reread_cost.of_message(house, ann.id, chat.id, story.messages[-1].id))
    did("of whom", lambda: turns.unfinished(house, owner_id=ann.id))
    did("today", lambda: usage_limits.today(house, ann))
    did("window", lambda: warmup.keep_window(house, chat.id, revision + 1, {"messages": 1}))
    did("commit", lambda: turns.commit(house, turn.id, claim.attempt, turns.Reply("Well.")))
    did("what it wrote", lambda: turns.result_of(house, turn.id))
    did("next", lambda: turns.next_waiting(house, ann.id))
    did("into the queue", lambda: turns.enqueue_next(house, ann.id, "gpu0"))
    did("everybody's next", lambda: turns.owners_waiting(house))
    did("lost", lambda: turns.expired_leases(house))
    did("just ended", lambda: turns.recently_ended(house, time.time() - 120.0, time.time()))
    return taken, story


@pytest.mark.parametrize("window", [40, 260])
def test_no_part_of_a_turn_grows_with_its_story(new_house, steps, window):
    taken = {}
    for n in (SHORT, LONG):
        house, ann = new_house()
        chat = story_of(house, ann, n, window)
        one_turn(house, ann, chat, steps)
        taken[n], told = one_turn(house, ann, chat, steps)
        assert len(told.messages) == window + N_PINNED + 3
    grown = {name: (taken[SHORT][name], n) for name, n in taken[LONG].items() if n > taken[SHORT][name] + ALLOWED}
    assert not grown
