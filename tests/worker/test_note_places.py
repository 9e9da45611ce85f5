"""Where story notes stand in a prompt: behind what was there when they were written, before what came in since."""

import pytest
from worker_stories import message

from engine.segments import Segment
from worker.prompt.memory import PlacedNote, with_placed
from worker.prompt.window import WindowEntry

LAST = message(5, "user", "Now?")


def entry(name, ordinal=None):
    said = LAST if ordinal is None else message(ordinal, "user", "x")
    return WindowEntry(Segment(name, (1,)), said)


def order(entries, *behind):
    placed = [PlacedNote(at, Segment(f"memory:{at}", (2,), ephemeral=True)) for at in behind]
    return [segment.name for segment in with_placed(entries, placed)]


def test_a_note_stands_behind_all_that_belongs_to_its_message():
    entries = [entry("user:3", 3), entry("note:last", 3), entry("character:4", 4), entry("user:5", 5)]
    assert order(entries, 3, 4) == ["user:3", "note:last", "memory:3", "character:4", "memory:4", "user:5"]


@pytest.mark.parametrize(
    ("name", "first"), [("lore:main/1@3", ["user:3", "memory:3"]), ("cast:4", ["user:3", "memory:3"])]
)
def test_what_is_inserted_later_stands_behind_the_note(name, first):
    """Else the note would be read again, and all that follows it."""
    entries = [entry("user:3", 3), entry(name), entry("character:4", 4), entry("user:5", 5)]
    assert order(entries, 3, 4) == [*first, name, "character:4", "memory:4", "user:5"]


def test_lore_in_the_middle_moves_no_note():
    entries = [entry("user:1", 1), entry("lore:main/1@1"), entry("user:3", 3), entry("user:5", 5)]
    assert order(entries, 3) == ["user:1", "lore:main/1@1", "user:3", "memory:3", "user:5"]


def test_a_note_whose_message_has_left_stands_before_all_messages():
    assert order([WindowEntry(Segment("example:0", (1,))), entry("user:3", 3)], 1) == [
        "example:0",
        "memory:1",
        "user:3",
    ]
    assert order([entry("user:3", 3)], 7) == ["user:3", "memory:7"]
