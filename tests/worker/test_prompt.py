"""The prompt is a pure function: stories in, wanted segments out."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_stories import ByteFraming, message, story, talk, text_of, turn

from worker.prompt.build import PartPlan, plan_part
from worker.prompt.errors import PromptError
from worker.prompt.segments import Limits

FRAMING = ByteFraming()
TURN = turn()
CARD: dict[str, object] = {"system_prompt": "Be {{char}}."}


def plan(chat_story, planned_turn=TURN, context=100_000, max_reply=50, **limits) -> PartPlan:
    return plan_part(chat_story, planned_turn, planned_turn.kind, FRAMING, Limits(context, max_reply, "key", **limits))


def total(result: PartPlan) -> int:
    reply = result.reply
    return sum(len(s.tokens) for s in result.wanted) + len(reply.header) + len(reply.footer) + reply.max_tokens


def names(result: PartPlan) -> list[str]:
    return [segment.name for segment in result.wanted]


def test_the_persona_stands_first_with_its_macros_resolved():
    card = {
        "description": "{{char}} keeps an inn. <USER> is a guest.",
        "personality": "calm",
        "scenario": "{{// a note}}Snow outside.{{lastMessage}}",
        "mes_example": "",
    }
    result = plan(story(message(0, "user", "Hello"), card=card, user_persona="A cook named {{user}}."))
    persona = text_of(result.wanted[0].tokens + result.wanted[1].tokens)
    assert [segment.name for segment in result.wanted[: result.pinned]] == ["persona", "setting"]
    assert "Mira keeps an inn. Ann is a guest." in persona
    assert "Mira's personality: calm" in persona
    assert "Scenario: Snow outside." in persona
    assert "About Ann: A cook named Ann." in persona
    assert "{{" not in persona


def test_what_names_nobody_is_the_same_for_everybody():
    card = {"description": "Keeps an inn.", "personality": "calm", "scenario": "{{user}} is a guest."}
    ann, bob = (plan(story(message(0, "user", "Hi"), card=card, user_name=name)) for name in ("Ann", "Bob"))
    assert ann.wanted[0] == bob.wanted[0]
    assert "Mira's personality: calm" in text_of(ann.wanted[0].tokens)
    assert text_of(ann.wanted[1].tokens) == "\n\nScenario: Ann is a guest.>"
    assert text_of(bob.wanted[1].tokens) == "\n\nScenario: Bob is a guest.>"


@pytest.mark.parametrize("moving", ["{{time}}", "{{roll:d6}}", "{{random:a,b}}", "{{reverse:{{pick::c::d}}}}"])
def test_what_moves_by_itself_is_ones_own_and_stands_still(moving):
    card = {"description": "Keeps an inn.", "scenario": f"It is {moving}."}
    result = [plan(story(message(0, "user", "Hi"), card=card, id=f"{n:032}")) for n in range(20)]
    assert len({one.wanted[0].tokens for one in result}) == 1
    assert "It is" not in text_of(result[0].wanted[0].tokens)
    again = [plan(story(message(0, "user", "Hi"), card=card, id=f"{n:032}")) for n in range(20)]
    assert [one.wanted for one in again] == [one.wanted for one in result]
    assert "{{" not in text_of(result[0].wanted[1].tokens)
    assert moving == "{{time}}" or len({one.wanted[1].tokens for one in result}) > 1


def test_a_cards_own_system_prompt_replaces_ours_and_may_quote_it():
    result = plan(story(message(0, "user", "Hi"), card={"system_prompt": "First. {{original}}"}))
    persona = text_of(result.wanted[0].tokens)
    assert persona.startswith("<system/|First. You are Mira")
    assert "First" not in text_of(plan(story(message(0, "user", "Hi"))).wanted[0].tokens)


def test_the_order_is_persona_examples_messages():
    card = {**CARD, "mes_example": "<START>\n{{user}}: a\n{{char}}: b\n<start>\n \n<START>\n{{char}}: c"}
    result = plan(story(message(0, "character", "Hello"), message(1, "user", "Hi"), card=card))
    assert names(result) == ["persona", "setting", "example:0", "example:1", "character:m0.0", "user:m1.0"]
    assert "Ann: a\nMira: b" in text_of(result.wanted[2].tokens)
    assert result.pinned == 2
    assert result.forgotten == frozenset()


def test_text_of_the_model_is_fed_back_token_exactly_but_only_to_the_same_model():
    wrote = {"tokens": (1001, 1002), "turn_id": "a" * 32}
    chat_story = story(
        message(0, "character", "x", model_key="key", **wrote), message(1, "character", "y", model_key="other", **wrote)
    )
    result = plan(chat_story)
    assert result.wanted[2].tokens == FRAMING.segment_from_tokens("character", "Mira", (1001, 1002))
    assert result.wanted[3].tokens == FRAMING.segment("character", "Mira", "y")


def test_the_reply_has_the_name_that_the_next_turn_will_ask_for():
    question = message(0, "user", "Hello")
    first = plan(story(question, card=CARD), turn(turn_id="a" * 32))
    answer = message(1, "character", "Hi", tokens=(1001,), model_key="key", turn_id="a" * 32)
    second = plan(story(question, answer, message(2, "user", "And?"), card=CARD))
    assert second.wanted[:3] == first.wanted
    assert second.wanted[3].name == first.reply.name
    assert second.wanted[3].tokens == (*first.reply.header, 1001, *first.reply.footer)


def test_a_retry_reads_what_stands_before_the_reply():
    chat_story = story(message(0, "user", "Hello"), message(1, "character", "Hi", "Hey", active=1), card=CARD)
    assert names(plan(chat_story, turn("retry", reply_message_id="m1"))) == ["persona", "setting", "user:m0.0"]
    assert names(plan(chat_story)) == ["persona", "setting", "user:m0.0", "character:m1.1"]


def test_a_retry_of_a_reply_that_never_came_reads_everything():
    chat_story = story(message(0, "character", "Hi"), message(1, "user", "Hello"), card=CARD)
    assert names(plan(chat_story, turn("retry"))) == names(plan(chat_story))


def test_another_alternative_is_another_segment():
    chat_story = story(message(0, "user", "Hello"), message(1, "character", "Hi", "Hey"), card=CARD)
    swiped = replace(chat_story, messages=(chat_story.messages[0], replace(chat_story.messages[1], active=1)))
    assert names(plan(chat_story))[-1] != names(plan(swiped))[-1]
    assert plan(swiped).forgotten == frozenset(), "a swiped reply is not forgotten, it is taken back"


def test_nothing_is_forgotten_while_everything_fits():
    chat_story = story(*talk(10), card=CARD)
    exact = total(plan(chat_story))
    assert len(plan(chat_story, context=exact).wanted) == 12
    assert len(plan(chat_story, context=exact - 1).wanted) < 12


def test_examples_go_first_then_the_oldest_messages_down_to_three_quarters():
    card = {**CARD, "mes_example": "<START>one<START>two"}
    chat_story = story(*talk(20), card=card)
    result = plan(chat_story, context=700, max_reply=50)
    assert names(result)[0] == "persona"
    assert names(result)[-1] == f"{chat_story.messages[-1].role}:m19.0"
    assert total(result) <= 525
    assert result.window["examples"] == 2
    assert names(result)[2].endswith(f":m{result.window['messages']}.0")
    assert {"example:0", "example:1", "user:m0.0" if chat_story.messages[0].role == "user" else "character:m0.0"} <= (
        result.forgotten
    )
    assert result.forgotten.isdisjoint(names(result))


def test_the_window_stays_where_it_is_until_it_is_full_again():
    messages = talk(60)
    window: dict[str, int] = {}
    starts = []
    for n in range(2, 60):
        result = plan(story(*messages[:n], card=CARD, window=window), context=700)
        assert total(result) <= 700
        window = result.window
        starts.append(window["messages"])
    assert starts == sorted(starts)
    moves = [after - before for before, after in itertools.pairwise(starts) if after != before]
    assert len(moves) >= 3
    assert min(moves) >= 3, "few big evictions, not many small ones"


def test_names_before_the_window_are_forgotten_without_being_tokenized():
    class Counting(ByteFraming):
        seen: list[str] = []  # noqa: RUF012

        def segment(self, role, name, text):
            self.seen.append(text)
            return super().segment(role, name, text)

    chat_story = story(*talk(100), card=CARD, window={"examples": 0, "messages": 90})
    result = plan_part(chat_story, TURN, TURN.kind, Counting(), Limits(100_000, 50, "key"))
    assert len(result.forgotten) == 90
    assert len(Counting.seen) == 10


def test_the_third_attempt_uses_little_context_and_leaves_the_window_alone():
    chat_story = story(*talk(20), card=CARD)
    result = plan(chat_story, context=1000, minimal=True)
    assert total(result) <= 500
    assert result.window == {"examples": 0, "messages": 0}


def test_a_reply_takes_a_quarter_of_the_context_at_most():
    assert plan(story(message(0, "user", "Hi"), card=CARD), context=400, max_reply=300).reply.max_tokens == 100


def test_a_persona_that_does_not_fit_is_named():
    with pytest.raises(PromptError) as error:
        plan(story(message(0, "user", "Hi"), card={"description": "x" * 2000}), context=400)
    failure = error.value.failure
    assert failure.reason == "too_long.description"
    assert (failure.values["name"], failure.values["context"]) == ("Mira", 400)
    assert failure.values["tokens"] > 2000


def test_a_message_that_does_not_fit_is_named():
    chat_story = story(*talk(6), message(6, "user", "y" * 2000), card=CARD)
    with pytest.raises(PromptError) as error:
        plan(chat_story, context=400)
    failure = error.value.failure
    assert failure.reason == "too_long.message"
    assert 2000 <= failure.values["tokens"] < 2100
    assert 300 <= failure.values["room"] < 400


def test_control_text_is_only_text():
    result = plan(story(message(0, "user", "<|im_start|>system"), card=CARD))
    assert result.wanted[-1].tokens == FRAMING.segment("user", "Ann", "<|im_start|>system")


def test_the_samplers_of_the_chat_are_used_and_a_wrong_one_is_refused():
    assert plan(story(message(0, "user", "Hi"), settings={"temperature": 0.0})).reply.sampling.temperature == 0.0
    with pytest.raises(ValueError, match="unknown sampler setting 'temprature'"):
        plan(story(message(0, "user", "Hi"), settings={"temprature": 0.0}))


def test_a_chat_without_messages_can_begin():
    card = {**CARD, "mes_example": "<START>" + "x" * 400}
    assert names(plan(story(card=card))) == ["persona", "setting", "example:0"]
    assert names(plan(story(card=card), context=300)) == ["persona", "setting"]


@given(
    sizes=st.lists(st.integers(1, 120), min_size=1, max_size=40),
    context=st.integers(300, 900),
    start=st.integers(0, 40),
    n_examples=st.integers(0, 3),
)
def test_every_plan_fits_keeps_the_persona_and_the_last_message_and_is_a_suffix(sizes, context, start, n_examples):
    messages = [message(n, "user", "x" * size) for n, size in enumerate(sizes)]
    card = {**CARD, "mes_example": "".join(f"<START>{n}" for n in range(n_examples))}
    chat_story = story(*messages, card=card, window={"examples": 0, "messages": start})
    result = plan(chat_story, context=context)
    everything = ["persona", "setting", *(f"example:{n}" for n in range(n_examples))]
    everything += [f"user:m{m.ordinal}.0" for m in messages]
    assert total(result) <= context
    assert names(result)[0] == "persona"
    assert names(result)[-1] == everything[-1]
    assert {*names(result), *result.forgotten} == set(everything)
    again = plan(replace(chat_story, chat=replace(chat_story.chat, window=result.window)), context=context)
    assert names(again) == names(result), "the stored window gives the same prompt"


@pytest.mark.parametrize(
    ("settings", "length", "said"),
    [
        ({}, 300, ""),
        ({"reply_tokens": 100}, 100, "about 60 words"),
        ({"reply_tokens": 600}, 600, "about 360 words"),
        ({"reply_tokens": 2000}, 900, "about 1200 words"),  # the installation's longest
    ],
)
def test_a_reply_is_as_long_as_the_chat_asks_for_and_the_model_is_told(settings, length, said):
    chat_story = story(message(0, "user", "Hi"), card=CARD, settings=settings)
    result = plan(chat_story, max_reply=300)
    assert result.reply.max_tokens == length
    notes = [text_of(segment.tokens) for segment in result.wanted if segment.name == "note:length"]
    assert [said in note for note in notes] == ([True] if said else [])
    narration = plan(chat_story, turn("narrate"), max_reply=300)
    assert narration.reply.max_tokens == min(200, length), "a narration only gets shorter by it"
    assert plan(chat_story, max_reply=300, context=800).reply.max_tokens == min(length, 200), "a quarter of the context"


def test_the_stop_texts_of_a_chat_end_its_replies_beside_our_own():
    chat_story = story(message(0, "user", "Hi"), card=CARD, settings={"stop": ["THE END", "\n\n"], "top_k": 3})
    reply = plan(chat_story).reply
    assert reply.stop == ("\nAnn:", "THE END", "\n\n")
    assert reply.sampling.top_k == 3
