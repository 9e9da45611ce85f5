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
    alternative = {"text": text, "turn_id": turn, "position": 0, "status": None}
    return {"id": f"m{ordinal}", "turn_id": turn, "role": role, "ordinal": ordinal, "alternatives": [alternative]}


def notes_of(turn, at):
    def note(what, seconds, body):
        return Note(at + seconds, "01.0", 1, what, CHAT, turn, body)

    frame = {"type": "submit", "id": turn, "chat": CHAT, "kind": "chat", "revision": 1, "text": SAID[turn]}
    event = {"turn": turn, "chat": CHAT, "attempt": 1}
    end = {"revision": 3, "messages": [{"alternatives": [{"text": HEARD[turn]}]}], "suggestion": None}
    return [
        note("sent", 0.0, frame),
        note("heard", 0.1, {"type": "ack", "id": turn, "state": "queued", "revision": 2, "message": None}),
        note("acked", 0.1, frame),
        note("heard", 0.2, {**event, "seq": 1, "type": "text", "part": 0, "offset": 0, "text": HEARD[turn][:9]}),
        note("heard", 0.3, {**event, "seq": 2, "type": "text", "part": 0, "offset": 9, "text": HEARD[turn][9:]}),
        note("heard", 0.4, {**event, "seq": 3, "type": "done", **end}),
    ]


def step(turn, what="changed", **fields):
    nothing = dict.fromkeys(("before", "state", "attempt_before", "attempt", "worker", "detail", "text_before", "text"))
    return Step(**{"number": 0, "what": what, "turn": turn, "at": 0.0, **nothing, **fields})


def changed(turn, before, state, attempt_before, attempt):
    return step(turn, before=before, state=state, attempt_before=attempt_before, attempt=attempt)


def steps_of(turn, place):
    return [
        step(turn, "worded", detail=f"m{place}.0", text=SAID[turn]),
        step(turn, "begun", state="waiting", attempt=0),
        changed(turn, "waiting", "queued", 0, 0),
        changed(turn, "queued", "waking", 0, 1),
        changed(turn, "waking", "writing", 1, 1),
        changed(turn, "writing", "done", 1, 1),
        step(turn, "worded", state="done", attempt=1, detail=f"m{place + 1}.0", text=HEARD[turn]),
    ]


@pytest.fixture
def evidence():
    """Two turns of one chat, all well."""
    row = {"chat_id": CHAT, "kind": "chat", "parts": ("chat",), "state": "done", "attempt": 1, "suggestion": None}
    rows = {turn: {"id": turn, **row} for turn in SAID}
    spoken = [message(None, "character", "Hi.", 0)]
    for turn in SAID:
        spoken += [
            message(turn, "user", SAID[turn], len(spoken)),
            message(turn, "character", HEARD[turn], len(spoken) + 1),
        ]
    notes = [*notes_of(FIRST, 1.0), *notes_of(SECOND, 2.0)]
    return Evidence(notes, rows, [*steps_of(FIRST, 1), *steps_of(SECOND, 3)], {CHAT: spoken, OTHER: []})


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
    evidence.turns["3" * 32] = {**evidence.turns[FIRST], "id": "3" * 32}


def reply_twice(evidence):
    evidence.steps.append(step(SECOND, "worded", state="done", attempt=1, detail="m4.1", text=HEARD[SECOND]))


def lose_reply(evidence):
    evidence.steps.pop()


def say_what_another_chat_said(evidence):
    evidence.messages[OTHER] = [message(SECOND, "character", HEARD[SECOND], 0)]


def answer_another_message(evidence):
    evidence.steps[-1] = step(SECOND, "worded", state="done", attempt=1, detail="m4.0", text=HEARD[FIRST])


def change_a_reply(evidence):
    evidence.messages[CHAT][4]["alternatives"][0]["text"] += "!"


def keep_a_wrong_status(evidence):
    fields = [{"name": "Mood", "value": "furious", "unit": None}]
    evidence.messages[CHAT][4]["alternatives"][0]["status"] = {"fields": fields}


def fail_by_mistake(evidence):
    evidence.turns[SECOND] |= {"state": "failed", "error_code": "internal", "error_text": "Something went wrong."}


def stand_behind_another_turn(evidence):
    said = evidence.messages[CHAT]
    said[2], said[3] = {**said[3], "ordinal": 2}, {**said[2], "ordinal": 3}


def end_twice(evidence):
    evidence.steps.append(changed(SECOND, "done", "done", 1, 2))


def write_in_the_middle(evidence):
    evidence.steps.append(step(SECOND, "worded", state="writing", attempt=1, text=""))


def jump_attempts(evidence):
    evidence.steps.append(changed(SECOND, "queued", "waking", 1, 3))


def go_back_to_waiting(evidence):
    evidence.steps.append(changed(SECOND, "writing", "waiting", 1, 1))


def stream_other_words(evidence):
    evidence.notes[3] = copy.deepcopy(evidence.notes[3])
    evidence.notes[3].body["text"] = "Lu heard:"


def tell_another_end(evidence):
    evidence.notes[-1] = copy.deepcopy(evidence.notes[-1])
    evidence.notes[-1].body["type"] = "failed"


def tell_other_words_at_the_end(evidence):
    evidence.notes[-1] = copy.deepcopy(evidence.notes[-1])
    evidence.notes[-1].body["messages"] = [{"alternatives": [{"text": HEARD[FIRST]}]}]


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
        (change_a_reply, "changed"),
        (keep_a_wrong_status, "status"),
        (fail_by_mistake, "failure"),
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
