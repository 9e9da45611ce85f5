"""Recall for a turn: asks the chat's forgotten messages before a reply is planned, once for each thing that is said.

What it does: what was recalled for the same last message before is read again, so that the same segment is found; only
a new message searches.
What it refuses to know: ranking (store/memory/recall.py), segments (worker/prompt/recall.py).
"""

from __future__ import annotations

from store.db import Database
from store.memory import recall, switches
from store.memory.passages import LETTERS
from store.views import Story
from worker.prompt.recall import Recalled, memory_of, question_of, remembered
from worker.prompt.segments import Limits

_LETTERS_PER_TOKEN = 2  # of a passage and the budget: three passages of English, one of Chinese on a small vocabulary


def recalled_for(db: Database, story: Story, limits: Limits) -> Recalled:
    """What this story recalls for its person's last message; nothing where that is off, and in a minimal context."""
    before = int(story.chat.window.get("messages", 0))
    question = question_of(story)
    is_on = limits.recall > 0 and not limits.minimal and switches.is_on(story.chat.memory, switches.RECALL)
    if not is_on or question is None or before <= 0:
        return Recalled(memory={})
    kept = remembered(story, question)
    if kept is None:
        told = [note.id for note in story.notes]
        letters = min(LETTERS, limits.recall * _LETTERS_PER_TOKEN)
        passages = recall.recall(db, story.chat.id, question.texts, before, told, letters)
    else:
        passages = recall.recall_again(db, story.chat.id, kept, before)
    return Recalled(passages, memory_of(question, passages))
