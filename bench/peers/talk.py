"""What everybody is asked about: one character, chats of a given length, and all of it as the model's tokens.

The texts are made up of the same few clauses, drawn by a seed, so that no two chats have the same words and every run
has them again. It refuses to know who answers.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import llama_cpp as llama

from engine import Framing
from engine.backends.llama import LlamaBackend, LlamaOptions
from worker.prompt.persona import Cast, persona_texts
from worker.prompt.turn_kinds import PART_KINDS, PartInput

USER, CHAR, NARRATOR = "Ann", "Mara", "Narrator"
LORE_WORD, LORE = "zephyr", "The Zephyr is a small blue boat that belongs to nobody and always comes back by itself."
WHO = ("the keeper", "an old sailor", "the baker", "her sister", "a stranger", "the pilot", "a child", "the priest")
DID = ("waits for", "speaks of", "dreams about", "has lost", "looks after", "paints", "sings to", "remembers")
WHAT = ("the red lamp", "a letter", "the last ferry", "her cat", "the storm", "an empty house", "the bell", "a map")
WHEN = ("every morning", "when it rains", "after the harvest", "in the third winter", "at noon", "by candlelight")


def prose(seed: int, n_sentences: int) -> str:
    """Sentences that no other seed has in this order."""
    draw = random.Random(seed)
    parts = ([draw.choice(words) for words in (WHO, DID, WHAT, WHEN)] for _ in range(n_sentences))
    return " ".join(f"{' '.join(part)}.".capitalize() for part in parts)


CARD = {
    "name": CHAR,
    "description": "{{char}} keeps a lighthouse; she is dry and kind, and knows everybody. " + prose(0, 26),
    "scenario": "A storm has closed the harbour. The stove is lit and the great lamp turns above the kitchen.",
    "first_mes": "*She sets a mug before you.* Now then. What brings you out here?",
    "character_book": {
        "name": "The harbour",
        "scan_depth": 1,
        "entries": [{"keys": [LORE_WORD], "content": LORE, "enabled": True, "insertion_order": 1, "extensions": {}}],
    },
}


def asked(kind: str) -> str:
    """What a narrator, or whoever drafts a line, is told to do: everybody is told the same."""
    story = SimpleNamespace(character=SimpleNamespace(locale="en"), messages=())
    return PART_KINDS[kind](PartInput(story, Cast(CHAR, USER), None, "")).instruction


@dataclass(frozen=True)
class Line:
    """One message: who says it (`role` as the engine frames it), and its tokens, frame and all."""

    role: str
    name: str
    text: str
    tokens: tuple[int, ...]


class Words:
    """The model's tokens, for whoever counts them or sends them. Decodes nothing."""

    def __init__(self, model: Path) -> None:
        self.backend = LlamaBackend(model, LlamaOptions(n_cells=64, n_sequences=2, n_batch=32))
        self.framing = Framing(self.backend, self.backend.chat_template)
        self.persona = Line("system", "", "".join(persona_texts(CARD, Cast(CHAR, USER))), ())
        self.persona = self.line("system", "", self.persona.text)

    def close(self) -> None:
        """Free the model."""
        self.backend.close()

    def line(self, role: str, name: str, text: str) -> Line:
        """A message of this text."""
        return Line(role, name, text, self.framing.segment(role, name, text))

    def written(self, role: str, name: str, text: str, tokens: Sequence[int]) -> Line:
        """A reply, as the tokens that the model chose."""
        return Line(role, name, text, self.framing.segment_from_tokens(role, name, tokens))

    def header(self, role: str, name: str) -> tuple[int, ...]:
        """What is read before the first token of a reply."""
        return self.framing.reply_header(role, name)

    def ends(self) -> list[int]:
        """The tokens that end a reply."""
        return [token for token in range(self.backend.n_vocab) if self.backend.is_end(token)]

    def text(self, tokens: Iterable[int]) -> str:
        """Tokens as text; control tokens give none."""
        return b"".join(self.backend.piece(token) for token in tokens).decode(errors="ignore")

    def written_out(self, tokens: Iterable[int]) -> str:
        """Tokens as text, with the control tokens in the letters of the template."""
        return b"".join(self.backend.piece(token) or self._control(token) for token in tokens).decode(errors="ignore")

    def _control(self, token: int) -> bytes:
        return llama.llama_vocab_get_text(self.backend._vocab, token)

    def message(self, seed: int, n_tokens: int) -> str:
        """A message that comes to `n_tokens` with its frame, or one or two less."""
        room = n_tokens - len(self.framing.segment("user", USER, ""))
        tokens = self.backend.tokenize(prose(seed, n_tokens // 8 + 1), special=False)[:room]
        return self.text(tokens).strip()

    def history(self, seed: int, n_tokens: int, each: int = 50) -> list[Line]:
        """Messages back and forth until persona and messages are `n_tokens` long; the last one is the character's."""
        lines, total = [], len(self.persona.tokens)
        speakers = (("user", USER), ("character", CHAR))
        while total + each <= n_tokens or len(lines) % 2:
            role, name = speakers[len(lines) % 2]
            lines.append(self.line(role, name, self.message(1000 * (seed + 1) + len(lines), each)))
            total += len(lines[-1].tokens)
        return lines
