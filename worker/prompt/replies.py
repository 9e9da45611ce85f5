"""How a reply is asked for: header, sampling, stops, what is already there. Pure: a script in, a ReplySpec out.

What it refuses to know: what the prompt before it is (build.py).
"""

from __future__ import annotations

from dataclasses import replace

from engine.sampling import settings_from
from engine.segments import ReplySpec
from store.status import fields_of
from store.views import Story
from worker.prompt.persona import Cast
from worker.prompt.segments import Framing, Limits, message_segment, status_header
from worker.prompt.status import grammar
from worker.prompt.turn_kinds import Script

_LONGEST = {"suggest": 120, "narrate": 200, "status": 200}  # tokens
_STATUS_TEMPERATURE = 0.3


def reply_spec(story: Story, script: Script, cast: Cast, turn_id: str, framing: Framing, limits: Limits) -> ReplySpec:
    """What the engine is to write, and how."""
    if script.kind == "status":
        return _status_spec(story, cast, turn_id, framing, limits)
    sampling = settings_from(story.chat.settings)
    note = framing.segment("note", "", script.asked) if script.asked and not script.keep else ()
    header = framing.reply_header(script.role, script.name)
    prefix: tuple[int, ...] = ()
    if script.grows is not None:
        whole = message_segment(script.grows, framing, limits).tokens
        prefix = whole[len(header) : len(whole) - len(framing.footer(script.role))]
        sampling = replace(sampling, ban_end=True)
    others = {cast.user, cast.char} - {script.name}
    return ReplySpec(
        name=f"{script.role if script.keep else script.kind}:{turn_id}",
        header=(*note, *header),
        footer=framing.footer(script.role),
        sampling=sampling,
        max_tokens=min(limits.reply, _LONGEST.get(script.kind, limits.reply)),
        stop=framing.stop_strings(sorted(others)),
        prefix=prefix,
        keep=script.keep,
    )


def _status_spec(story: Story, cast: Cast, turn_id: str, framing: Framing, limits: Limits) -> ReplySpec:
    sampling = replace(settings_from(story.chat.settings), temperature=_STATUS_TEMPERATURE, repeat_penalty=1.0)
    return ReplySpec(
        name=f"status:{turn_id}",
        header=status_header(story, cast, framing),
        footer=framing.footer("note"),
        sampling=replace(sampling, grammar=grammar(fields_of(story.character.card))),
        max_tokens=min(limits.reply, _LONGEST["status"]),
    )


def n_tokens_at_most(reply: ReplySpec) -> int:
    """Room that a reply can come to need."""
    return len(reply.header) + len(reply.prefix) + len(reply.footer) + reply.max_tokens
