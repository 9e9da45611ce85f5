"""One chat on an engine, as the engine's benches drive it: a transcript that becomes wanted segments."""

import itertools
from dataclasses import replace

from engine import Done, Engine, Framing, ReplySpec, SamplerSettings, Segment, TurnRequest

GREEDY = SamplerSettings(temperature=0, repeat_penalty=1.0)
PROSE = (
    "The lamp turns, the rain comes in from the west, and nobody on the island sleeps before the boat is home. "
    "She counts the flashes as other people count sheep, and writes a line into the log for every ship that answers. "
)


class BenchStory:
    """A persona of about `n_persona` tokens, then messages; `turn` keeps what was written."""

    def __init__(self, engine: Engine, name: str, n_persona: int = 120, own: str = "") -> None:
        self.engine, self.name = engine, name
        self.framing = Framing(engine.backend, engine.backend.chat_template)
        words = engine.backend.tokenize(own + PROSE * (n_persona // 20 + 1), special=False)[:n_persona]
        text = b"".join(engine.backend.piece(token) for token in words).decode(errors="ignore")
        self.segments = [Segment("persona", self.framing.segment("system", "", text))]
        self.forgotten: set[str] = set()
        self._ids = itertools.count()
        ends = [token for token in range(engine.backend.n_vocab) if engine.backend.is_end(token)]
        self.endless = replace(GREEDY, logit_bias=tuple((token, -1000.0) for token in ends))

    def moved_to(self, engine: Engine) -> None:
        """Go on with another engine over the same blocks."""
        self.engine = engine
        self.framing = Framing(engine.backend, engine.backend.chat_template)

    def say(self, text: str, role: str = "user", name: str = "Ann", ephemeral: bool = False) -> Segment:
        """Add a message."""
        segment = Segment(f"{role}:{next(self._ids)}", self.framing.segment(role, name, text), ephemeral)
        self.segments.append(segment)
        return segment

    def fill(self, n_tokens: int) -> None:
        """Add messages until the story is about `n_tokens` long."""
        while sum(len(segment.tokens) for segment in self.segments) < n_tokens:
            self.say(PROSE)

    def evict(self, n_segments: int) -> None:
        """Forget the oldest messages."""
        self.forgotten.update(segment.name for segment in self.segments[1 : 1 + n_segments])
        del self.segments[1 : 1 + n_segments]

    def request(
        self, max_tokens: int = 24, name: str = "Mira", role: str = "character", **changes: object
    ) -> TurnRequest:
        """What the next turn asks for."""
        header, footer = self.framing.reply_header(role, name), self.framing.footer(role)
        spec = ReplySpec(f"{role}:{next(self._ids)}", header, footer, self.endless, max_tokens)
        return TurnRequest(self.name, tuple(self.segments), replace(spec, **changes), frozenset(self.forgotten))

    def turn(self, **options: object) -> Done:
        """One turn; the reply becomes part of the story unless it is taken back."""
        return self.play(self.request(**options))

    def play(self, request: TurnRequest) -> Done:
        """Run a request made by `request`."""
        *_, done = self.engine.submit(request).events(timeout_s=60)
        assert isinstance(done, Done), done
        reply = request.reply
        if reply is not None and reply.keep:
            self.segments.append(Segment(reply.name, (*reply.header, *done.tokens, *reply.footer)))
        return done
