"""Segments: the named runs of tokens that a session is made of; and TurnRequest, which says which of them a turn wants.

Pure values; nothing here knows a KV cell. A caller never says how to change the KV cache, it says which segments it
wants.
"""

from dataclasses import dataclass, field

from engine.errors import RequestError
from engine.sampling import SamplerSettings


@dataclass(frozen=True, slots=True)
class Segment:
    """A named run of token ids.

    `name` is unique within a session (``character:<message>.<alternative>``). An `ephemeral` segment (an old narration,
    lore, an author's note) may be withdrawn from the middle of a session without reading again what followed it.
    """

    name: str
    tokens: tuple[int, ...]
    ephemeral: bool = False


@dataclass(frozen=True, slots=True)
class ReplySpec:
    """How the reply segment is written: `header` is read, then tokens are sampled, then `footer` closes it.

    `prefix` holds the tokens that a reply already has when it is continued; `keep=False` takes the whole reply back
    token-exactly when it is done (suggest, status).
    """

    name: str
    header: tuple[int, ...]
    footer: tuple[int, ...]
    sampling: SamplerSettings = field(default_factory=SamplerSettings)
    max_tokens: int = 300
    stop: tuple[str, ...] = ()
    prefix: tuple[int, ...] = ()
    keep: bool = True


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One turn on one session.

    `wanted` is the whole prompt, oldest first; its first `pinned` segments are never evicted. `forgotten` names the
    held segments whose disappearance is an eviction: their cells may be dropped from the middle. Everything else that
    is missing from `wanted` was removed by a person, and the text behind it is read again. `reply=None` only reads.
    `use_blocks=False` reads everything again (a second attempt after a crash).
    """

    session: str
    wanted: tuple[Segment, ...]
    reply: ReplySpec | None = None
    forgotten: frozenset[str] = frozenset()
    pinned: int = 1
    use_blocks: bool = True

    def everything(self) -> tuple[Segment, ...]:
        """The prompt, and the beginning of the reply as a last segment."""
        reply = self.reply
        return self.wanted + ((Segment(reply.name, reply.header + reply.prefix),) if reply else ())

    def n_tokens_at_most(self) -> int:
        """Cells that this turn can come to need, in tokens."""
        prompt = sum(len(segment.tokens) for segment in self.wanted)
        reply = self.reply
        return prompt + (len(reply.header + reply.prefix + reply.footer) + reply.max_tokens if reply else 0)

    def check(self, n_context: int, n_vocab: int) -> None:
        """Raise RequestError when no session of `n_context` tokens of such a vocabulary could hold this turn."""
        names = [segment.name for segment in self.wanted] + ([self.reply.name] if self.reply else [])
        if len(set(names)) != len(names):
            raise RequestError("two segments of one session have the same name: each name must be unique")
        if any(not segment.tokens for segment in self.wanted):
            raise RequestError("a segment without tokens cannot be held: leave it out")
        if not self.wanted:
            raise RequestError("a turn needs at least one segment to read")
        if self.reply and not self.reply.header:
            raise RequestError("a reply needs a header of at least one token: it is where sampling starts")
        if self.reply and any(not 0 <= token < n_vocab for token, _ in self.reply.sampling.logit_bias):
            raise RequestError(f"logit_bias names a token that the model does not have: its ids go up to {n_vocab - 1}")
        if self.n_tokens_at_most() > n_context:
            raise RequestError(
                f"this turn can need {self.n_tokens_at_most()} tokens but the session's context holds {n_context}: "
                "evict older segments, shorten the text, or lower the reply's maximum"
            )
