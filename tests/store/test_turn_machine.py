"""Random lives of turns against a model in a few lines of Python."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from store import accounts, bundled, chats, site_state, turns
from store.db import Database
from store.errors import Failure, Refused, Stale
from store.models import ENDED, RUNNING, UNFINISHED
from store.turns import Progress, Reply, TurnCommand
from tests.harness.soak import n_examples

LEASE_S = 5.0
N_CHATS = 3


class Turns(RuleBasedStateMachine):
    """One person with three chats; every attempt that was ever handed out may try anything at any time."""

    template: Path

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "db"
        shutil.copy(self.template, path)
        self.db = Database(f"sqlite:///{path}")
        self.now = 0.0
        _, token = accounts.create_invite(self.db, "adult", now=0.0)
        self.owner = accounts.sign_up(self.db, token, "Ada", "h", now=0.0).id
        mara = bundled.character_id("mara")
        self.chats = [chats.create_chat(self.db, self.owner, mara, "Ada", now=0.0).id for _ in range(N_CHATS)]
        self.commands = {}  # in the order of submission: neither clock nor chance decides what is drawn
        self.attempts = []
        self.n_submitted = 0
        self.committed = {}
        self.said = {chat_id: [] for chat_id in self.chats}

    def teardown(self):
        self.db.close()
        self.folder.cleanup()

    def drawn_turn(self, data):
        return list(self.commands)[data.draw(st.integers(0, len(self.commands) - 1))]

    def tick(self):
        self.now += 1.0
        return self.now

    @rule(chat=st.integers(0, N_CHATS - 1), kind=st.sampled_from(["chat", "chat", "retry"]), stale=st.booleans())
    def submit(self, chat, kind, stale):
        chat_id = self.chats[chat]
        self.n_submitted += 1
        revision = chats.get_revision(self.db, chat_id) - int(stale)
        command = TurnCommand(f"{self.n_submitted:032x}", chat_id, kind, revision, "hi" if kind == "chat" else "")
        busy = bool(turns.unfinished(self.db, chat_id=chat_id))
        try:
            turn = turns.begin_turn(self.db, self.owner, command, self.tick()).turn
        except Refused as refused:
            code = refused.code
        else:
            code = ""
        expected = {"moved_on"} if stale else {"busy"} if busy else {"", "too_many_waiting", "nothing_to_retry"}
        assert code in expected
        if code:
            return
        self.commands[turn.id] = command
        if kind == "chat":
            self.said[chat_id].append(turn.user_message_id)

    @precondition(lambda self: self.commands)
    @rule(data=st.data())
    def submit_again(self, data):
        turn_id = self.drawn_turn(data)
        before = turns.get_turn(self.db, turn_id)
        assert turns.begin_turn(self.db, self.owner, self.commands[turn_id], self.tick()).turn == before

    @rule()
    def dispatch(self):
        queued = [t for t in turns.unfinished(self.db) if t.state != "waiting"]
        turn = turns.enqueue_next(self.db, self.owner, "gpu0", self.tick())
        assert turn is None or not (queued or site_state.read(self.db).paused_since is not None)

    @precondition(lambda self: self.commands)
    @rule(data=st.data())
    def claim(self, data):
        turn_id = self.drawn_turn(data)
        before = turns.get_turn(self.db, turn_id)
        try:
            claim = turns.claim(self.db, turn_id, "gpu0", LEASE_S, self.tick())
        except Refused as refused:
            paused = site_state.read(self.db).paused_since is not None
            assert paused or before.ended or before.cancel_requested or before.lease_until > self.now
            codes = {refused.code}
            after = turns.get_turn(self.db, turn_id)
            assert after.state == ("waiting" if paused and before.state == "queued" else before.state)
            assert codes == {"paused" if paused else "not_claimable"}
            return
        assert site_state.read(self.db).paused_since is None
        assert claim.attempt == before.attempt + 1
        self.attempts.append((turn_id, claim.attempt))

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), action=st.sampled_from(["commit", "cancel", "fail", "give_back", "state", "partial"]))
    def act(self, data, action):
        turn_id, attempt = self.attempts[data.draw(st.integers(0, len(self.attempts) - 1))]
        before = turns.get_turn(self.db, turn_id)
        current = before.running and before.attempt == attempt
        try:
            self.perform(action, turn_id, attempt)
        except Stale:
            assert not current
            assert turns.get_turn(self.db, turn_id) == before
        else:
            assert current

    def perform(self, action, turn_id, attempt):
        now, text = self.tick(), f"{turn_id} {attempt} {action}"
        if action == "state":
            lease_until = turns.get_turn(self.db, turn_id).lease_until or now
            if turn_id not in turns.renew(self.db, {turn_id: Progress(attempt, "writing")}, lease_until, now):
                raise Stale(turn_id, attempt)
            return None
        if action == "partial":
            return turns.save_partial(self.db, turn_id, attempt, text, now)
        if action == "fail":
            return turns.fail(self.db, turn_id, attempt, Failure("x"), now)
        if action == "give_back":
            return turns.give_back(self.db, turn_id, attempt, now)
        end = getattr(turns, action)(self.db, turn_id, attempt, Reply(text), now=now)
        assert turn_id not in self.committed
        self.committed[turn_id] = (end.message.id, text)
        return None

    @precondition(lambda self: self.commands)
    @rule(data=st.data())
    def stop(self, data):
        turn_id = self.drawn_turn(data)
        turns.request_cancel(self.db, self.owner, turn_id, self.tick())

    @rule(paused=st.booleans())
    def pause(self, paused):
        site_state.set_pause(self.db, paused, self.tick())
        if paused:
            turns.unqueue_all(self.db, self.tick())
            assert {turn.state for turn in turns.unfinished(self.db)} <= {"waiting", *RUNNING}

    @rule(seconds=st.sampled_from([1.0, LEASE_S + 1]))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def one_unfinished_turn_per_chat(self):
        unfinished = [turn.chat_id for turn in turns.unfinished(self.db)]
        assert len(unfinished) == len(set(unfinished)) <= 2

    @invariant()
    def transcripts_are_gapless_and_hold_what_was_committed_once(self):
        for chat_id in self.chats:
            messages = chats.transcript(self.db, chat_id)
            assert [message.ordinal for message in messages] == list(range(len(messages)))
            assert [m.created_at for m in messages] == sorted(m.created_at for m in messages)
            assert [m.id for m in messages if m.role == "user"] == self.said[chat_id]
            for message in messages:
                assert [a.position for a in message.alternatives] == list(range(len(message.alternatives)))
                made_by = [a.turn_id for a in message.alternatives if a.turn_id]
                assert len(made_by) == len(set(made_by))

    @invariant()
    def replies_are_where_their_turns_say(self):
        for turn_id, (message_id, text) in self.committed.items():
            written = turns.result_of(self.db, turn_id)
            assert written.message.id == message_id
            assert text in [alternative.text for alternative in written.message.alternatives]

    @invariant()
    def states_and_times_agree(self):
        for turn_id in self.commands:
            turn = turns.get_turn(self.db, turn_id)
            assert turn.state in UNFINISHED + ENDED
            assert (turn.ended_at is not None) == turn.ended
            assert (turn.lease_until is not None) == turn.running


def test_random_lives_of_turns(migrated_file):
    Turns.template = migrated_file
    case = Turns.TestCase
    case.settings = settings(
        max_examples=n_examples(8, 300), stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case("runTest").runTest()
