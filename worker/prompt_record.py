"""The record of a prompt: what the model read for a reply, segment by segment, for the person who wants to look. Pure.

{"context", "read" (tokens that were read anew), "reply" (the most tokens of the reply), "forgotten": {"messages",
"examples"}, "segments": [{"kind", "name", "ordinal", "tokens", "text"}, ...]}. The texts are the tokens as text, with
all that the chat template puts around them: what the model really read. `kind` is the first part of a segment's name
(segments.py); `name` and `ordinal` are those of a message.
What it refuses to know: where it is kept (store/prompt_records.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.segments import Segment
from store.views import Story
from worker.prompt.build import PartPlan
from worker.prompt.segments import segment_name

MAX_CHARS, MAX_SEGMENTS = 8_000, 400
_ROLES = ("user", "character", "narrator", "system")


def prompt_record(
    plan: PartPlan, story: Story, piece: Callable[[int], bytes], context: int, n_evaluated: int
) -> dict[str, Any]:
    """What the model read for a part; of a very long prompt the pinned beginning and the newest segments."""
    n_left_out = max(0, len(plan.wanted) - MAX_SEGMENTS)
    shown = (*plan.wanted[: plan.pinned], *plan.wanted[plan.pinned + n_left_out :])
    messages = {segment_name(message): message for message in story.messages}
    segments = []
    for segment in shown:
        message = messages.get(segment.name)
        about = {"name": message.name, "ordinal": message.ordinal} if message else {}
        segments.append(_segment(segment, piece) | about)
    if plan.reply.header:
        segments.append(_segment(Segment("reply:", plan.reply.header + plan.reply.prefix), piece))
    n_examples = sum(name.startswith("example:") for name in plan.forgotten)
    return {
        "context": context,
        "read": n_evaluated,
        "reply": plan.reply.max_tokens,
        "left_out": n_left_out,
        "forgotten": {"messages": len(plan.forgotten) - n_examples, "examples": n_examples},
        "segments": segments,
    }


def _segment(segment: Segment, piece: Callable[[int], bytes]) -> dict[str, Any]:
    return {
        "kind": _kind(segment.name),
        "tokens": len(segment.tokens),
        "text": _text(segment.tokens, piece),
    }


def _kind(name: str) -> str:
    """`note:author` stays as it is, everything else is its first part."""
    return name if name.startswith("note:") else name.split(":", 1)[0]


def _text(tokens: Sequence[int], piece: Callable[[int], bytes]) -> str:
    text = b"".join(piece(token) for token in tokens[:MAX_CHARS]).decode(errors="replace")
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}…"
