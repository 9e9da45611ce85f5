"""Random chains of everything that can happen to a session, against a session that never moved.

Used by the tests (a few chains) and by the soak (thousands). A chain sends, edits, deletes, swipes, evicts, injects and
withdraws lore, suggests, lets other chats push it out of the cells, and restarts the engine. After each move both
engines are asked for the probabilities of the next token at the same point of the same segment history.

`Reference.same`: the history is replayed in one session that is never parked, shifted or restarted.
`Reference.fresh`: everything is read anew each time (what models whose state is a whole must equal).
"""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from engine import Done, Engine, ReplySpec, SamplerSettings, Segment, Text, Ticket, TurnRequest
from engine.backend import Backend, Cut

PROBE = SamplerSettings(temperature=0, repeat_penalty=1.0, top_n=20)


class Reference(Enum):
    """What a chain is compared with."""

    same = "same"
    fresh = "fresh"


@dataclass(slots=True)
class Difference:
    """How far subject and reference were apart: largest difference of a probability, and disagreements of the first.

    `n_read_again`: probes of a chat that has forgotten something and of which the subject has read more since than the
    reference: what is read again sees less than it saw at first, so the two are not the same text any more and nothing
    is compared. With a window that happens where a cut leaves no whole window before it.
    """

    n_probes: int = 0
    n_exact: int = 0
    n_first_differs: int = 0
    largest: float = 0.0
    n_read_again: int = 0

    def note(self, subject: dict[int, float], reference: dict[int, float]) -> None:
        self.n_probes += 1
        self.n_exact += subject == reference
        apart = max(abs(p - subject.get(token, 0.0)) for token, p in reference.items())
        self.largest = max(self.largest, apart)
        first, second = sorted(reference.values(), reverse=True)[:2]
        tie = first - second <= 2 * apart
        self.n_first_differs += (
            max(subject, key=subject.__getitem__) != max(reference, key=reference.__getitem__) and not tie
        )


class Apart:
    """A reference of one engine per session: nothing ever shares its cells."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._engines: dict[str, Engine] = {}

    def submit(self, request: TurnRequest) -> Ticket:
        """To the session's own engine."""
        if request.session not in self._engines:
            self._engines[request.session] = self._make()
        return self._engines[request.session].submit(request)

    def close(self) -> None:
        """All of them."""
        for engine in self._engines.values():
            engine.close()


@dataclass(slots=True)
class Chat:
    """One story as segments of random tokens."""

    name: str
    segments: list[Segment]
    forgotten: set[str] = field(default_factory=set)
    has_hole: bool = False
    read_again: bool = False


class Chain:
    """`make_subject` builds the engine under test over the same folder each time; `tokens` draws n random token ids."""

    def __init__(
        self,
        make_subject: Callable[[], Engine],
        reference: Engine | Apart,
        tokens: Callable[[random.Random, int], tuple[int, ...]],
        seed: int,
        kind: Reference = Reference.same,
        n_chats: int = 4,
        n_personas: int = 1,
    ) -> None:
        self._make, self.reference, self.subject = make_subject, reference, make_subject()
        self._tokens, self.random, self._kind = tokens, random.Random(seed), kind
        self._ids = itertools.count()
        self._room = self.subject.options.context * 3 // 4
        self.difference, self.n_moves, self.n_restarts = Difference(), 0, 0
        personas = [self._segment("persona", 40, seed + n) for n in range(n_personas)]
        self.chats = [Chat(f"{seed}-{i}", [personas[i % n_personas]]) for i in range(n_chats)]

    def step(self) -> None:
        """One random move on one random chat, then a probe."""
        chat = self.random.choice(self.chats)
        moves = [
            self.send,
            self.send,
            self.send,
            self.edit,
            self.delete,
            self.swipe,
            self.evict,
            self.lore,
            self.suggest,
        ]
        self.random.choice(moves)(chat)
        if self.random.random() < 0.05:
            self.restart()
        while sum(len(segment.tokens) for segment in chat.segments) > self._room:
            self._forget(chat, 1, 3)
        self.n_moves += 1
        self.probe(chat)

    def switch(self) -> None:
        """Go on in another chat, and nothing else."""
        chat = self.random.choice(self.chats)
        if len(chat.segments) < 8:
            self.send(chat)
        self.n_moves += 1
        self.probe(chat)

    def run(self, n_moves: int) -> Difference:
        """Several steps; closes the subject at the end."""
        try:
            for _ in range(n_moves):
                self.step()
        finally:
            self.subject.close()
        return self.difference

    # -- moves ------------------------------------------------------------------------------------------------------

    def send(self, chat: Chat) -> None:
        chat.segments += [self._segment("user", 20), self._segment("character", 40)]

    def edit(self, chat: Chat) -> None:
        if len(chat.segments) > 1:
            at = self.random.randrange(1, len(chat.segments))
            old = chat.segments[at].tokens
            kept = old[: self.random.randrange(len(old))]
            chat.segments[at] = replace(chat.segments[at], tokens=kept + self._draw(1 + self.random.randrange(9)))

    def delete(self, chat: Chat) -> None:
        if len(chat.segments) > 2:
            del chat.segments[self.random.randrange(1, len(chat.segments))]

    def swipe(self, chat: Chat) -> None:
        if len(chat.segments) > 2:
            chat.segments[-1] = self._segment("character", 40)

    def evict(self, chat: Chat) -> None:
        if len(chat.segments) > 4:
            self._forget(chat, 1, self.random.randrange(2, len(chat.segments) - 1))

    def lore(self, chat: Chat) -> None:
        chat.has_hole |= any(segment.ephemeral for segment in chat.segments[:-1])
        chat.segments = [segment for segment in chat.segments if not segment.ephemeral]
        chat.segments.append(replace(self._segment("lore", 15), ephemeral=True))

    def suggest(self, chat: Chat) -> None:
        """Writes a few tokens and takes them back."""
        spec = self._reply("user", max_tokens=6)
        self._ask_both(chat, spec)

    def restart(self) -> None:
        self.n_restarts += 1
        self.subject.close()
        self.subject = self._make()

    def _forget(self, chat: Chat, start: int, end: int) -> None:
        chat.has_hole = True
        chat.forgotten.update(segment.name for segment in chat.segments[start:end])
        del chat.segments[start:end]

    # -- asking -----------------------------------------------------------------------------------------------------

    def probe(self, chat: Chat) -> None:
        """Compare what both engines think comes next."""
        subject, reference = self._ask_both(chat, self._reply("probe", max_tokens=1))
        if chat.read_again:
            self.difference.n_read_again += 1
        else:
            self.difference.note(subject, reference)

    def _ask_both(self, chat: Chat, spec: ReplySpec) -> tuple[dict[int, float], dict[int, float]]:
        """What subject and reference think comes first of the reply."""
        subject, n_subject = self._ask(self.subject, self._request(chat, spec, self.subject))
        reference, n_reference = self._ask(self.reference, self._request(chat, spec, self.reference))
        chat.read_again |= self._kind is Reference.same and chat.has_hole and n_subject > n_reference
        return subject, reference

    @staticmethod
    def _ask(engine: Engine | Apart, request: TurnRequest) -> tuple[dict[int, float], int]:
        """The likeliest first tokens of the reply, and how many tokens were read for it."""
        events = list(engine.submit(request).events(timeout_s=60))
        assert isinstance(events[-1], Done), events[-1]
        tops = [top for event in events if isinstance(event, Text) for top in event.top]
        return dict(tops[0]), events[-1].stats.n_evaluated

    def _request(self, chat: Chat, spec: ReplySpec, engine: Engine | Apart) -> TurnRequest:
        use_blocks = engine is self.subject or self._kind is Reference.same
        return TurnRequest(chat.name, tuple(chat.segments), spec, frozenset(chat.forgotten), use_blocks=use_blocks)

    def _reply(self, name: str, max_tokens: int) -> ReplySpec:
        ends = tuple((t, -1000.0) for t in range(self.subject.backend.n_vocab) if self.subject.backend.is_end(t))
        settings = replace(PROBE, logit_bias=ends)
        return ReplySpec(f"{name}:{next(self._ids)}", self._fixed(3), (), settings, max_tokens, keep=False)

    def _segment(self, kind: str, most: int, seed: int | None = None) -> Segment:
        rng = self.random if seed is None else random.Random(seed)
        name = kind if kind == "persona" else f"{kind}:{next(self._ids)}"
        return Segment(name, self._tokens(rng, most if seed is not None else 1 + rng.randrange(most)))

    def _draw(self, n: int) -> tuple[int, ...]:
        return self._tokens(self.random, n)

    def _fixed(self, n: int) -> tuple[int, ...]:
        return self._tokens(random.Random(0), n)


class WindowChain(Chain):
    """A window may be read again from further back than other cells. So there are no edits behind a hole (what is read
    again sees less then), and only the newest messages are deleted: one from the middle leaves a hole, which is closed
    where all behind it is read again, and a window of four tokens sees a hole of one.
    """

    def edit(self, chat: Chat) -> None:
        if not chat.has_hole:
            super().edit(chat)

    def delete(self, chat: Chat) -> None:
        if not chat.has_hole and len(chat.segments) > 2:
            del chat.segments[self.random.randrange(1, len(chat.segments)) :]


def chain_of(backend: Backend) -> type[Chain]:
    """The chains that are compared on such a model."""
    return WindowChain if backend.cut is Cut.WINDOW else Chain
