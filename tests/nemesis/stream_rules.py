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
    part, offset, piece = event["part"], event["offset"], event["text"]
    text = evidence.text_of(event["turn"], part)
    if text is None:
        return None
    there = text[offset : offset + len(piece)] == piece
    stripped = row["parts"][part] == "suggest" and piece.strip() in text  # committed without the white space around it
    return None if there or stripped else f"streamed {piece!r} at {offset} of part {part}, committed {text!r}"


def _wrong_whole(evidence, turn, end):
    row, live = evidence.turns.get(turn), end["live"]
    if row is None or end["type"] != "done" or live.attempt != row["attempt"] or live.partial:
        return None
    for part in range(len(row["parts"])):
        text, shown = evidence.text_of(turn, part), live.parts.get(part, "")
        if text is not None and shown.strip() != text.strip():
            return f"showed {shown!r} at the end of part {part}, committed {text!r}"
    return None


def _wrong_message(evidence, turn, event):
    if event["type"] == "failed":
        return None
    told = [one["text"] for message in event["messages"] for one in message["alternatives"]]
    for text in evidence.words[turn]:
        if not any(text in one for one in told):  # an end that is told late knows what was added since
            return f"committed {text!r}, told {told}"
    if event["suggestion"] != evidence.turns[turn]["suggestion"]:
        return f"told the suggestion {event['suggestion']!r}, kept {evidence.turns[turn]['suggestion']!r}"
    return None
