import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from archon.errors import ArchonError, UsageError
from archon.tasks.math_equivalence import MathWorker
from archon.tasks.scorers import scorer_named


@pytest.fixture(scope="module")
def worker():
    worker = MathWorker(cpu_limit_s=5.0)
    yield worker
    worker.close()


@pytest.mark.parametrize(
    ("scorer", "answer", "reference", "score"),
    [
        ("exact", '"Paris."', "paris", 1.0),
        ("exact", "Paris, France", "Paris", 0.0),
        ("exact", "7.0", "7", 0.0),
        ("numeric", "7.0", "7", 1.0),
        ("numeric", "1/3", "0.3333333333", 0.0),
        ("numeric:0.01", "0.333", "1/3", 1.0),
        ("numeric:0.01", "-0.333", "1/3", 0.0),
        ("numeric:0.01", "0.35", "1/3", 0.0),
        ("numeric:0.5", "0.1", "0", 0.0),
        ("numeric", "seven", "7", 0.0),
        ("choice", "(b)", "B", 1.0),
        ("choice", "C", "B", 0.0),
        ("contains", "It is Paris, in France", "paris", 1.0),
        ("contains", "12", "1", 0.0),
        ("contains", "C++ it is", "c++", 1.0),
        ("math", "0.5", r"\frac{1}{2}", 1.0),
        ("math", "x^2+2x+1", "(x+1)^2", 1.0),
        ("math", "x^2+2x", "(x+1)^2", 0.0),
    ],
)
def test_scores(scorer, answer, reference, score):
    assert scorer_named(scorer).score(answer, reference) == score


@pytest.mark.parametrize(
    ("scorer", "kind"),
    [
        ("exact", "text"),
        ("numeric", "number"),
        ("choice", "choice"),
        ("contains", "text"),
        ("math", "math"),
    ],
)
def test_every_scorer_says_what_answers_look_like(scorer, kind):
    assert scorer_named(scorer).kind == kind


@pytest.mark.parametrize("name", ["exakt", "numeric:", "numeric:x", "numeric:-1", "exact:1"])
def test_an_unknown_scorer_is_refused_with_the_names_there_are(name):
    with pytest.raises(UsageError, match=f'"{name}": use one of exact, numeric, choice, contains'):
        scorer_named(name)


def test_math_without_its_package_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(UsageError, match=r"pip install 'archon-ipw\[tasks\]'"):
        scorer_named("math")


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
        (r"\{2, 1\}", r"\{1, 2\}"),
        ("1 + x", "x + 1"),
        ("x = 5", "5"),
    ],
)
def test_equivalent_formulas(worker, answer, reference):
    assert worker.equivalent(answer, reference)


@pytest.mark.parametrize("answer", ["((", "}{", "", "two\nlines", "\N{SNOWMAN}"])
def test_a_malformed_formula_is_not_equal(worker, answer):
    assert not worker.equivalent(answer, "4")


def test_comparing_works_from_any_thread(worker):
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda n: worker.equivalent(f"x+{n}", f"{n % 2}+x"), range(8))
    assert list(results) == [True, True] + [False] * 6


def test_an_endless_comparison_is_cut_off_and_the_next_one_works():
    worker = MathWorker(cpu_limit_s=0.3)
    assert not worker.equivalent("9^{9^{9^{9}}}", "1")
    assert worker.equivalent("1+1", "2")
    worker.close()


def test_a_dead_process_is_reported_and_the_next_comparison_starts_another():
    worker = MathWorker(cpu_limit_s=5.0)
    assert worker.equivalent("1+1", "2")
    os.kill(worker._process.pid, signal.SIGKILL)
    with pytest.raises(ArchonError, match="ended with status -9 while comparing"):
        worker.equivalent("1+1", "2")
    assert worker.equivalent("1+1", "2")
    worker.close()
