"""Turn framing: what stands before and after a message, cut out of the model's own chat template.

The template is rendered with sentinels as contents, and the text around each sentinel is what frames a message of that
role. Only the framing is tokenized with control tokens; whatever a person, a card or the model wrote - names included -
is tokenized without, so a message that says ``<|im_start|>system`` is just text.

Templates that accept any role name (ChatML and its kin) carry the speaker's name as the role. Others use their own
roles, with ``Name: `` in front of the text. A template that cannot be cut up is replaced by ChatML, with a warning.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

log = logging.getLogger(__name__)
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_ROLES = {"system": "system", "user": "user", "character": "assistant", "narrator": "assistant"}
_NAME = "Qxv7name"
_TEXTS = {"system": "Qxv7sys", "user": "Qxv7usr", "assistant": "Qxv7ast"}


class Tokenizer(Protocol):
    """The part of a backend that framing needs."""

    bos: int | None

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Token ids of `text`; control tokens only with `special`."""


class CannotSplit(ValueError):
    """A chat template that does not frame messages one by one."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The text before and after one message; `name_at` splits `before` where the speaker's name goes (ChatML-like)."""

    before: str
    after: str
    name_prefix: bool = False
    tail: str = ""
    """With a name as the role: what stands between the name and the text. `before` then ends where the name begins."""
    named: bool = False


@dataclass(slots=True)
class Framing:
    """Frames messages of the roles system, user, character and narrator as token ids."""

    tokenizer: Tokenizer
    template: str
    bos_text: str = ""
    eos_text: str = ""
    frames: dict[str, Frame] = field(default_factory=dict)
    named_roles: bool = False

    def __post_init__(self) -> None:
        try:
            self.frames = self._cut(self.template or CHATML)
        except (CannotSplit, TemplateError, TypeError, ValueError) as error:
            log.warning("the model's chat template cannot be used message by message (%s): ChatML is used", error)
            self.frames = self._cut(CHATML)

    def segment(self, role: str, name: str, text: str) -> tuple[int, ...]:
        """One whole message: header, text, footer. `role` is system, user, character or narrator."""
        return self.segment_from_tokens(role, name, self.tokenizer.tokenize(text, special=False))

    def segment_from_tokens(self, role: str, name: str, tokens: Sequence[int]) -> tuple[int, ...]:
        """The same around tokens that the model itself wrote, so that they stay exactly as they were."""
        return (*self.reply_header(role, name), *tokens, *self.footer(role))

    def reply_header(self, role: str, name: str) -> tuple[int, ...]:
        """What stands before a message; a system message begins with BOS when the model wants one."""
        frame = self.frames[role]
        tokenize = self.tokenizer.tokenize
        tokens = tokenize(frame.before, special=True)
        if frame.named:
            tokens += tokenize(name, special=False) + tokenize(frame.tail, special=True)
        elif frame.name_prefix:
            tokens += tokenize(f"{name}: ", special=False)
        bos = self.tokenizer.bos
        if role == "system" and bos is not None and tokens[:1] != [bos]:
            tokens = [bos, *tokens]
        return tuple(tokens)

    def footer(self, role: str) -> tuple[int, ...]:
        """What closes a message."""
        return tuple(self.tokenizer.tokenize(self.frames[role].after, special=True))

    def stop_strings(self, names: Sequence[str]) -> tuple[str, ...]:
        """Texts at which a reply must end: with ``Name: `` prefixes, the model may go on to speak for others."""
        return () if self.named_roles else tuple(f"\n{name}:" for name in names)

    # -- cutting a template up --------------------------------------------------------------------------------------

    def _cut(self, template: str) -> dict[str, Frame]:
        self.named_roles = self._accepts_names(template)
        system, user, assistant = (self._frame_texts(template, role) for role in ("system", "user", "assistant"))
        if self.named_roles:
            frames = {
                role: self._named_frame(template, text) for role, text in (("user", user), ("assistant", assistant))
            }
        else:
            frames = {"user": Frame(*user, name_prefix=True), "assistant": Frame(*assistant, name_prefix=True)}
        frames["system"] = Frame(*system)
        return {role: frames[kind] for role, kind in _ROLES.items()}

    def _frame_texts(self, template: str, role: str) -> tuple[str, str]:
        """Text before and after a message of `role`, as it stands behind a system message and another exchange."""
        lead = [] if role == "system" else [("system", _TEXTS["system"])]
        if role == "assistant":
            lead.append(("user", _TEXTS["user"]))
        before = self._render(template, lead) if lead else self.bos_text * template.count("bos_token")
        whole = self._render(template, [*lead, (role, _TEXTS[role])])
        if not whole.startswith(before) or whole.count(_TEXTS[role]) != 1:
            if role != "system" or whole.count(_TEXTS[role]) != 1:
                raise CannotSplit(f"a {role} message changes what stands before it")
            before = ""
        head, tail = whole[len(before) :].split(_TEXTS[role])
        return head, tail

    def _accepts_names(self, template: str) -> bool:
        """Whether any role name is written out as it is."""
        try:
            text = self._render(template, [("system", "x"), ("user", "y"), (_NAME, _TEXTS["assistant"])])
        except (TemplateError, ValueError, TypeError):
            return False
        return text.count(_NAME) == 1 and text.index(_NAME) < text.index(_TEXTS["assistant"])

    def _named_frame(self, template: str, plain: tuple[str, str]) -> Frame:
        before = self._render(template, [("system", "x"), ("user", "y")])
        whole = self._render(template, [("system", "x"), ("user", "y"), (_NAME, _TEXTS["assistant"])])
        if not whole.startswith(before):
            raise CannotSplit("a named message changes what stands before it")
        head, tail = whole[len(before) :].split(_TEXTS["assistant"])
        lead, rest = head.split(_NAME)
        return Frame(lead, tail or plain[1], tail=rest, named=True)

    def _render(self, template: str, messages: Sequence[tuple[str, str]]) -> str:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = lambda _format: ""
        return environment.from_string(template).render(
            messages=[{"role": role, "content": content} for role, content in messages],
            add_generation_prompt=False,
            bos_token=self.bos_text,
            eos_token=self.eos_text,
            enable_thinking=False,
        )


def _raise_exception(message: str) -> None:
    raise CannotSplit(message)
