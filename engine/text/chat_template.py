"""Cutting a chat template up: from Jinja source to the text before and after a message of each role. Pure text.

What it refuses to know: tokens, names of people, sessions.
How: short conversations with sentinels as contents are rendered, and only the text *between neighbouring sentinels* is
looked at. So a default system prompt, a date, a tools block or a system prompt that the template moves to another
place cannot get into a frame. Each frame stands on its own: messages can be left out in the middle of a conversation,
and two of the same role can follow each other, also where the template itself would refuse that.

    system      its own frame; else as the template merges it into an empty first user message (Llama-2, Mistral);
                else framed like a first user message (Gemma forbids the role, others ignore it)
    note        a system text in the middle of a conversation; else framed like a user message
    thinking    is switched off where the template knows how; a think block that the generation prompt opens is closed

When extending: a template that is not understood needs a case in tests/engine/chat_templates.py first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TODAY = datetime(2024, 7, 26)
"""What templates are told when they ask for the date: one day for ever, or every persona would be read again at
midnight. It is the default of Llama 3.1's own template."""

RoleAndText = tuple[str, str]
_S, _N = ("system", "Qxv7sysa"), ("system", "Qxv7sysb")
_U, _V = ("user", "Qxv7usra"), ("user", "Qxv7usrb")
_A = ("assistant", "Qxv7asta")
_NAME, _OTHER = "Qxv7name", "Qxv7else"
_GENERATION_TAG = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
_THINK = re.compile(r"<think>\s*(?P<closed></think>\s*)?$")
_FAILURES = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


class CannotSplit(ValueError):
    """A chat template that does not frame messages one by one."""


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

    `think` is the empty think block that belongs between the header of an assistant's message and its text.
    """

    system: MessageFrame
    note: MessageFrame
    user: MessageFrame
    assistant: MessageFrame
    named: MessageFrame | None = None
    think: str = ""


def split_template(source: str, bos_text: str = "", eos_text: str = "") -> TemplateFrames:
    """The frames of a template. Raises CannotSplit with the reason."""
    try:
        plain = _Template(source, bos_text, eos_text, typed=False)
        return _Splitter(plain).split()
    except _FAILURES as error:
        reason = error
    try:
        return _Splitter(_Template(source, bos_text, eos_text, typed=True)).split()
    except _FAILURES:
        raise CannotSplit(str(reason) or type(reason).__name__) from reason


class _Template:
    """A compiled template, in a sandbox. `typed`: contents are lists of parts, as multimodal templates want them."""

    def __init__(self, source: str, bos_text: str, eos_text: str, *, typed: bool) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = TODAY.strftime
        self._template = environment.from_string(_GENERATION_TAG.sub("", source))
        self._tokens = {"bos_token": bos_text, "eos_token": eos_text}
        self.eos_text = eos_text
        self._typed = typed

    def render(self, *messages: RoleAndText, prompt: bool = False) -> str:
        """The text of a conversation; with `prompt`, up to where the assistant's next text begins."""
        return self._template.render(
            messages=[{"role": role, "content": self._content(text)} for role, text in messages],
            add_generation_prompt=prompt,
            enable_thinking=False,
            thinking=False,
            tools=None,
            documents=None,
            **self._tokens,
        )

    def _content(self, text: str) -> str | list[dict[str, str]]:
        return [{"type": "text", "text": text}] if self._typed else text


class _Splitter:
    """Splits one template."""

    def __init__(self, template: _Template) -> None:
        self._template = template

    def split(self) -> TemplateFrames:
        """All frames, the ones that the others build on first."""
        alone = self._first([_U], [_S, _U])
        answered = self._first([_U, _A], [_S, _U, _A])
        again = self._first([_U, _A, _V], [_S, _U, _A, _V])
        user_after = self._closing(_behind(alone, _U), _between(answered, _U, _A))
        reply_after = self._closing(_behind(answered, _A), _between(again, _A, _V))
        before = _between(answered, _U, _A).removeprefix(user_after)
        reply = MessageFrame(before, reply_after, trims=self._trims(_U, _A))
        before = _between(again, _A, _V).removeprefix(reply_after)
        user = MessageFrame(before, user_after, trims=self._trims(_U))
        if not (user.before + user.after).strip() or not (user.before + reply.before + reply.after).strip():
            raise CannotSplit("it puts nothing around a message")
        base, think = self._think(reply.before, user)
        return TemplateFrames(
            system=self._system(user),
            note=self._note(user, reply),
            user=user,
            assistant=MessageFrame(base, reply.after, trims=reply.trims),
            named=self._named(user, reply),
            think=think,
        )

    def _closing(self, tail: str, gap: str) -> str:
        """What closes a message: the end of the text behind the last one (`tail`), unless that ends everything."""
        for closing in (tail, tail.removesuffix(self._template.eos_text)):
            if gap.startswith(closing):
                return closing
        raise CannotSplit("what closes a message depends on what follows it")

    def _first(self, *conversations: Sequence[RoleAndText]) -> str:
        """The text of the first of these conversations that the template accepts."""
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

    def _try(self, *messages: RoleAndText, prompt: bool = False) -> str:
        """The text of a conversation; nothing when the template refuses it."""
        try:
            return self._template.render(*messages, prompt=prompt)
        except _FAILURES:
            return ""

    def _trims(self, *messages: RoleAndText) -> bool:
        *lead, (role, content) = messages
        padded = f" \n{content}\n "
        text = self._try(*lead, (role, padded))
        return content in text and padded not in text

    def _system(self, user: MessageFrame) -> MessageFrame:
        text = self._try(_S, _U)
        if _once(text, _S, _U):
            gap = _between(text, _S, _U)
            if user.before.strip() and gap.endswith(user.before):
                return MessageFrame(_ahead(text, _S), gap.removesuffix(user.before), trims=self._trims_system())
            merged = self._try(_S, ("user", ""))
            if _once(merged, _S):
                return MessageFrame(_ahead(merged, _S), _behind(merged, _S), trims=self._trims_system())
        first = self._try(_U)
        opens = _ahead(first, _U) if _once(first, _U) else ""
        return MessageFrame(opens if opens.endswith(user.before) else user.before, user.after, trims=user.trims)

    def _trims_system(self) -> bool:
        padded = f" \n{_S[1]}\n "
        return padded not in self._try(("system", padded), _U)

    def _note(self, user: MessageFrame, reply: MessageFrame) -> MessageFrame:
        """A system message between a reply and the user's next message."""
        for lead in ([_S, _U, _A], [_U, _A]):
            text = self._try(*lead, _N, _V)
            if _once(text, _A, _N, _V):
                before, after = _between(text, _A, _N), _between(text, _N, _V)
                if before.startswith(reply.after) and user.before.strip() and after.endswith(user.before):
                    return MessageFrame(
                        before.removeprefix(reply.after), after.removesuffix(user.before), trims=user.trims
                    )
        return user

    def _named(self, user: MessageFrame, reply: MessageFrame) -> MessageFrame | None:
        """The frame of a message whose role is a name, or None where the template does not write the role out."""
        for lead in ([], [_S]):
            text = self._try(*lead, (_OTHER, _U[1]), (_NAME, _A[1]))
            if _once(text, (_OTHER, _OTHER), _U, (_NAME, _NAME), _A):
                before = _between(text, _U, _A)
                if not (before.startswith(user.after) and _behind(text, _A).startswith(reply.after)):
                    return None
                opens, _, middle = before.removeprefix(user.after).partition(_NAME)
                return MessageFrame(opens, reply.after, middle, named=True, trims=reply.trims)
        return None

    def _think(self, before: str, user: MessageFrame) -> tuple[str, str]:
        """The header of a reply without its think block, and the empty block that keeps the model from thinking."""
        own = _THINK.search(before)
        base = before[: own.start()] if own else before
        for lead in ([_U], [_S, _U]):
            text = self._try(*lead, prompt=True)
            if _once(text, _U):
                prompt = _behind(text, _U).removeprefix(user.after)
                found = _THINK.search(prompt)
                if found and prompt[: found.start()] == base:
                    return base, found[0] if found["closed"] else "<think>\n\n</think>\n\n"
                break
        return base, before[len(base) :]


def _once(text: str, *messages: RoleAndText) -> bool:
    """Whether each content stands in the text exactly once, and in this order."""
    places = [text.find(content) for _, content in messages]
    return all(text.count(content) == 1 for _, content in messages) and places == sorted(places)


def _ahead(text: str, message: RoleAndText) -> str:
    return text.partition(message[1])[0]


def _behind(text: str, message: RoleAndText) -> str:
    return text.partition(message[1])[2]


def _between(text: str, left: RoleAndText, right: RoleAndText) -> str:
    if not _once(text, left, right):
        raise CannotSplit(f"it does not keep a {left[0]} and a {right[0]} message in their order")
    return _ahead(_behind(text, left), right)


def _raise_exception(message: str) -> None:
    raise CannotSplit(message)
