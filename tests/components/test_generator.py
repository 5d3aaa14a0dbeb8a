import pytest
from playing import MESSAGES, MODELS, completion, failed, play

from archon.components import Context, Drawn, State
from archon.components.generator import Generator
from archon.components.styles import STYLES
from archon.engines.base import Completion, Sampling
from archon.messages import Message
from archon.tasks import FreeTask


def test_every_sample_is_a_candidate_with_its_answer():
    played = play(Generator(model="m", samples=3), replies=["It is 4.0", "Hmm.", "2 + 2 = 5"])
    assert played.texts == ["It is 4.0", "Hmm.", "2 + 2 = 5"]
    assert [c.answer for c in played.candidates] == ["4", "hmm", "5"]
    assert [c.raw_answer for c in played.candidates] == ["4.0", "Hmm.", "5"]
    assert {c.origin for c in played.candidates} == {"m"}
    assert {(c.score, c.confidence, c.critique) for c in played.candidates} == {(None, None, None)}


def test_it_asks_once_for_all_its_samples_with_its_settings():
    generator = Generator(
        model="m", samples=2, temperature=0.9, top_p=0.8, max_tokens=40, stop=("END",)
    )
    (request,) = play(generator, replies=["4", "4"]).requests
    assert (request.model, request.samples) == ("identity of m", 2)
    assert request.sampling == Sampling(0.9, 40, 0.8, ("END",), logprobs=True)
    assert request.messages == MESSAGES


def test_a_style_is_appended_to_the_question_and_an_instruction_wins_over_it():
    for settings, asked in [
        ({"style": "number_only"}, STYLES["number_only"]),
        ({"style": "number_only", "instruction": "In words."}, "In words."),
    ]:
        (request,) = play(Generator(model="m", **settings), replies=["4"]).requests
        assert request.messages == (MESSAGES[0], Message("user", f"What is 2 + 2?\n\n{asked}"))
    (request,) = play(
        Generator(model="m", style="number_only", instruction=""), replies=["4"]
    ).requests
    assert request.messages == MESSAGES


def test_a_failed_call_yields_no_candidate_and_is_counted():
    played = play(Generator(model="m", samples=3), replies=["4", failed(), "5"])
    assert played.texts == ["4", "5"]
    assert played.counts == {"generation.failed": 1}
    nothing = play(Generator(model="m", samples=2), replies=[failed(), failed()])
    assert nothing.candidates == ()
    assert nothing.counts == {"generation.failed": 2}


def test_a_blank_reply_is_no_candidate_one_cut_off_is_and_both_are_counted():
    replies = ["", " \n", Completion("It is 4", "length", 5, 2), "It is 5"]
    played = play(Generator(model="m", samples=4), replies=replies)
    assert [one.text for one in played.candidates] == ["It is 4", "It is 5"]
    assert played.counts == {"generation.empty": 2, "generation.truncated": 1}


def test_confidence_is_the_mean_probability_of_the_tokens():
    (one,) = play(Generator(model="m"), replies=[completion("4", mean_logprob=-0.5)]).candidates
    assert one.confidence == 0.6065306597126334


def test_fewer_samples_of_a_longer_draw_are_its_first():
    context = Context(FreeTask(), MODELS)
    drawn = None
    for samples, texts in [(4, ["a", "b", "d"]), (2, ["a", "b"]), (3, ["a", "b"])]:
        steps = Generator(model="m", samples=samples).run(State("q1", MESSAGES), context)
        (request,) = next(steps)
        if drawn is None:
            drawn = Drawn(request, [completion(t) for t in "ab"] + [failed(), completion("d")])
        assert request.key == drawn.request.key
        with pytest.raises(StopIteration) as stop:
            steps.send([drawn])
        assert [candidate.text for candidate in stop.value.value] == texts
    assert context.counts == {"generation.failed": 1}  # it is one call


def test_the_prompt_of_a_query_is_made_once():
    context = Context(FreeTask(), MODELS)
    state = State("q1", MESSAGES)
    (first,) = next(Generator(model="m", style="steps").run(state, context))
    (again,) = next(Generator(model="m", style="steps").run(state, context))
    (other,) = next(Generator(model="m", style="plain").run(state, context))
    (elsewhere,) = next(Generator(model="m", style="steps").run(State("q2", MESSAGES[1:]), context))
    assert again is first
    assert len({first.key, other.key, elsewhere.key}) == 3
