"""The cascade: cheap stages first, the next only where one is not sure enough."""

import math

import pytest
from playing import MESSAGES, MODELS, completion, converse
from pydantic import ValidationError

from archon.components import Context, Drawn, State
from archon.components.cascade import Cascade
from archon.components.generator import Generator
from archon.components.verifier import Verifier
from archon.components.vote import Vote
from archon.components.weaver import Weaver
from archon.spec import PipelineSpec, parse_spec
from archon.tasks import FreeTask

CHEAP = Generator(model="m", samples=3, temperature=0.5, style="number_only")
DEAR = Generator(model="judge", temperature=0.0, style="steps")


def replies(cheap, dear="9", yes=0.5, confidence=0.5):
    """Somebody who gives these samples when asked the cheap way, and answers or judges else."""

    def answer(asked):
        prompt = asked.messages[-1].content
        if "Answer Yes or No" in prompt:
            tops = (("Yes", math.log(yes)), ("No", math.log(1 - yes)))
            return [completion("Yes", top_logprobs=(tops,))]
        said = cheap if "number only" in prompt else [dear]
        return [completion(text, mean_logprob=math.log(confidence)) for text in said]

    return answer


def run(cascade, answer):
    return converse(cascade, State("q1", MESSAGES), answer)


def by_agreement(threshold, **settings):
    return Cascade(
        stages=[[[CHEAP]], [[DEAR]]], thresholds=[threshold], accept="agreement", **settings
    )


def test_a_stage_that_agrees_with_itself_is_the_last():
    played = run(by_agreement(0.6), replies(["4", "4", "5"]))
    assert played.texts == ["4", "4", "5"]
    assert len(played.requests) == 1
    assert played.counts == {"cascade.stage 1": 1}


def test_a_stage_that_does_not_is_followed_by_the_next():
    played = run(by_agreement(0.7), replies(["4", "4", "5"]))
    assert played.texts == ["9"]
    assert played.counts == {"cascade.stage 2": 1}


def test_candidates_that_were_not_accepted_can_be_kept():
    played = run(by_agreement(0.7, keep=True), replies(["4", "4", "5"]))
    assert played.texts == ["9", "4", "4", "5"]


def test_confidence_is_that_in_the_commonest_answer():
    cascade = Cascade(stages=[[[CHEAP]], [[DEAR]]], thresholds=[0.8], accept="confidence")
    assert run(cascade, replies(["4", "4", "5"], confidence=0.9)).texts == ["4", "4", "5"]
    assert run(cascade, replies(["4", "4", "5"], confidence=0.7)).texts == ["9"]


def test_score_is_what_the_stages_judge_says_of_its_answer():
    judged = [[Generator(model="m", temperature=0.0, style="number_only")], [Verifier(model="m")]]
    cascade = Cascade(stages=[judged, [[DEAR]]], thresholds=[0.8])
    assert run(cascade, replies(["4"], yes=0.9)).texts == ["4"]
    assert run(cascade, replies(["4"], yes=0.7)).texts == ["9"]


def test_a_stage_without_a_candidate_is_never_accepted():
    def answer(request):
        ok = "number only" not in request.messages[-1].content
        return [completion("9", error=None if ok else "HTTP 500")] * request.samples

    assert run(by_agreement(0.0), answer).texts == ["9"]


def test_calls_are_accounted_under_their_stage():
    steps = by_agreement(0.9).run(State("q1", MESSAGES), Context(FreeTask(), MODELS))
    (first,) = steps.send(None)
    drawn = Drawn(first.request, [completion(text) for text in "456"])
    (second,) = steps.send([drawn])
    assert (first.place, second.place) == ("stage 1 generator", "stage 2 generator")


# Fitting


def test_weavers_inside_are_fitted_one_after_the_other():
    woven = [[CHEAP], [Weaver(verifiers=["consistency"])]]
    again = [[DEAR], [Weaver(verifiers=["logprob"])]]
    cascade = Cascade(stages=[woven, again], thresholds=[0.5])
    assert cascade.needs_fit
    first = run(cascade, replies(["4", "4", "5"]))
    assert [len(one.verdicts) for one in first.candidates] == [1, 1, 1]
    half = cascade.fit([first.candidates] * 3, [[True, True, False]] * 3, seed=0)
    assert not half.stages[0][1][0].needs_fit
    assert half.needs_fit
    second = run(half, replies(["4", "4", "4"]))  # which the first stage is sure enough of
    assert second.texts == ["9"]
    whole = half.fit([second.candidates] * 3, [[True]] * 3, seed=0)
    assert not whole.needs_fit
    assert run(whole, replies(["4", "4", "5"])).candidates[0].score is not None


# In a spec


def spec(cascade, *more):
    return PipelineSpec.model_validate(
        {
            "models": {"m": {"zoo": "small"}, "judge": {"zoo": "big"}},
            "layers": [[cascade], *more],
        }
    )


def test_a_spec_gives_it_back():
    made = spec(by_agreement(0.7, keep=True), [Vote()])
    again = parse_spec(made.to_yaml(), "here")
    assert again == made
    assert "temperature: 0.5" in made.to_yaml()
    assert "top_p" not in made.to_yaml()
    assert made.used_models() == ("m", "judge")


def test_identity_is_by_model_also_inside():
    other = Cascade(
        stages=[[[CHEAP]], [[DEAR.model_copy(update={"model": "m"})]]],
        thresholds=[0.7],
        accept="agreement",
    )
    assert spec(by_agreement(0.7)).canonical != spec(other).canonical


def test_how_many_may_leave_decides_whether_a_vote_makes_sense():
    greedy = Cascade(stages=[[[DEAR]], [[DEAR]]], thresholds=[0.7], accept="confidence")
    with pytest.raises(ValidationError, match="only one candidate can arrive"):
        spec(greedy, [Vote()])
    spec(greedy.model_copy(update={"keep": True}), [Vote()])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages": [[[CHEAP]]], "thresholds": []}, "at least 2 items"),
        ({"stages": [[[CHEAP]], [[DEAR]]], "thresholds": []}, "0 thresholds for 2 stages"),
        (
            {"stages": [[[CHEAP]], [[DEAR]]], "thresholds": [math.nan], "accept": "agreement"},
            "thresholds.0",
        ),
        (
            {"stages": [[[DEAR]], [[CHEAP]]], "thresholds": [0.5], "accept": "agreement"},
            r"stages\[0\]: one candidate always agrees with itself",
        ),
        (
            {
                "stages": [[[CHEAP]], [[CHEAP.model_copy(update={"samples": 8})]]],
                "thresholds": [0.5],
                "accept": "agreement",
                "keep": True,
            },
            "keep: two stages draw the same samples",
        ),
        ({"stages": [[[Vote()]], [[DEAR]]], "thresholds": [0.5]}, "a vote cannot come first"),
        ({"stages": [[[CHEAP]], [[DEAR]]], "thresholds": [0.5]}, r"stages\[0\]: nothing in its"),
        (
            {
                "stages": [[[by_agreement(0.5)]], [[DEAR]]],
                "thresholds": [0.5],
                "accept": "agreement",
            },
            "a cascade in a cascade",
        ),
    ],
)
def test_what_is_wrong_with_a_cascade_is_said(settings, message):
    with pytest.raises(ValidationError, match=message):
        Cascade.model_validate({"type": "cascade", **settings})
