"""Whatever a person asks for in whatever order: what the session holds and still wants is never read again."""

import itertools
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from worker_stories import ByteFraming, message, story, turn

from engine.kv.planner import plan as plan_moves
from engine.segments import Segment
from tests.harness.soak import n_examples
from worker.prompt.build import plan_part
from worker.prompt.segments import Limits

FRAMING = ByteFraming()
WORDS = ("dragon", "kraken", "bell", "mill", "nothing")
ENTRIES = st.lists(
    st.fixed_dictionaries(
        {
            "keys": st.lists(st.sampled_from(WORDS[:4]), max_size=2),
            "content": st.sampled_from([f"About {n}. {{{{user}}}}" for n in range(9)] + ["It tells of a bell.", ""]),
            "constant": st.sampled_from([False, False, False, True]),
            "insertion_order": st.integers(0, 3),
            "extensions": st.fixed_dictionaries(
                {
                    "sticky": st.sampled_from([0, 0, 3]),
                    "cooldown": st.sampled_from([0, 0, 2]),
                    "probability": st.sampled_from([100, 100, 50]),
                }
            ),
        }
    ),
    min_size=1,
    max_size=6,
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["chat", "chat", "chat", "retry", "narrate", "suggest", "status", "continue"]),
        st.sampled_from(WORDS),
        st.sampled_from(WORDS),
    ),
    min_size=3,
    max_size=14,
)
MOVING = ("note:", "asked")  # these move with every word by design
STATUS = {"status": {"fields": [{"name": "Mood", "type": "one_of", "options": ["a", "b"]}]}}


class SimulatedChat:
    """A story and what the engine would hold of it."""

    def __init__(self, entries, recursive):
        book = {"entries": entries, "recursive_scanning": recursive}
        depth = {"depth_prompt": {"prompt": "Deep.", "depth": 2}}
        card = {"system_prompt": "S", "character_book": book, "extensions": STATUS | depth}
        self.story = story(message(0, "character", "Hi."), card=card, author_note="Brief.")
        self.ids, self.held = itertools.count(1), ()

    def step(self, kind, mine, theirs):
        """One turn; the names of what was read although it was held."""
        if kind == "chat":
            self.add("user", mine)
        last = self.story.messages[-1]
        again = kind in ("retry", "continue") and last.role == "character" and last.ordinal > 0
        if kind in ("retry", "continue") and not again:
            return []
        about = {"reply_message_id": last.id} if again else {}
        planned_turn = turn(kind, f"{next(self.ids):032d}", **about)
        result = plan_part(self.story, planned_turn, kind, FRAMING, Limits(1200, 50, "key"))
        moves = plan_moves(self.held, result.wanted, result.forgotten, result.pinned)
        held = {(segment.name, segment.tokens) for segment in self.held}
        again_read = [result.wanted[move.wanted] for move in moves.decode if move.start == 0]
        self.held = result.wanted
        if result.spec.keep_in_session and kind != "status":
            self.story = replace(self.story, chat=replace(self.story.chat, window=result.window))
            self.story = replace(self.story, messages=result.spec.messages)
            reply = self.add(result.spec.role, theirs, planned_turn.id, last.ordinal if again else None)
            tokens = FRAMING.segment(reply.role, reply.name, theirs)
            self.held = (*self.held, Segment(f"{reply.role}:{planned_turn.id}", tokens))
        names = [(segment.name, segment.tokens) for segment in again_read if not segment.name.startswith(MOVING)]
        return [name for name in names if name in held]

    def add(self, role, text, turn_id=None, ordinal=None):
        before = self.story.messages
        ordinal = 1 + max(one.ordinal for one in before) if ordinal is None else ordinal
        reply = message(ordinal, role, text, **({"turn_id": turn_id} if turn_id else {}))
        self.story = replace(
            self.story, messages=(*before, replace(reply, name="Narrator" if role == "narrator" else reply.name))
        )
        return self.story.messages[-1]


@settings(max_examples=n_examples(25, 800), deadline=None)
@given(ENTRIES, STEPS, st.booleans())
def test_nothing_that_is_held_and_wanted_is_read_again(entries, steps, recursive):
    session = SimulatedChat(entries, recursive)
    for step in steps:
        assert session.step(*step) == [], (step, [segment.name for segment in session.held])
