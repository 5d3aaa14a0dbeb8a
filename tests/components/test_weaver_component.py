"""The weaver component: verdicts while unfitted, P(correct) once fitted, judges if needed."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playing import candidate, completion, failed, play
from pydantic import ValidationError

from archon.components.state import Candidate
from archon.components.weaver import Weaver
from archon.errors import UsageError
from archon.spec import PipelineSpec, ZooModel, parse_spec
from weaver import Weaver as Fitted

JUDGE = "judge(model=judge, reads=answer)"


def says(yes):
    """A judge's reply that gives yes this probability."""
    tops = (("Yes", math.log(yes)), ("No", math.log(1 - yes)))
    return completion("Yes", top_logprobs=(tops,))


def answers(said, **fields):
    return [candidate(text, **fields) for text in said]


def fitted(*verifiers, queries=60, good=0.9, **settings):
    """A weaver fitted to queries of four candidates, of whose answers the judge knows the right."""
    dice = random.Random(0)
    weaver = Weaver(verifiers=verifiers, **settings)
    rows, correct = [], []
    for _ in range(queries):
        said = [dice.choice(["right", "wrong", "worse"]) for _ in range(4)]
        sure = {text: good if text == "right" else 1 - good for text in said}
        judged = [says(sure[text]) for text in dict.fromkeys(said)] * (JUDGE in verifiers)
        rows.append(play(weaver, answers(said, confidence=0.5), judged).candidates)
        correct.append([text == "right" for text in said])
    return weaver.fit(rows, correct, seed=0)


# Before it is fitted


def test_unfitted_it_asks_every_verifier_and_keeps_all_candidates_with_their_verdicts():
    weaver = Weaver(verifiers=[JUDGE, "consistency"], threshold=0.0)
    played = play(weaver, answers(["a", "b", "a"]), [says(0.9), says(0.2)])
    assert weaver.needs_fit
    assert played.texts == ["a", "b", "a"]
    assert [one.verdicts for one in played.candidates] == [
        pytest.approx((0.9, 2 / 3)),
        pytest.approx((0.2, 1 / 3)),
        pytest.approx((0.9, 2 / 3)),
    ]
    assert all(one.score is None for one in played.candidates)


def test_a_verdict_that_cannot_be_read_is_missing_and_counted():
    weaver = Weaver(verifiers=[JUDGE, "consistency"])
    played = play(weaver, answers(["a", "b"]), [completion("Perhaps"), failed()])
    assert all(math.isnan(one.verdicts[0]) for one in played.candidates)
    assert played.counts == {"weaver.unparsed": 2}


def test_it_is_told_how_likely_the_writer_held_its_tokens():
    weaver = Weaver(verifiers=["logprob"])
    played = play(weaver, answers(["a", "b"], confidence=0.25))
    assert [one.verdicts for one in played.candidates] == [(math.log(0.25),)] * 2
    unsaid = play(weaver, answers(["a"])).candidates
    assert math.isnan(unsaid[0].verdicts[0])


# Fitting


def test_fitting_skips_queries_without_candidates_and_needs_one_with():
    weaver = Weaver(verifiers=["consistency"])
    rows = [play(weaver, answers("aab")).candidates, ()]
    assert not weaver.fit(rows, [[True, True, False], []], seed=0).needs_fit
    with pytest.raises(UsageError, match="no query it is to be fitted on got a candidate"):
        weaver.fit([(), ()], [[], []], seed=0)


def test_a_fitted_weaver_knows_a_good_judge_from_a_coin():
    weaver = fitted(JUDGE, "length")
    worth = {entry["name"]: entry["weight"] for entry in weaver.fitted["report"]}
    assert worth[JUDGE] > 5 * abs(worth["length"])


# Fitted


def test_the_likeliest_answer_is_kept_with_its_probability():
    played = play(fitted(JUDGE), answers(["wrong", "right", "wrong"]), [says(0.1), says(0.9)])
    assert played.texts == ["right"]
    (kept,) = played.candidates
    assert kept.score > 0.8
    assert kept.calibrated


UNFITTED = Weaver(verifiers=["consistency", "length"])
FREE = fitted("consistency", "length")


def test_top_k_keeps_different_answers_the_likeliest_first():
    weaver = fitted(JUDGE, top_k=2)
    played = play(weaver, answers(["right", "right", "wrong"]), [says(0.9), says(0.1)])
    assert played.texts == ["right", "wrong"]
    assert played.candidates[0].score > played.candidates[1].score


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=7))
def test_the_answer_is_the_one_the_fitted_weaver_selects(said):
    scores = np.array([[one.verdicts for one in play(UNFITTED, answers(said)).candidates]])
    best = int(Fitted.from_record(FREE.fitted).select(scores, np.array([said]))[0])
    assert play(FREE, answers(said)).texts == [said[best]]


def test_candidates_without_an_answer_are_told_apart_by_their_text():
    weaver = fitted("consistency", top_k=3)
    mute = [Candidate(text, None, None, "m") for text in ["hm", "well", "hm"]]
    assert sorted(play(weaver, mute).texts) == ["hm", "well"]


def test_judges_are_asked_only_below_the_threshold():
    free = play(fitted("consistency", JUDGE), answers(["right"] * 4), [says(0.9)])
    spared = play(fitted("consistency", JUDGE, threshold=0.0), answers(["right"] * 4))
    assert (len(free.requests), len(spared.requests)) == (1, 0)
    assert free.counts == {}
    assert spared.counts == {"weaver.settled": 1}
    asked = play(fitted("consistency", JUDGE, threshold=1.0), answers(["right"] * 4), [says(0.9)])
    assert asked.candidates == free.candidates


def test_a_judge_that_was_dropped_is_not_asked():
    always = "judge(model=m)"
    weaver = Weaver(verifiers=[JUDGE, always])
    dice, rows, correct = random.Random(0), [], []
    for _ in range(60):
        said = [dice.choice(["right", "wrong"]) for _ in range(3)]
        different = dict.fromkeys(said)
        replies = [says(0.9 if text == "right" else 0.2) for text in different]
        rows.append(
            play(weaver, answers(said), replies + [says(0.6) for _ in different]).candidates
        )
        correct.append([text == "right" for text in said])
    played = play(weaver.fit(rows, correct, seed=0), answers(["right"]), [says(0.9)])
    assert [request.model for request in played.requests] == ["identity of judge"]


def test_if_every_judge_fails_the_others_decide():
    weaver = fitted(JUDGE, "consistency")
    played = play(weaver, answers(["right", "right", "wrong"]), [failed(), failed()])
    assert len(played.candidates) == 1
    assert 0 <= played.candidates[0].score <= 1


def test_no_candidates_cost_no_calls():
    assert play(fitted(JUDGE), []).candidates == ()
    assert play(Weaver(verifiers=[JUDGE]), []).candidates == ()


WEAVER = fitted(JUDGE, "consistency", "length")


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=5), st.data())
def test_whatever_a_judge_says_one_candidate_leaves_with_a_probability(said, data):
    replies = [completion(data.draw(st.text(max_size=5))) for _ in dict.fromkeys(said)]
    (kept,) = play(WEAVER, answers(said), replies).candidates
    assert kept.text in said
    assert 0 <= kept.score <= 1


# In a spec


def spec_with(weaver):
    return PipelineSpec.model_validate(
        {
            "models": {"m": {"zoo": "writer"}, "judge": {"zoo": "critic"}},
            "layers": [
                [{"type": "generator", "model": "m", "samples": 3, "temperature": 0.5}],
                [weaver],
            ],
        }
    )


def test_a_spec_gives_the_fitted_numbers_back():
    weaver = fitted(JUDGE, "consistency", threshold=0.7)
    again = parse_spec(spec_with(weaver).to_yaml(), "here").layers[1][0]
    assert again == weaver
    said = answers(["wrong", "right", "wrong"])
    replies = [says(0.3), says(0.7)]
    assert play(again, said, replies).candidates == play(weaver, said, replies).candidates


def test_verifiers_name_aliases_of_the_spec():
    spec = spec_with(Weaver(verifiers=[JUDGE]))
    assert spec.used_models() == ("m", "judge")
    with pytest.raises(ValidationError, match=r"layers\[1\]\[0\] \(weaver\): no model 'nobody'"):
        spec_with(Weaver(verifiers=["judge(model=nobody)"]))


def test_identity_is_by_model_not_by_alias_and_without_fitted_numbers():
    weaver = fitted(JUDGE)
    assert spec_with(weaver).canonical == spec_with(Weaver(verifiers=[JUDGE])).canonical
    renamed = PipelineSpec(
        models={"m": ZooModel(zoo="writer"), "other": ZooModel(zoo="critic")},
        layers=(
            spec_with(weaver).layers[0],
            (Weaver(verifiers=["judge(model=other, reads=answer)"]),),
        ),
    )
    assert renamed.canonical == spec_with(weaver).canonical
    another = spec_with(Weaver(verifiers=["judge(model=m, reads=answer)"]))
    assert another.canonical != spec_with(weaver).canonical


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"verifiers": []}, "at least 1 item"),
        ({"verifiers": ["juge(model=m)"]}, "unknown verifier 'juge': did you mean judge"),
        ({"verifiers": ["length", "length"]}, "verifier length stands there twice"),
        ({"verifiers": ["entropy"]}, "needs top_logprobs, which candidates do not carry"),
        ({"verifiers": ["length"], "method": "magic"}, "magic"),
        ({"verifiers": ["length"], "threshold": 1.5}, "less than or equal to 1"),
        ({"verifiers": ["length"], "top_k": 0}, "greater than or equal to 1"),
        ({"verifiers": ["length"], "fitted": {}}, "model: not a fitted weaver"),
        ({"verifiers": ["length"], "fitted": WEAVER.fitted}, "fitted to the verifiers"),
        (
            {
                "verifiers": [v.name for v in WEAVER.verifiers],
                "method": "logistic",
                "fitted": WEAVER.fitted,
            },
            "fitted by the method continuous, not by logistic",
        ),
    ],
)
def test_what_is_wrong_with_a_weaver_is_said(settings, message):
    with pytest.raises(ValidationError, match=message):
        Weaver.model_validate({"type": "weaver", **settings})
