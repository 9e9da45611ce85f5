"""The planner: which cells of a session stay (prefix match), which go, and what must be read. Pure.

`held` is what the KV cache holds, `wanted` what a turn asks for. A legal plan keeps a subsequence of `held` that is a
prefix of `wanted`; a held segment that stands before the last kept one may only be skipped when dropping it from the
middle is allowed (it is ephemeral or was evicted). At the point where the two part, the longest common run of tokens of
one more held segment is kept, whatever its name: that is what makes a retry or an edit cost only the tokens that
differ.

Why taking the earliest match is optimal: names are unique within a session, so each wanted segment can match at most
one held segment, and keeping more of the prefix never costs a token. Tested against a brute-force search.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from engine.segments import Segment


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep the first `n_tokens` of held segment `held`; it becomes wanted segment `wanted`."""

    held: int
    wanted: int
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove all cells of held segment `held`."""

    held: int


@dataclass(frozen=True, slots=True)
class Decode:
    """Read wanted segment `wanted` from its token `start` on."""

    wanted: int
    start: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The moves, in the order in which they are made: every held segment is kept or dropped, then the rest is read."""

    keep: tuple[Keep, ...]
    drop: tuple[Drop, ...]
    decode: tuple[Decode, ...]

    def n_evaluated(self, wanted: Sequence[Segment]) -> int:
        """Tokens that this plan reads."""
        return sum(len(wanted[move.wanted].tokens) - move.start for move in self.decode)


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two runs share from their start."""
    shorter = min(len(left), len(right))
    if left[:shorter] == right[:shorter]:
        return shorter
    return next(index for index in range(shorter) if left[index] != right[index])


def plan(
    held: Sequence[Segment],
    wanted: Sequence[Segment],
    forgotten: AbstractSet[str] = frozenset(),
    pinned: int = 1,
    can_drop: bool = True,
) -> Plan:
    """The cheapest legal way from `held` to `wanted`.

    The first `pinned` held segments are never dropped from the middle. `can_drop=False` is for models whose cells
    cannot be removed from the middle: there the plan is the plain common prefix.
    """
    keeps = _full_matches(held, wanted, forgotten, pinned, can_drop)
    partial = _partial_match(held, wanted, keeps, forgotten, pinned, can_drop)
    start = 0
    if partial is not None:
        keeps.append(partial)
        start = partial.n_tokens
    decode = decode_from(wanted, len(keeps) - (partial is not None), start)
    kept = {move.held for move in keeps}
    return Plan(tuple(keeps), tuple(Drop(i) for i in range(len(held)) if i not in kept), decode)


def decode_from(wanted: Sequence[Segment], index: int, start: int = 0) -> tuple[Decode, ...]:
    """Read everything from token `start` of wanted segment `index` on."""
    first = [Decode(index, start)] if index < len(wanted) and start < len(wanted[index].tokens) else []
    return (*first, *(Decode(behind, 0) for behind in range(index + 1, len(wanted))))


def decode_behind(held: Sequence[Segment], wanted: Sequence[Segment]) -> tuple[Decode, ...]:
    """Read what is missing behind `held`, whose tokens are the beginning of `wanted`."""
    if not held:
        return decode_from(wanted, 0)
    last, n_tokens = len(held) - 1, len(held[-1].tokens)
    return decode_from(wanted, last, n_tokens) if n_tokens < len(wanted[last].tokens) else decode_from(wanted, last + 1)


def _full_matches(
    held: Sequence[Segment], wanted: Sequence[Segment], forgotten: AbstractSet[str], pinned: int, can_drop: bool
) -> list[Keep]:
    keeps: list[Keep] = []
    after = 0
    for index, segment in enumerate(wanted):
        for candidate in _reachable(held, after, forgotten, pinned, can_drop):
            if held[candidate].name == segment.name and held[candidate].tokens == segment.tokens:
                keeps.append(Keep(candidate, index, len(segment.tokens)))
                after = candidate + 1
                break
        else:
            break
    return keeps


def _partial_match(
    held: Sequence[Segment],
    wanted: Sequence[Segment],
    keeps: Sequence[Keep],
    forgotten: AbstractSet[str],
    pinned: int,
    can_drop: bool,
) -> Keep | None:
    index = len(keeps)
    if index == len(wanted):
        return None
    best: Keep | None = None
    after = keeps[-1].held + 1 if keeps else 0
    for candidate in _reachable(held, after, forgotten, pinned, can_drop):
        n_tokens = common_prefix(held[candidate].tokens, wanted[index].tokens)
        if n_tokens > (best.n_tokens if best else 0):
            best = Keep(candidate, index, n_tokens)
    return best


def _reachable(
    held: Sequence[Segment], after: int, forgotten: AbstractSet[str], pinned: int, can_drop: bool
) -> Iterator[int]:
    """Held segments that can be the next kept one: everything between `after` and them may be dropped."""
    for index in range(after, len(held)):
        yield index
        droppable = can_drop and index >= pinned and (held[index].ephemeral or held[index].name in forgotten)
        if not droppable:
            return
