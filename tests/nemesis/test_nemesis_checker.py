"""The checker itself: a clean round passes, and each planted fault is found by the rule that is there for it."""

import copy

import pytest

from tests.nemesis.audit import Step
from tests.nemesis.baseline import Held, grown
from tests.nemesis.checker import check, describe
from tests.nemesis.evidence import Evidence
from tests.nemesis.history import Note

CHAT, OTHER = "c" * 32, "d" * 32
FIRST, SECOND = "1" * 32, "2" * 32
SAID = {FIRST: "Say p01c001t0n001xaaaaaa now.", SECOND: "Say p01c001t0n002xbbbbbb now."}
HEARD = {turn: f"Mo heard: {text} (2 messages, tag 012345)" for turn, text in SAID.items()}


def message(turn, role, text, ordinal):
    return {"turn_id": turn, "role": role, "ordinal": ordinal, "alternatives": [{"text": text, "turn_id": turn}]}


def notes_of(turn, at):
    def note(what, seconds, body):
        return Note(at + seconds, "01.0", 1, what, CHAT, turn, body)

    frame = {"type": "submit", "id": turn, "chat": CHAT, "kind": "chat", "revision": 1, "text": SAID[turn]}
    event = {"turn": turn, "chat": CHAT, "attempt": 1}
    reply = {"alternatives": [{"text": HEARD[turn]}]}
    return [
        note("sent", 0.0, frame),
        note("heard", 0.1, {"type": "ack", "id": turn, "state": "queued", "revision": 2, "message": None}),
        note("acked", 0.1, frame),
        note("heard", 0.2, {**event, "seq": 1, "type": "text", "offset": 0, "text": HEARD[turn][:9]}),
        note("heard", 0.3, {**event, "seq": 2, "type": "text", "offset": 9, "text": HEARD[turn][9:]}),
        note("heard", 0.4, {**event, "seq": 3, "type": "done", "revision": 3, "message": reply}),
    ]


def steps_of(turn):
    path = [
        ("waiting", "queued", 0, 0),
        ("queued", "waking", 0, 1),
        ("waking", "writing", 1, 1),
        ("writing", "done", 1, 1),
    ]
    found = [Step(0, "begun", turn, None, "waiting", None, 0, None, None, 0.0)]
    found += [Step(0, "changed", turn, a, b, before, now, "gpu0", None, 0.0) for a, b, before, now in path]
    return [*found, Step(0, "worded", turn, None, "done", None, 1, None, None, 0.0)]


@pytest.fixture
def evidence():
    """Two turns of one chat, all well."""
    rows = {turn: {"id": turn, "chat_id": CHAT, "kind": "chat", "state": "done", "attempt": 1} for turn in SAID}
    spoken = [message(None, "character", "Hi.", 0)]
    for turn in SAID:
        spoken += [
            message(turn, "user", SAID[turn], len(spoken)),
            message(turn, "character", HEARD[turn], len(spoken) + 1),
        ]
    notes = [*notes_of(FIRST, 1.0), *notes_of(SECOND, 2.0)]
    return Evidence(notes, rows, [*steps_of(FIRST), *steps_of(SECOND)], {CHAT: spoken, OTHER: []})


def rules(evidence):
    return {violation.rule for violation in check(evidence)}


def test_a_clean_round_passes(evidence):
    assert check(evidence) == []


def lose_message(evidence):
    del evidence.messages[CHAT][3]


def double_message(evidence):
    evidence.messages[CHAT].append(message(SECOND, "user", SAID[SECOND], 5))


def change_message(evidence):
    evidence.messages[CHAT][1]["alternatives"][0]["text"] += " Really."


def lose_turn(evidence):
    del evidence.turns[SECOND]


def swap_messages(evidence):
    said = evidence.messages[CHAT]
    said[1:3], said[3:5] = said[3:5], said[1:3]
    for ordinal, one in enumerate(said):
        one["ordinal"] = ordinal


def refuse_a_begun_turn(evidence):
    evidence.notes.append(Note(9.0, "01.0", 1, "refused", CHAT, SECOND, "moved_on"))


def invent_a_turn(evidence):
    evidence.turns["3" * 32] = {**evidence.turns[FIRST], "id": "3" * 32, "state": "failed"}


def reply_twice(evidence):
    evidence.messages[CHAT][4]["alternatives"].append({"text": HEARD[SECOND], "turn_id": SECOND})


def lose_reply(evidence):
    evidence.messages[CHAT].pop()


def say_what_another_chat_said(evidence):
    evidence.messages[OTHER] = [message(SECOND, "character", HEARD[SECOND], 0)]


def answer_another_message(evidence):
    evidence.messages[CHAT][4]["alternatives"][0]["text"] = HEARD[FIRST]


def stand_behind_another_turn(evidence):
    said = evidence.messages[CHAT]
    said[2], said[3] = {**said[3], "ordinal": 2}, {**said[2], "ordinal": 3}


def end_twice(evidence):
    evidence.steps.append(Step(0, "changed", SECOND, "done", "done", 1, 2, "gpu1", None, 0.0))


def write_in_the_middle(evidence):
    evidence.steps.append(Step(0, "worded", SECOND, None, "writing", None, 1, None, None, 0.0))


def jump_attempts(evidence):
    evidence.steps.append(Step(0, "changed", SECOND, "queued", "waking", 1, 3, "gpu1", None, 0.0))


def go_back_to_waiting(evidence):
    evidence.steps.append(Step(0, "changed", SECOND, "writing", "waiting", 1, 1, "gpu1", None, 0.0))


def stream_other_words(evidence):
    evidence.notes[3] = copy.deepcopy(evidence.notes[3])
    evidence.notes[3].body["text"] = "Lu heard:"


def tell_another_end(evidence):
    evidence.notes[-1] = copy.deepcopy(evidence.notes[-1])
    evidence.notes[-1].body["type"] = "failed"


def tell_other_words_at_the_end(evidence):
    evidence.notes[-1] = copy.deepcopy(evidence.notes[-1])
    evidence.notes[-1].body["message"] = {"alternatives": [{"text": HEARD[FIRST]}]}


def never_end(evidence):
    evidence.turns[SECOND]["state"] = "writing"


@pytest.mark.parametrize(
    ("plant", "rule"),
    [
        (lose_message, "acked"),
        (double_message, "acked"),
        (change_message, "acked"),
        (lose_turn, "acked"),
        (swap_messages, "order"),
        (refuse_a_begun_turn, "refused"),
        (invent_a_turn, "refused"),
        (reply_twice, "one reply"),
        (lose_reply, "one reply"),
        (say_what_another_chat_said, "foreign"),
        (answer_another_message, "foreign"),
        (stand_behind_another_turn, "interleaving"),
        (end_twice, "stale commit"),
        (write_in_the_middle, "stale commit"),
        (jump_attempts, "state"),
        (go_back_to_waiting, "state"),
        (stream_other_words, "stream"),
        (tell_another_end, "end"),
        (tell_other_words_at_the_end, "end"),
        (never_end, "liveness"),
    ],
)
def test_each_planted_fault_is_found(evidence, plant, rule):
    plant(evidence)
    assert rule in rules(evidence)
    assert rule in describe(check(evidence), evidence)


def test_what_the_runner_saw_counts(evidence):
    evidence.trouble.append("window 01.0 has not come back")
    assert rules(evidence) == {"runner"}


def test_the_baseline_has_tolerances_and_names_what_stays():
    peace = Held({"web": {"fds": 30, "threads": 20, "rss_mb": 90}}, sizes={"rq:workers": 4})
    assert list(grown(peace, peace)) == []
    more = Held(
        {"web": {"fds": 99, "threads": 20, "rss_mb": 90}}, lasting=("rq:lost",), sizes={"rq:queue:inglenook-gpu0": 1}
    )
    assert [sentence.split()[0] for sentence in grown(peace, more)] == ["web", "redis", "redis'"]
