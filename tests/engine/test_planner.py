"""The planner against a brute-force search over every legal plan."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from engine.kv.planner import Decode, Drop, Keep, common_prefix, plan
from engine.segments import Segment

NAMES = ["a", "b", "c", "d", "e", "f"]


@st.composite
def segments(draw):
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    return [
        Segment(name, tuple(draw(st.lists(st.integers(0, 1), min_size=1, max_size=3))), draw(st.booleans()))
        for name in names
    ]


def may_skip(held, indexes, pinned, forgotten, can_drop):
    return all(can_drop and i >= pinned and (held[i].ephemeral or held[i].name in forgotten) for i in indexes)


def brute_force(held, wanted, forgotten, pinned, can_drop):
    """Fewest tokens to evaluate over all subsequences of held that are legal to keep."""
    total = sum(len(s.tokens) for s in wanted)
    best = total
    for size in range(min(len(held), len(wanted)) + 1):
        for kept in combinations(range(len(held)), size):
            skipped = [i for i in range(kept[-1] if kept else 0) if i not in kept]
            if not may_skip(held, skipped, pinned, forgotten, can_drop):
                continue
            whole = kept[:-1]
            if any((held[h].name, held[h].tokens) != (w.name, w.tokens) for h, w in zip(whole, wanted, strict=False)):
                continue
            kept_tokens = sum(len(held[h].tokens) for h in whole)
            if kept:
                kept_tokens += common_prefix(held[kept[-1]].tokens, wanted[size - 1].tokens)
            best = min(best, total - kept_tokens)
    return best


@given(segments(), segments(), st.sets(st.sampled_from(NAMES)), st.integers(0, 2), st.booleans())
def test_evaluates_the_fewest_tokens_that_the_rules_allow(held, wanted, forgotten, pinned, can_drop):
    found = plan(held, wanted, forgotten, pinned, can_drop)
    assert found.n_evaluated(wanted) == brute_force(held, wanted, forgotten, pinned, can_drop)


@given(segments(), segments(), st.sets(st.sampled_from(NAMES)), st.integers(0, 2), st.booleans())
def test_leads_to_exactly_the_wanted_tokens(held, wanted, forgotten, pinned, can_drop):
    found = plan(held, wanted, forgotten, pinned, can_drop)
    tokens = [held[move.held].tokens[: move.n_tokens] for move in found.keep]
    for move in found.decode:
        if move.start:
            tokens[move.wanted] += wanted[move.wanted].tokens[move.start :]
        else:
            tokens.append(wanted[move.wanted].tokens)
    assert tokens == [segment.tokens for segment in wanted]


@given(segments(), segments(), st.sets(st.sampled_from(NAMES)), st.integers(0, 2), st.booleans())
def test_skips_only_what_may_be_skipped(held, wanted, forgotten, pinned, can_drop):
    found = plan(held, wanted, forgotten, pinned, can_drop)
    last = found.keep[-1].held if found.keep else -1
    assert may_skip(held, [m.held for m in found.drop if m.held < last], pinned, forgotten, can_drop)
    assert sorted([m.held for m in found.keep] + [m.held for m in found.drop]) == list(range(len(held)))


P, U1, C1, U2 = (Segment(name, tuple(range(i * 10, i * 10 + 5))) for i, name in enumerate(["p", "u1", "c1", "u2"]))


def test_send_reads_only_the_new_message():
    assert plan([P, U1, C1], [P, U1, C1, U2]).decode == (Decode(3, 0),)


def test_eviction_drops_from_the_middle_and_reads_nothing():
    found = plan([P, U1, C1, U2], [P, U2], forgotten={"u1", "c1"})
    assert found.drop == (Drop(1), Drop(2))
    assert found.decode == ()


def test_a_delete_by_a_person_reads_again_from_there():
    assert plan([P, U1, C1, U2], [P, C1, U2]).decode == (Decode(1, 0), Decode(2, 0))


def test_an_edit_keeps_the_tokens_before_it():
    edited = Segment("u2", (*U2.tokens[:3], 99))
    found = plan([P, U1, C1, U2], [P, U1, C1, edited])
    assert found.keep[-1] == Keep(3, 3, 3)
    assert found.decode == (Decode(3, 3),)


def test_the_persona_is_never_dropped():
    assert plan([P, U1], [U1], forgotten={"p"}, pinned=1).decode == (Decode(0, 0),)
