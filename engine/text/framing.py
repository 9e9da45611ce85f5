"""Message framing: the tokens before and after a message, from the frames of engine/text/chat_template.py.

No prompt injection by control tokens: only the frame is tokenized with control tokens. Everything that a person, a card
or the model wrote, names included, is tokenized without, so a message that says ``<|im_start|>system`` is just text.

ChatML and templates like it carry the speaker's name as the role. Others use their own roles, with ``Name: `` before
the text. A model without a template reads a script (engine/text/framing_styles.py has the choice). A template that
cannot be split is replaced, with a warning: by ChatML if the vocabulary has its tokens, else by a script.

Blanks at the end of a header belong to the text after it: models write `` Hello`` as one token, and they write worse
after a header that ends in a lone blank. So a reply's tokens begin with that blank; engine/text/detokenizer.py does not
show it. Some tokenizers put a blank before every text; they get a line break before it, whose tokens are removed again.

A story is framed anew for every turn, so an LRU cache keeps the tokens of recent texts (tokenizing 2,800 tokens takes
14 ms). What it refuses to know: the engine's sessions, and which messages a prompt needs.
"""

import logging
import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

from engine.text.chat_template import CHATML, CannotSplit, MessageFrame, TemplateFrames, split_template
from engine.text.framing_styles import SCRIPT, SCRIPT_NAMES, FramingStyle, names_as_roles
from engine.text.reasoning import REASONING_MARKERS
from engine.text.role_words import is_role_word

log = logging.getLogger(__name__)
_MARKER = re.compile(r"[<\[].+[>\]]", re.DOTALL)
_ASSISTANTS = ("character", "narrator")
_CHATML_MARKERS = ("<|im_start|>", "<|im_end|>")
CACHE_ENTRIES, CACHE_MAX_CHARACTERS = 2048, 2000  # cached texts, and the longest that is cached: 65 MB at most
_DEFAULT_NAMES = {"user": "user", "character": "assistant", "narrator": "Narrator"}
FramingPart = tuple[str, bool]
"""A piece of text, and whether control tokens may come out of it."""


class Tokenizer(Protocol):
    """The part of a backend that framing needs."""

    bos: int | None
    bos_text: str
    eos_text: str

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Token ids of `text`; control tokens only with `special`."""

    def piece(self, token: int) -> bytes:
        """The bytes of one token; control tokens give none."""


@dataclass(slots=True)
class Framing:
    """Frames messages as token ids. Roles: system (the first message), note (a system text further on), user,
    character and narrator (both the model's).
    """

    tokenizer: Tokenizer
    template: str
    style: FramingStyle = "auto"
    frames: dict[str, MessageFrame] = field(default_factory=dict)
    named_roles: bool = False
    is_script: bool = False
    _markers: frozenset[int] = frozenset()
    _after_text: dict[str, bool] = field(default_factory=dict)
    _adds_blank: bool = False
    _cached_tokens: Callable[[str, bool], Sequence[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._cached_tokens = lru_cache(CACHE_ENTRIES)(
            lambda text, special: array("i", self.tokenizer.tokenize(text, special))
        )
        first = self.tokenizer.tokenize("x", special=False)
        self._adds_blank = bool(first) and self.tokenizer.piece(first[0]).startswith(b" ")
        self._apply(self._parts())

    def segment(self, role: str, name: str, text: str) -> tuple[int, ...]:
        """One whole message: header, text, footer."""
        return self.segment_from_tokens(role, name, self.body(role, name, text))

    def body(self, role: str, name: str, text: str) -> tuple[int, ...]:
        """The tokens of the text alone, as in `segment`; the `prefix` of a reply that continues the message."""
        parts, blanks = self._opening(role, name)
        text = text.strip() if self.frames[role].trims else text
        return tuple(self._plain(blanks + text, after_text=self._ends_in_text(role, parts))) if text else ()

    def segment_from_tokens(self, role: str, name: str, tokens: Sequence[int]) -> tuple[int, ...]:
        """`segment` for tokens that the model wrote, which stay as they are."""
        return (*self.reply_header(role, name), *tokens, *self.footer(role))

    def reply_header(self, role: str, name: str) -> tuple[int, ...]:
        """The tokens before a message, never empty; a system message begins with BOS when the model wants one."""
        parts, _ = self._opening(role, name)
        tokens = self._write(parts, self._after_text[role])
        bos = self.tokenizer.bos
        if role == "system" and bos is not None and tokens[:1] != [bos]:
            tokens = [bos, *tokens]
        return tuple(tokens or self.tokenizer.tokenize("\n", special=False))

    def inner_tokens(self, text: str) -> tuple[int, ...]:
        """Tokens of text inside a message: no header, no footer, no control tokens."""
        return tuple(self._plain(text, after_text=True)) if text else ()

    def footer(self, role: str) -> tuple[int, ...]:
        """The tokens that close a message."""
        return tuple(self._write([(self.frames[role].after, True)], after_text=True))

    def stop_strings(self, names: Sequence[str], own: str = "") -> tuple[str, ...]:
        """Texts at which a reply must end: with ``Name: `` prefixes, the model may go on to speak for others; and
        where the framing is plain text, nothing else ends a reply that writes the next header itself. In a script that
        is true of every name, the speaker's `own` too.
        """
        headers = [self.frames[role].before for role in ("user", "character")]
        shown = [text for text in map(self._shown_marker, headers) if text]
        if self.named_roles:
            return tuple(dict.fromkeys(shown))
        if self.is_script:
            names = [*names, own, *SCRIPT_NAMES.values()]
        plain = [text for text in map(self._bare, headers) if len(text) > 2 and not self._control(text)]
        prefixes = [f"\n{_one_line(name)}:" for name in names if name.strip()]
        prefixes += ["\n" + SCRIPT.note.before] if self.is_script else []
        return tuple(dict.fromkeys([*prefixes, *plain, *shown]))

    # -- from text to tokens ----------------------------------------------------------------------------------------

    def _opening(self, role: str, name: str) -> tuple[list[FramingPart], str]:
        """The parts of a header, and the blanks at its end, which belong to the text."""
        frame, name = self.frames[role], _one_line(name) or (SCRIPT_NAMES.get(role, "") if self.is_script else "")
        if frame.named:
            middle = frame.middle.rstrip(" ")
            shown = _DEFAULT_NAMES[role] if not name or is_role_word(name) else name
            parts = [(frame.before, True), (shown, False), (middle, True)]
            return parts, frame.middle[len(middle) :]
        before = frame.before.rstrip(" ")
        blanks = frame.before[len(before) :]
        if not name or role not in _DEFAULT_NAMES:
            return [(frame.before, True)], ""
        return [(before, True), (f"{blanks}{name}:", False)], " "

    def _write(self, parts: Iterable[FramingPart], after_text: bool) -> list[int]:
        tokens: list[int] = []
        for text, special in parts:
            if text:
                tokens += self._tokenize(text, True, after_text) if special else self._plain(text, after_text)
                after_text = tokens[-1] not in self._markers
        return tokens

    def _plain(self, text: str, after_text: bool) -> list[int]:
        """Tokens of untrusted text. If ``<think>`` becomes one token even without `special`, it is taken apart."""
        tokens = self._tokenize(text, False, after_text)
        if ">" not in text and "]" not in text:
            return tokens
        marker_pieces = {piece for piece in map(self.tokenizer.piece, set(tokens)) if _is_marker(piece)}
        if not marker_pieces:
            return tokens
        texts = (piece.decode(errors="replace").strip() for piece in sorted(marker_pieces))
        markers = re.compile("|".join(map(re.escape, texts)))
        cuts = [0, *(match.start() + 1 for match in markers.finditer(text)), len(text)]
        pieces = [text[start:end] for start, end in pairwise(cuts)]
        return [token for i, piece in enumerate(pieces) for token in self._tokenize(piece, False, after_text or i > 0)]

    def _tokenize(self, text: str, special: bool, after_text: bool) -> list[int]:
        """`after_text`: other text precedes it directly, so the tokenizer must not add a blank before it."""
        if after_text and self._adds_blank:
            lead = self._tokens_of("\n", special)
            tokens = self._tokens_of("\n" + text, special)
            if tokens[: len(lead)] == lead:
                return tokens[len(lead) :]
        return self._tokens_of(text, special)

    def _tokens_of(self, text: str, special: bool) -> list[int]:
        if len(text) > CACHE_MAX_CHARACTERS:
            return self.tokenizer.tokenize(text, special)
        return list(self._cached_tokens(text, special))

    def _ends_in_text(self, role: str, parts: Sequence[FramingPart]) -> bool:
        tokens = self._write(parts, self._after_text[role])
        return tokens[-1] not in self._markers if tokens else self._after_text[role]

    # -- what the template says -------------------------------------------------------------------------------------

    def _split(self, template: str) -> TemplateFrames:
        return split_template(template, self.tokenizer.bos_text, self.tokenizer.eos_text)

    def _parts(self) -> TemplateFrames:
        if self.style == "script" or not self.template.strip():
            return SCRIPT
        try:
            return self._split(self.template)
        except CannotSplit as error:
            chatml = all(len(self.tokenizer.tokenize(text, special=True)) == 1 for text in _CHATML_MARKERS)
            instead = "ChatML is used" if chatml else "the story is framed as a script"
            log.warning("the model's chat template cannot be used message by message (%s): %s", error, instead)
            return self._split(CHATML) if chatml else SCRIPT

    def _apply(self, parts: TemplateFrames) -> None:
        self.is_script = parts is SCRIPT
        self._learn_markers(parts)
        self.named_roles = names_as_roles(parts, self.style) and self._keeps_markers(parts.named or parts.user)
        if self.style == "roles" and not self.named_roles:
            log.warning("the model's chat template takes no names as roles: `Name: ` stands before each text")
        user = parts.named if self.named_roles and parts.named else parts.user
        reply = parts.named if self.named_roles and parts.named else parts.assistant
        if reply.named:
            reply = replace(reply, middle=reply.middle + parts.empty_reasoning)
        else:
            reply = replace(reply, before=reply.before + parts.empty_reasoning)
        self.frames = {"system": parts.system, "note": parts.note, "user": user}
        self.frames |= dict.fromkeys(_ASSISTANTS, reply)
        closes = {
            "system": "",
            **dict.fromkeys(("user", "note"), reply.after),
            **dict.fromkeys(_ASSISTANTS, user.after),
        }
        self._after_text = {
            role: role != "system" and not self._closed_by_marker(text) for role, text in closes.items()
        }

    def _learn_markers(self, parts: TemplateFrames) -> None:
        """Collect the control tokens that only the framing may use."""
        frames = [parts.system, parts.note, parts.user, parts.assistant, *([parts.named] if parts.named else [])]
        texts = [text for frame in frames for text in (frame.before, frame.middle, frame.after)]
        markers = {token for text in (*texts, parts.empty_reasoning) for token in self._control(text)}
        for text in (self.tokenizer.bos_text, self.tokenizer.eos_text):
            tokens = self.tokenizer.tokenize(text, special=True) if text else []
            markers.update(tokens if len(tokens) == 1 else ())
        self._markers = frozenset(markers)

    def _control(self, text: str) -> list[int]:
        """The control tokens in a piece of framing."""
        tokens = self.tokenizer.tokenize(text, special=True) if text else []
        return [token for token in tokens if _is_marker(self.tokenizer.piece(token))]

    def _shown_marker(self, header: str) -> str:
        """The text of the control token that opens a header, where that token comes out as text (gpt-oss)."""
        tokens = self.tokenizer.tokenize(header, special=True) if header else []
        piece = self.tokenizer.piece(tokens[0]).decode(errors="replace").strip() if tokens else ""
        return piece if len(piece) > 2 and _is_marker(piece.encode()) and piece not in REASONING_MARKERS else ""

    def _keeps_markers(self, named: MessageFrame) -> bool:
        """Whether the role stands beside the control tokens and not inside one (Phi's ``<|user|>``)."""
        whole = self._control(f"{named.before}assistant{named.middle}")
        return whole == self._control(named.before) + self._control(named.middle)

    def _closed_by_marker(self, text: str) -> bool:
        tokens = self.tokenizer.tokenize(text, special=True)
        return bool(tokens) and tokens[-1] in self._markers

    def _bare(self, text: str) -> str:
        for token in (self.tokenizer.bos_text, self.tokenizer.eos_text):
            text = text.replace(token, "") if token else text
        return text.strip()


def _is_marker(piece: bytes) -> bool:
    text = piece.decode(errors="replace").strip()
    return not piece or (len(text) > 2 and _MARKER.fullmatch(text) is not None)


def _one_line(name: str) -> str:
    """The name on one line: a line break in it could fake a header."""
    return " ".join(name.split())
