"""The request for a reply: header, sampling, stop strings, length, and the prefix of a continue. Pure.

What it refuses to know: the prompt before it (build.py).
"""

from __future__ import annotations

from dataclasses import replace

from engine.sampling import settings_from
from engine.segments import ReplySpec
from store.sampling import of_sampler
from store.status import fields_of
from store.turns.kinds import Result
from store.views import Story
from worker.prompt.persona import Cast
from worker.prompt.segments import Limits, PromptFraming, message_segment, status_header
from worker.prompt.status import grammar
from worker.prompt.turn_kinds import PartSpec

_MAX_TOKENS = {"suggest": 120, "narrate": 200, "status": 200}  # tokens
_STATUS_TEMPERATURE = 0.3


def reply_spec(
    story: Story, spec: PartSpec, cast: Cast, turn_id: str, framing: PromptFraming, limits: Limits
) -> ReplySpec:
    """What the engine shall write, and how."""
    if spec.result is Result.STATUS:
        return _status_spec(story, cast, turn_id, framing, limits)
    sampling = settings_from(of_sampler(story.chat.settings))
    note = framing.segment("note", "", spec.instruction) if spec.instruction and not spec.keep_in_session else ()
    header = framing.reply_header(spec.role, spec.name)
    prefix = _prefix(spec, header, framing, limits)
    if prefix:
        sampling = replace(sampling, ban_end=True)
    others = {cast.user, cast.char, story.chat.introduced.get("name", cast.user)} - {spec.name}
    return ReplySpec(
        name=f"{spec.role if spec.keep_in_session else spec.kind}:{turn_id}",
        header=(*note, *header),
        footer=framing.footer(spec.role),
        sampling=sampling,
        max_tokens=_max_tokens(story, spec.kind, limits),
        stop=(*framing.stop_strings(sorted(others), spec.name), *story.chat.settings.get("stop", ())),
        prefix=prefix,
        keep=spec.keep_in_session,
    )


def _prefix(spec: PartSpec, header: tuple[int, ...], framing: PromptFraming, limits: Limits) -> tuple[int, ...]:
    """The tokens that the reply has already: of the message that grows, or of the words that it shall begin with."""
    if spec.continues is not None:
        tokens = message_segment(spec.continues, framing, limits).tokens
    elif spec.begins:
        tokens = framing.segment(spec.role, spec.name, spec.begins)
    else:
        return ()
    return tokens[len(header) : len(tokens) - len(framing.footer(spec.role))]


def _status_spec(story: Story, cast: Cast, turn_id: str, framing: PromptFraming, limits: Limits) -> ReplySpec:
    of_chat = settings_from(of_sampler(story.chat.settings))
    sampling = replace(of_chat, temperature=_STATUS_TEMPERATURE, repeat_penalty=1.0)
    return ReplySpec(
        name=f"status:{turn_id}",
        header=status_header(story, cast, framing),
        footer=framing.footer("note"),
        sampling=replace(sampling, grammar=grammar(fields_of(story.character.card))),
        max_tokens=min(limits.reply(), _MAX_TOKENS["status"]),
    )


def _max_tokens(story: Story, kind: str, limits: Limits) -> int:
    """The length that the chat asks for is that of replies; a narration or a suggestion may only get shorter by it."""
    longest = limits.reply(story.chat.settings.get("reply_tokens"))
    return min(longest, _MAX_TOKENS.get(kind, longest))


def max_tokens_of(reply: ReplySpec) -> int:
    """The most tokens that the segment of a reply can have."""
    return len(reply.header) + len(reply.prefix) + len(reply.footer) + reply.max_tokens
