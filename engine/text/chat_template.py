"""Template splitter: turns a Jinja chat template into the text before and after a message of each role. Pure text.

What it refuses to know: tokens, names of people, sessions.
How: it renders short conversations whose contents are sentinels, and uses only the text *between neighbouring
sentinels*. So a default system prompt, a date, a tools block or a moved system prompt cannot get into a frame. Each
frame is independent of its neighbours: messages can be left out in the middle of a conversation, and two of the same
role can follow each other, even where the template itself would refuse that.

    system      its own frame; else as the template merges it into an empty first user message (Llama-2, Mistral);
                else framed like a first user message (Gemma forbids the role, others ignore it)
    note        a system text in the middle of a conversation; else framed like a user message
    reasoning   is switched off where the template can; a reasoning block that the generation prompt opens is closed
    tools       are left undefined, and None where the template fails on that or then says more than with None

To add support for a template: first its source and its expected frames in tests/engine/chat_templates.py, which
tests/engine/test_framing_templates.py runs through; then the rule in `_Splitter`; an unusual marker of reasoning goes
into MARKER_PAIRS of engine/text/reasoning.py and `_REASONING` here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TODAY = datetime(2024, 7, 26)
"""The date that templates get: constant, or every persona would be read again after midnight. It is the default of
Llama 3.1's own template."""

RoleAndText = tuple[str, str]
_SYSTEM, _NOTE = ("system", "Qxv7sysa"), ("system", "Qxv7sysb")
_USER, _NEXT_USER = ("user", "Qxv7usra"), ("user", "Qxv7usrb")
_ASSISTANT = ("assistant", "Qxv7asta")
_NAME, _OTHER_NAME = "Qxv7name", "Qxv7else"
_GENERATION_TAG = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
_REASONING = re.compile(r"(?P<opens><think>|<\|channel>)(?:thought\n)?\s*(?P<closed>(?:</think>|<channel\|>)\s*)?$")
_EMPTY_REASONING = {"<think>": "<think>\n\n</think>\n\n", "<|channel>": "<|channel>thought\n<channel|>"}
_ENDS_IN_THE_MIDDLE = {"<|return|>": "<|end|>"}
"""Harmony (gpt-oss): what ends a conversation, and what closes the same message when the conversation goes on."""
_NO_TOOLS: tuple[dict[str, None], ...] = ({}, {"tools": None, "documents": None})
_FAILURES = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


class CannotSplit(ValueError):
    """The template does not frame messages one by one."""


@dataclass(frozen=True, slots=True)
class MessageFrame:
    """The text before and after one message.

    `named`: the speaker's name is the role and goes between `before` and `middle`; else `middle` is empty.
    `trims`: the template strips blanks around the text.
    """

    before: str
    after: str
    middle: str = ""
    named: bool = False
    trims: bool = False


@dataclass(frozen=True, slots=True)
class TemplateFrames:
    """The frames of one template. `named` frames a message of any role name, where the template takes any.

    `empty_reasoning` is the closed, empty reasoning block between the header of an assistant's message and its text.
    """

    system: MessageFrame
    note: MessageFrame
    user: MessageFrame
    assistant: MessageFrame
    named: MessageFrame | None = None
    empty_reasoning: str = ""


def split_template(source: str, bos_text: str = "", eos_text: str = "") -> TemplateFrames:
    """The frames of a template. Raises CannotSplit with the reason."""
    reasons: list[Exception] = []
    for typed in (False, True):
        found = []
        for no_tools in _NO_TOOLS:
            try:
                found.append(_Splitter(_Template(source, bos_text, eos_text, typed=typed, no_tools=no_tools)).split())
            except _FAILURES as error:
                reasons.append(error)
        if found:
            return min(found, key=lambda frames: len(frames.system.before + frames.system.after))
    raise CannotSplit(str(reasons[0]) or type(reasons[0]).__name__) from reasons[0]


class _Template:
    """A compiled template, in a sandbox. `typed`: contents are lists of parts, as multimodal templates want them."""

    def __init__(
        self, source: str, bos_text: str, eos_text: str, *, typed: bool, no_tools: Mapping[str, None] = _NO_TOOLS[0]
    ) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = TODAY.strftime
        self._template = environment.from_string(_GENERATION_TAG.sub("", source))
        self._values = {"bos_token": bos_text, "eos_token": eos_text, **no_tools}
        self.bos_text, self.eos_text = bos_text, eos_text
        self._typed = typed

    def render(self, *messages: RoleAndText, prompt: bool = False) -> str:
        """The text of a conversation; with `prompt`, up to where the assistant's next text begins."""
        return self._template.render(
            messages=[{"role": role, "content": self._content(text)} for role, text in messages],
            add_generation_prompt=prompt,
            enable_thinking=False,
            thinking=False,
            **self._values,
        )

    def _content(self, text: str) -> str | list[dict[str, str]]:
        return [{"type": "text", "text": text}] if self._typed else text


class _Splitter:
    """Splits one template."""

    def __init__(self, template: _Template) -> None:
        self._template = template

    def split(self) -> TemplateFrames:
        """All frames. Raises CannotSplit, or an exception of the template itself."""
        alone = self._render_first([_USER], [_SYSTEM, _USER])
        answered = self._render_first([_USER, _ASSISTANT], [_SYSTEM, _USER, _ASSISTANT])
        again = self._render_first([_USER, _ASSISTANT, _NEXT_USER], [_SYSTEM, _USER, _ASSISTANT, _NEXT_USER])
        user_after = self._closing_text(_after(alone, _USER), _between(answered, _USER, _ASSISTANT))
        reply_after = self._closing_text(_after(answered, _ASSISTANT), _between(again, _ASSISTANT, _NEXT_USER))
        before = _between(answered, _USER, _ASSISTANT).removeprefix(user_after)
        reply = MessageFrame(before, reply_after, trims=self._trims(_USER, _ASSISTANT))
        before = _between(again, _ASSISTANT, _NEXT_USER).removeprefix(reply_after)
        user = MessageFrame(before, user_after, trims=self._trims(_USER))
        if not (user.before + user.after).strip() or not (user.before + reply.before + reply.after).strip():
            raise CannotSplit("it puts nothing around a message")
        base, empty_reasoning = self._reasoning(reply.before, user)
        note = self._note(user, reply)
        return TemplateFrames(
            system=self._without_preamble(self._system(user), note),
            note=note,
            user=user,
            assistant=MessageFrame(base, reply.after, trims=reply.trims),
            named=self._named(user, reply),
            empty_reasoning=empty_reasoning,
        )

    def _closing_text(self, tail: str, gap: str) -> str:
        """The text that closes a message: what follows the last one (`tail`), with or without the end-of-text token.

        More text behind that token is what the template puts at every end, such as the header of the next reply.
        """
        eos = self._template.eos_text
        before, _, behind = tail.partition(eos) if eos else (tail, "", "")
        tail = before + eos if behind.strip() else tail
        for closing in (_ENDS_IN_THE_MIDDLE.get(tail, tail), tail, tail.removesuffix(eos)):
            if gap.startswith(closing):
                return closing
        raise CannotSplit("what closes a message depends on what follows it")

    def _render_first(self, *conversations: Sequence[RoleAndText]) -> str:
        """The rendered text of the first conversation that the template accepts."""
        reason: Exception = CannotSplit("it leaves messages out")
        for messages in conversations:
            try:
                text = self._template.render(*messages)
            except _FAILURES as error:
                reason = error
                continue
            if all(text.count(content) == 1 for role, content in messages if role != "system"):
                return text
        raise reason

    def _render(self, *messages: RoleAndText, prompt: bool = False) -> str:
        """The rendered text of a conversation; empty when the template refuses it."""
        try:
            return self._template.render(*messages, prompt=prompt)
        except _FAILURES:
            return ""

    def _trims(self, *messages: RoleAndText) -> bool:
        *lead, (role, content) = messages
        padded = f" \n{content}\n "
        text = self._render(*lead, (role, padded))
        return content in text and padded not in text

    def _system(self, user: MessageFrame) -> MessageFrame:
        text = self._render(_SYSTEM, _USER)
        if _in_order(text, _SYSTEM, _USER):
            gap = _between(text, _SYSTEM, _USER)
            if user.before.strip() and gap.endswith(user.before):
                return MessageFrame(_before(text, _SYSTEM), gap.removesuffix(user.before), trims=self._trims_system())
            merged = self._render(_SYSTEM, ("user", ""))
            if _in_order(merged, _SYSTEM):
                return MessageFrame(_before(merged, _SYSTEM), _after(merged, _SYSTEM), trims=self._trims_system())
        first = self._render(_USER)
        opens = _before(first, _USER) if _in_order(first, _USER) else ""
        return MessageFrame(opens if opens.endswith(user.before) else user.before, user.after, trims=user.trims)

    def _without_preamble(self, system: MessageFrame, note: MessageFrame) -> MessageFrame:
        """Without a system message of the template's own before it, such as rules for tools (Hermes, Command-A)."""
        preamble = system.before.removesuffix(note.before)
        if note.after.strip() and preamble != system.before and preamble.endswith(note.after):
            bos = self._template.bos_text
            return replace(system, before=(bos if preamble.startswith(bos) else "") + note.before)
        return system

    def _trims_system(self) -> bool:
        padded = f" \n{_SYSTEM[1]}\n "
        return padded not in self._render(("system", padded), _USER)

    def _note(self, user: MessageFrame, reply: MessageFrame) -> MessageFrame:
        """A system message between a reply and the user's next message."""
        for lead in ([_SYSTEM, _USER, _ASSISTANT], [_USER, _ASSISTANT]):
            text = self._render(*lead, _NOTE, _NEXT_USER)
            if _in_order(text, _ASSISTANT, _NOTE, _NEXT_USER):
                before, after = _between(text, _ASSISTANT, _NOTE), _between(text, _NOTE, _NEXT_USER)
                if before.startswith(reply.after) and user.before.strip() and after.endswith(user.before):
                    return MessageFrame(
                        before.removeprefix(reply.after), after.removesuffix(user.before), trims=user.trims
                    )
        return user

    def _named(self, user: MessageFrame, reply: MessageFrame) -> MessageFrame | None:
        """The frame of a message whose role is a name, or None where the template does not write the role out."""
        for lead in ([], [_SYSTEM]):
            text = self._render(*lead, (_OTHER_NAME, _USER[1]), (_NAME, _ASSISTANT[1]))
            if _in_order(text, (_OTHER_NAME, _OTHER_NAME), _USER, (_NAME, _NAME), _ASSISTANT):
                before = _between(text, _USER, _ASSISTANT)
                if not (before.startswith(user.after) and _after(text, _ASSISTANT).startswith(reply.after)):
                    return None
                opens, _, middle = before.removeprefix(user.after).partition(_NAME)
                return MessageFrame(opens, reply.after, middle, named=True, trims=reply.trims)
        return None

    def _reasoning(self, before: str, user: MessageFrame) -> tuple[str, str]:
        """The header of a reply without a reasoning block, and the empty block that suppresses reasoning."""
        own = _REASONING.search(before)
        base = before[: own.start()] if own else before
        for lead in ([_USER], [_SYSTEM, _USER]):
            text = self._render(*lead, prompt=True)
            if _in_order(text, _USER):
                prompt = _after(text, _USER).removeprefix(user.after)
                found = _REASONING.search(prompt)
                if found and prompt[: found.start()] == base:
                    return base, found[0] if found["closed"] else _EMPTY_REASONING[found["opens"]]
                break
        return base, before[len(base) :]


def _in_order(text: str, *messages: RoleAndText) -> bool:
    """Whether each content stands in the text exactly once, and in this order."""
    places = [text.find(content) for _, content in messages]
    return all(text.count(content) == 1 for _, content in messages) and places == sorted(places)


def _before(text: str, message: RoleAndText) -> str:
    return text.partition(message[1])[0]


def _after(text: str, message: RoleAndText) -> str:
    return text.partition(message[1])[2]


def _between(text: str, left: RoleAndText, right: RoleAndText) -> str:
    if not _in_order(text, left, right):
        raise CannotSplit(f"it does not keep a {left[0]} and a {right[0]} message in their order")
    return _before(_after(text, left), right)


def _raise_exception(message: str) -> None:
    raise CannotSplit(message)
