"""`Weaver`: scores in, decisions, report and doubts out."""

import datetime
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import yaml

from archon.errors import UsageError
from weaver import Scores, Weaver, methods
from weaver.metrics import selection_accuracy
from weaver.synthetic import two_coin

RATES = {"tpr": (0.6, 0.85), "tnr": (0.6, 0.85)}


def draw(seed=0, labelled=0, **changes):
    shape = {"queries": 100, "samples": 8, "verifiers": 6, **RATES}
    scores, truth = two_coin(seed, **{**shape, **changes})
    labels = truth.correct.copy()
    labels[labelled:] = -1
    return Scores(
        scores.scores,
        scores.verifiers,
        answers=scores.answers,
        labels=labels,
        correct=truth.correct,
        cost_j=np.arange(float(len(scores.verifiers))),
    )


def test_arrays_and_scores_are_the_same_thing():
    scores = draw(labelled=10, answers="each")
    one = Weaver().fit(scores)
    other = Weaver().fit(scores.scores, scores.answers, scores.labels)
    np.testing.assert_array_equal(
        one.predict_proba(scores), other.predict_proba(scores.scores, scores.answers)
    )


def test_the_truth_is_never_read():
    scores = draw(labelled=10)
    lie = Scores(scores.scores, scores.verifiers, labels=scores.labels, correct=1 - scores.correct)
    assert (
        Weaver().fit(lie).to_json()
        == Weaver().fit(Scores(scores.scores, scores.verifiers, labels=scores.labels)).to_json()
    )


def test_it_decides_better_than_the_first_sample():
    scores = draw()
    decisions = Weaver().fit(scores).decide(scores)
    assert selection_accuracy(decisions.selected, scores.correct) > 0.7
    assert not decisions.abstain.any()


def test_the_report_names_rates_weights_and_joules():
    scores = draw(copies=0.9, verifiers=8)
    weaver = Weaver().fit(scores)
    assert [entry.name for entry in weaver.report_] == list(scores.verifiers)
    assert [entry.cost_j for entry in weaver.report_] == list(range(8))
    kept = [entry for entry in weaver.report_ if entry.dropped is None]
    assert len(kept) == 4
    assert all(0 < entry.tpr < 1 and 0 < entry.tnr < 1 for entry in kept)
    gone = [entry for entry in weaver.report_ if entry.dropped]
    assert all(entry.weight == 0 and entry.tpr is None for entry in gone)
    assert all("repeats" in entry.dropped for entry in gone)
    said = " ".join(weaver.doubts_)
    assert all(f"v0{index} and v0{index + 1} " in said for index in (0, 2, 4, 6))


def test_copies_are_kept_on_request_and_by_methods_that_may_have_them():
    scores = draw(copies=0.9, verifiers=8, labelled=50)
    for weaver in (Weaver(drop="none"), Weaver("logistic"), Weaver("mean")):
        assert all(entry.dropped is None for entry in weaver.fit(scores).report_)


def test_all_verifiers_constant_leaves_one():
    weaver = Weaver().fit(np.ones((3, 2, 4)))
    assert sum(entry.dropped is None for entry in weaver.report_) == 1
    assert np.isfinite(weaver.decide(np.ones((3, 2, 4))).probability).all()


def test_predictions_need_only_the_verifiers_in_use():
    scores = draw(copies=0.9, verifiers=8)
    weaver = Weaver().fit(scores)
    assert len(weaver.used_) == 4
    few = scores.only(weaver.used_)
    np.testing.assert_array_equal(weaver.predict_proba(few), weaver.predict_proba(scores))


@pytest.mark.parametrize("labelled", [0, 60])
def test_a_budget_leaves_out_verifiers_and_says_why(labelled):
    scores = draw(labelled=labelled, answers="each")
    whole = Weaver("em").fit(scores)
    weaver = Weaver("em", budget_j=20.0).fit(scores)
    assert whole.ladder_ is None
    assert weaver.used_ == weaver.ladder_.within(20.0).verifiers
    assert 0 < 8 * sum(entry.cost_j for entry in weaver.report_ if not entry.dropped) <= 20.0
    assert weaver.report_[0].dropped is None
    gone = {entry.name: entry for entry in weaver.report_ if entry.dropped}
    assert set(gone) == set(scores.verifiers) - set(weaver.used_)
    assert gone["v05"].dropped == "over the budget"
    assert gone["v05"].weight == 0
    rates = {entry.name: entry.tpr for entry in whole.report_}
    assert all(entry.tpr == rates[entry.name] for entry in weaver.report_ if not entry.dropped)


def test_the_ladder_can_be_asked_for_before_a_budget_is_set():
    scores = draw()
    found = Weaver("em").ladder(scores)
    assert found == Weaver("em", budget_j=1e6).fit(scores).ladder_
    assert found.everything.verifiers == scores.verifiers


def test_verifiers_may_come_in_another_order():
    scores = draw()
    weaver = Weaver().fit(scores)
    turned = scores.only(scores.verifiers[::-1])
    np.testing.assert_array_equal(weaver.predict_proba(turned), weaver.predict_proba(scores))
    with pytest.raises(UsageError, match="unknown verifier 'v05'"):
        weaver.predict_proba(scores.only(scores.verifiers[:-1]))


def test_labels_calibrate_the_selected_candidate():
    scores = draw(queries=400, labelled=300, difficulty=1.5)
    weaver = Weaver().fit(scores)
    assert weaver.calibrator_.kind == "isotonic"
    assert weaver.calibration_error_ < 0.1
    fresh = draw(7, queries=400, difficulty=1.5)
    decisions = weaver.decide(fresh)
    hits = fresh.correct[np.arange(400), decisions.selected]
    assert decisions.probability.mean() == pytest.approx(hits.mean(), abs=0.12)


def test_without_labels_nothing_is_claimed():
    weaver = Weaver().fit(draw())
    assert weaver.calibrator_.kind == "none"
    assert weaver.calibration_error_ is None


def test_abstaining_keeps_the_risk():
    scores = draw(queries=400, labelled=400, difficulty=1.5)
    weaver = Weaver().fit(scores)
    rates = []
    for risk in (0.3, 0.15, 0.0):
        decisions = weaver.decide(scores, risk=risk)
        hits = scores.correct[np.arange(400), decisions.selected][~decisions.abstain]
        assert not hits.size or 1 - hits.mean() <= risk + 0.05
        rates.append(decisions.abstain.mean())
    assert rates == sorted(rates)
    assert rates[-1] == 1


@pytest.mark.parametrize("labelled", [0, 60])
@pytest.mark.parametrize(
    ("method", "budget_j"), [("em", None), ("continuous", None), ("mean", None), ("mean", 40.0)]
)
def test_json_round_trip(method, labelled, budget_j):
    scores = replace(draw(labelled=labelled, copies=0.9, answers="each"), energy="cpu estimated")
    weaver = Weaver(method, seed=3, budget_j=budget_j).fit(scores)
    again = Weaver.from_json(weaver.to_json())
    assert again.to_json() == weaver.to_json()
    assert again.get_params() == weaver.get_params()
    assert again.report_ == weaver.report_
    assert again.used_ == weaver.used_
    assert again.energy_ == "cpu estimated"
    for risk in (None, 0.2):
        one, other = (w.decide(scores, risk=risk) for w in (weaver, again))
        np.testing.assert_array_equal(one.selected, other.selected)
        np.testing.assert_array_equal(one.probability, other.probability)
        np.testing.assert_array_equal(one.abstain, other.abstain)


@pytest.mark.parametrize("name", [kind.name for kind in methods.BUILT_IN if kind.name != "snorkel"])
def test_a_record_is_plain_data_of_every_method(name):
    scores = draw(labelled=40, answers="each")
    weaver = Weaver(name).fit(scores)
    record = weaver.to_record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert yaml.safe_load(yaml.safe_dump(record)) == record
    again = Weaver.from_record(record)
    assert again.to_record() == record
    np.testing.assert_array_equal(again.predict_proba(scores), weaver.predict_proba(scores))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(weaver=0),
        lambda r: r.pop("doubts"),
        lambda r: r.update(doubts="none"),
        lambda r: r.update(verifiers=["a"]),
        lambda r: r["verifiers"].reverse(),
        lambda r: r["report"][0].pop("tpr"),
        lambda r: r["report"][0].update(tpr="high"),
        lambda r: r["report"][0].update(dropped="I say so"),
        lambda r: r["report"][0].update(name=1),
        lambda r: r["params"].update(method="guess"),
        lambda r: r["params"].update(more=1),
        lambda r: r["params"].update(method="mean"),
        lambda r: r["params"].update(class_balance="half"),
        lambda r: r["params"].update(class_balance=True),
        lambda r: r["params"].update(class_balance=0.3),
        lambda r: r["params"].update(binarize=["median"]),
        lambda r: r["params"].update(binarize=False),
        lambda r: r["params"].update(budget_j="much"),
        lambda r: r["params"].update(budget_j=-1.0),
        lambda r: r["params"].update(budget_j=True),
        lambda r: r["params"].update(seed=1.0),
        lambda r: r["params"].update(seed=10**400),
        lambda r: r.update(energy=1.0),
        lambda r: r["model"]["fitted"].update(class_balance_=10**400),
        lambda r: r["model"]["fitted"].pop("cuts_"),
        lambda r: r["calibrator"].update(kind="magic"),
        lambda r: r.update(calibration_error=True),
        lambda r: r.update(selected_probability=[None]),
        lambda r: r.update(selected_probability=0.5),
        lambda r: r.update(selected_probability=[1.5]),
    ],
)
def test_json_that_lies(change):
    record = json.loads(Weaver("em").fit(draw()).to_json())
    change(record)
    with pytest.raises(UsageError):
        Weaver.from_json(json.dumps(record))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(calibration_error=math.nan),
        lambda r: r["model"]["fitted"].update(class_balance_=math.inf),
        lambda r: r["doubts"].append(datetime.date(2020, 1, 1)),
        lambda r: r["doubts"].append(r),
        lambda r: r.update(verifiers={"v00"}),
    ],
)
def test_a_record_may_hold_only_what_json_can(change):
    record = Weaver("em").fit(draw()).to_record()
    change(record)
    with pytest.raises(UsageError, match="not plain data"):
        Weaver.from_record(record)


def test_numbers_that_are_finite_and_give_no_probabilities():
    record = Weaver().fit(draw(continuous=True)).to_record()
    record["model"]["fitted"]["variance_"] = [0.0] * 6
    with pytest.raises(UsageError, match="give no probabilities"):
        Weaver.from_record(record)


@pytest.mark.parametrize("found", [None, 1, [], {}, "weaver"])
def test_what_is_no_record_at_all(found):
    with pytest.raises(UsageError, match="not a fitted weaver"):
        Weaver.from_record(found)


def test_what_is_wrong_is_said():
    x = draw().scores
    for params, says in (
        ({"method": "best"}, "unknown method"),
        ({"drop": "some"}, "drop 'some'"),
        ({"calibrate": "yes"}, "calibrate 'yes'"),
        ({"seed": -1}, "seed -1"),
        ({"class_balance": 1.0}, r"class_balance 1\.0"),
        ({"method": "em", "binarize": "no"}, "binarize 'no'"),
        ({"method": "mean", "binarize": "no"}, "binarize 'no'"),
        ({"budget_j": -1}, "budget_j -1"),
    ):
        with pytest.raises(UsageError, match=says):
            Weaver(**params).fit(x)
    with pytest.raises(UsageError, match="not fitted"):
        Weaver().select(x)
    with pytest.raises(UsageError, match="not fitted"):
        Weaver().to_json()
    with pytest.raises(UsageError, match="fitted with 6 verifiers"):
        Weaver().fit(x).select(x[:, :, :5])
    with pytest.raises(UsageError, match="belong in the Scores"):
        Weaver().fit(draw(), labels=np.ones((100, 8)))
    with pytest.raises(UsageError, match="not JSON"):
        Weaver.from_json("nothing")
    with pytest.raises(UsageError, match="not JSON"):
        Weaver.from_json("[" * 100_000)
