"""The checker: what was promised, held against what was seen. Pure.

What it does: every rule is a function from the evidence to sentences about what is wrong; RULES is the table.
What it refuses to know: how the evidence was gathered, and which faults there were.
To add a rule: a generator of Violations, a line in RULES, a planted fault in test_nemesis_checker.py.
"""

from collections import Counter
from itertools import groupby, pairwise

from tests.nemesis.evidence import ENDED, RUNNING, TAG, WRITTEN, Violation
from tests.nemesis.history import excerpt
from tests.nemesis.people import MOODS
from tests.nemesis.stream_rules import told_the_end, told_the_truth

STEPS = {
    "waiting": {"queued", "waking", "cancelled", "failed"},
    "queued": {"waiting", "queued", "waking", "cancelled", "failed"},
    **{state: {*RUNNING, "queued", *ENDED} for state in RUNNING},
}


def acknowledged_once(evidence):
    """Every acknowledged message is in its transcript, once, as it was written."""
    for turn in evidence.acked:
        frame = evidence.frames[turn][1] if turn in evidence.frames else None
        if turn not in evidence.turns:
            yield Violation("acked", "an acknowledged turn is not in the database", turn)
        if frame is None or frame["kind"] != "chat":
            continue
        found = [one for one in evidence.messages[frame["chat"]] if one["role"] == "user" and one["turn_id"] == turn]
        if len(found) != 1:
            yield Violation("acked", f"an acknowledged message is there {len(found)} times", turn, frame["chat"])
        elif [one["text"] for one in found[0]["alternatives"]] != [frame["text"]]:
            yield Violation("acked", f"{frame['text']!r} became {found[0]['alternatives']}", turn, frame["chat"])


def in_order(evidence):
    """What was acknowledged before something else was sent stands before it."""
    for chat, messages in evidence.messages.items():
        latest_sent = float("-inf")
        for message in messages:
            if message["role"] != "user" or message["turn_id"] not in evidence.frames:
                continue
            acked = evidence.acked.get(message["turn_id"], float("inf"))
            if acked < latest_sent:
                yield Violation("order", "a message stands behind one that was sent later", message["turn_id"], chat)
            latest_sent = max(latest_sent, evidence.frames[message["turn_id"]][0])


def nothing_uninvited(evidence):
    """What was refused is not there, and nothing is there that nobody sent; nothing else has somebody's place."""
    for note in evidence.notes:
        if note.what == "refused" and note.turn in evidence.turns:
            yield Violation("refused", f"a turn refused as {note.body!r} was begun all the same", note.turn, note.chat)
    for turn, row in evidence.turns.items():
        if turn not in evidence.frames:
            yield Violation("refused", "a turn that nobody sent", turn, row["chat_id"])


def one_reply(evidence):
    """At most one committed reply per turn and part; exactly that many when it is done; none when it failed."""
    for turn, row in evidence.turns.items():
        n, most = len(evidence.words[turn]), sum(part in WRITTEN for part in row["parts"])
        if n > most:
            yield Violation("one reply", f"{n} replies to one turn of {most} written parts", turn, row["chat_id"])
        if row["state"] == "done" and row["kind"] in WRITTEN and not n:
            yield Violation("one reply", "done without a word", turn, row["chat_id"])
        if row["state"] == "failed" and n:
            yield Violation("one reply", "a failed turn left a reply", turn, row["chat_id"])


def no_foreign_text(evidence):
    """No chat has a word of another one; an echo shows that the prompt had the message that it answers."""
    for chat, messages in evidence.messages.items():
        for message in messages:
            for alternative in message["alternatives"]:
                if foreign := set(TAG.findall(alternative["text"])) - evidence.tags[chat]:
                    yield Violation("foreign", f"{sorted(foreign)} is of another chat", alternative["turn_id"], chat)
    for turn, row in evidence.turns.items():
        if not evidence.echo or row["state"] != "done" or row["kind"] != "chat" or turn not in evidence.frames:
            continue
        said = evidence.frames[turn][1]["text"]
        if said not in (evidence.text_of(turn, 0) or ""):
            yield Violation("foreign", f"{evidence.words[turn]} does not answer {said!r}", turn, row["chat_id"])


def no_interleaving(evidence):
    """The messages of a turn stand together; ordinals count up without a hole."""
    for chat, messages in evidence.messages.items():
        if [message["ordinal"] for message in messages] != list(range(len(messages))):
            yield Violation("interleaving", f"ordinals {[one['ordinal'] for one in messages]}", None, chat)
        runs = Counter(turn for turn, _ in groupby(message["turn_id"] for message in messages))
        for turn in (turn for turn, n in runs.items() if turn is not None and n > 1):
            yield Violation("interleaving", "another turn stands in the middle of this one", turn, chat)
        for before, after in pairwise(messages):
            row = evidence.turns.get(after["turn_id"])
            alone = after["role"] == "character" and before["turn_id"] != after["turn_id"]
            if row is not None and row["kind"] == "chat" and alone:
                yield Violation("interleaving", "a reply stands behind another turn", after["turn_id"], chat)


def as_committed(evidence):
    """The transcript is what was committed, and nothing has touched it since."""
    last = {step.detail: step.text for step in evidence.steps if step.what in ("worded", "reworded")}
    for chat, messages in evidence.messages.items():
        for message in messages:
            for alternative in message["alternatives"]:
                committed = last.get(f"{message['id']}.{alternative['position']}", alternative["text"])
                if committed != alternative["text"]:
                    yield Violation(
                        "changed", f"{committed!r} became {alternative['text']!r}", message["turn_id"], chat
                    )
                if (wrong := _wrong_status(alternative["status"])) is not None:
                    yield Violation("status", wrong, alternative["turn_id"], chat)


def _wrong_status(status):
    """The people's character has one field (people.py): one of two words."""
    fields = (status or {}).get("fields")
    good = fields is None or [(one["name"], one["value"] in MOODS) for one in fields] == [("Mood", True)]
    return None if good else f"the status is {fields}"


def expected_failures(evidence):
    """A turn may only fail because its worker died again and again; anything else is an error of ours."""
    for turn, row in evidence.turns.items():
        if row["state"] == "failed" and row["error_code"] != "too_many_attempts":
            yield Violation("failure", f"failed as {row['error_code']}: {row['error_text']}", turn, row["chat_id"])


def state_machine(evidence):
    """No turn takes a step that is not allowed; attempts count up by one; words come with the end of their turn."""
    for step in evidence.steps:
        if step.turn not in evidence.turns:
            continue
        if step.what == "changed":
            yield from _bad_step(step)
        elif step.what in ("worded", "reworded") and step.state not in (None, "done", "cancelled"):
            yield Violation("stale commit", f"words were written while the turn was {step.state}", step.turn)
        elif step.what == "unsaid":
            yield Violation("state", "a message was deleted", step.turn)


def _bad_step(step):
    if step.before in ENDED:
        yield Violation("stale commit", f"{step.before} -> {step.state} after its end", step.turn)
    elif step.before != step.state and step.state not in STEPS[step.before]:
        yield Violation("state", f"{step.before} -> {step.state}", step.turn)
    claimed = step.state == "waking" and step.attempt == step.attempt_before + 1
    if step.attempt != step.attempt_before and not claimed:
        yield Violation("state", f"attempt {step.attempt_before} -> {step.attempt} in {step.state}", step.turn)


def ended(evidence):
    """Every turn has ended."""
    for turn, row in evidence.turns.items():
        if row["state"] not in ENDED:
            yield Violation("liveness", f"still {row['state']} (attempt {row['attempt']})", turn, row["chat_id"])


def runner_saw(evidence):
    """What the runner itself found: windows that hang, programs that gave up, what did not return to the baseline."""
    for words in evidence.trouble:
        yield Violation("runner", words)


RULES = (
    acknowledged_once,
    in_order,
    nothing_uninvited,
    one_reply,
    no_foreign_text,
    no_interleaving,
    as_committed,
    expected_failures,
    state_machine,
    told_the_truth,
    told_the_end,
    ended,
    runner_saw,
)


def check(evidence):
    """All violations, the rules in the order of the table."""
    return [violation for rule in RULES for violation in rule(evidence)]


def describe(violations, evidence, limit=5):
    """For people: how many of each rule, and the history around the first few."""
    counted = Counter(violation.rule for violation in violations)
    parts = ["violations: " + ", ".join(f"{n} x {rule}" for rule, n in counted.most_common())]
    for violation in violations[:limit]:
        parts.append(f"  [{violation.rule}] {violation.words} (turn {violation.turn}, chat {violation.chat})")
        if violation.turn or violation.chat:
            parts.append(excerpt(evidence.notes, violation.turn, None if violation.turn else violation.chat))
            steps = [step for step in evidence.steps if step.turn == violation.turn and violation.turn]
            parts += [
                f"      sql {step.at:.3f} {step.what}: {step.before} -> {step.state}, attempt "
                f"{step.attempt_before} -> {step.attempt}, {step.worker} {step.detail or ''}"
                for step in steps
            ]
    return "\n".join(parts)
