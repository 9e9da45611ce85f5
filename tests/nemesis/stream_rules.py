"""The rules about what was streamed: every word shown was committed, and every end is the true end. Pure.

What it refuses to know: Redis. It reads what tabs heard.
"""

from tests.nemesis.evidence import Violation


def told_the_truth(evidence):
    """Each piece of the attempt that counts is where it says in the committed text; what is shown at the end is all."""
    for note in evidence.notes:
        if note.what == "heard" and (wrong := _wrong_piece(evidence, note.body)) is not None:
            yield Violation("stream", wrong, note.body["turn"], note.chat)
        if note.what == "ended" and (wrong := _wrong_whole(evidence, note.turn, note.body)) is not None:
            yield Violation("stream", f"window {note.tab}: {wrong}", note.turn, note.chat)


def told_the_end(evidence):
    """The last event of a turn says how it really ended, with the words that were really committed."""
    for note in evidence.notes:
        if note.what != "heard" or "seq" not in note.body or note.body["type"] not in ("done", "cancelled", "failed"):
            continue
        turn, event = note.body["turn"], note.body
        row = evidence.turns.get(turn)
        if row is None or row["state"] != event["type"]:
            yield Violation("end", f"said {event['type']}, is {row and row['state']}", turn, note.chat)
        elif (wrong := _wrong_message(evidence, turn, event)) is not None:
            yield Violation("end", wrong, turn, note.chat)


def _wrong_piece(evidence, event):
    row = evidence.turns.get(event.get("turn")) if event["type"] == "text" else None
    if row is None or row["state"] != "done" or event["attempt"] < row["attempt"]:
        return None
    if event["attempt"] > row["attempt"]:
        return f"text of attempt {event['attempt']}, but the turn was done by attempt {row['attempt']}"
    texts = evidence.words[event["turn"]]
    part, offset, piece = event.get("part", 0), event["offset"], event["text"]
    if part < len(texts) and texts[part][offset : offset + len(piece)] != piece:
        return f"streamed {piece!r} at {offset}, committed {texts[part]!r} (attempt {event['attempt']})"
    return None


def _wrong_whole(evidence, turn, end):
    row, live = evidence.turns.get(turn), end["live"]
    if row is None or end["type"] != "done" or live.attempt != row["attempt"] or live.partial:
        return None
    for part, text in live.parts.items():
        if part < len(evidence.words[turn]) and text != evidence.words[turn][part]:
            return f"showed {text!r} at the end, committed {evidence.words[turn][part]!r}"
    return None


def _wrong_message(evidence, turn, event):
    message = event.get("message")
    if message is None:
        return "no message though there are words" if event["type"] == "done" and evidence.words[turn] else None
    told = [one["text"] for one in message["alternatives"]]
    if not set(evidence.words[turn]) & set(told):
        return f"told {told}, committed {evidence.words[turn]}"
    return None
