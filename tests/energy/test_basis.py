import pytest

from archon.energy import Domain, basis_of, choose_basis
from archon.errors import MeterError, UsageError

GPU0 = Domain("gpu:a", "gpu", "counter", 0.1)
GPU1 = Domain("gpu:b", "gpu", "polled", 0.05)
CPU0 = Domain("cpu:0", "cpu", "counter", 0.001)
CPU1 = Domain("cpu:1", "cpu", "counter", 0.001)
DRAM0 = Domain("dram:0", "dram", "counter", 0.001)
SOC = Domain("soc", "soc", "polled", 0.1)
CPU_GUESS = Domain("cpu:all", "cpu", "estimated", 0.01)
DRAM_GUESS = Domain("dram:all", "dram", "estimated", 0.01)
GUESSES = [CPU_GUESS, DRAM_GUESS]
DENIED = "permission denied"


@pytest.mark.parametrize(
    ("domains", "wanted", "names", "label", "method"),
    [
        ([GPU0, *GUESSES], "auto", ["gpu:a"], "gpu", "counter"),
        ([GPU0, GPU1], "auto", ["gpu:a", "gpu:b"], "gpu", "polled"),
        ([GPU0, CPU0, DRAM_GUESS], "auto", ["gpu:a", "cpu:0"], "gpu+cpu", "counter"),
        ([CPU0, DRAM0], "auto", ["cpu:0", "dram:0"], "cpu+dram", "counter"),
        (GUESSES, "auto", ["cpu:all", "dram:all"], "cpu+dram estimated", "estimated"),
        (GUESSES, "cpu estimated", ["cpu:all"], "cpu estimated", "estimated"),
        (GUESSES, "cpu", ["cpu:all"], "cpu estimated", "estimated"),
        (
            [GPU0, *GUESSES],
            "gpu+cpu+dram",
            ["gpu:a", "cpu:all", "dram:all"],
            "gpu + cpu+dram estimated",
            "estimated",
        ),
        ([CPU0, *GUESSES], "cpu", ["cpu:0"], "cpu", "counter"),
        ([CPU0, *GUESSES], "cpu estimated", ["cpu:all"], "cpu estimated", "estimated"),
        (
            [CPU0, *GUESSES],
            "cpu+dram",
            ["cpu:0", "dram:all"],
            "cpu + dram estimated",
            "estimated",
        ),
        ([SOC, GPU0], "auto", ["soc"], "soc", "polled"),
        ([SOC, GPU0], "gpu + soc", ["soc", "gpu:a"], "gpu+soc", "polled"),
    ],
)
def test_the_basis_says_what_is_counted_and_how(domains, wanted, names, label, method):
    basis = choose_basis(domains, wanted)
    assert (list(basis.domains), basis.label, basis.method) == (names, label, method)
    assert choose_basis(domains, basis.label) == basis


@pytest.mark.parametrize(
    ("domains", "wanted", "message"),
    [
        (GUESSES, "gpu", r"reads cpu\+dram; use auto"),
        ([GPU0], "gpu+colour", "reads gpu; use auto"),
        ([GPU0], "", "reads gpu"),
        ([CPU0], "estimated", "reads cpu"),
        ([CPU0], "cpu estimated", "cpu is measured here"),
        ([GPU0, *GUESSES], "gpu+cpu estimated", "gpu is measured here"),
    ],
)
def test_a_basis_that_is_not_there_is_refused(domains, wanted, message):
    with pytest.raises(UsageError, match=message):
        choose_basis(domains, wanted)


@pytest.mark.parametrize(
    ("domains", "unreadable", "names", "left_out"),
    [
        # a laptop: counters that only root may read give way to the estimate
        (
            [CPU0, DRAM0, *GUESSES],
            ["cpu:0", "dram:0"],
            ["cpu:all", "dram:all"],
            ["cpu:0: permission denied", "dram:0: permission denied"],
        ),
        ([GPU0, CPU0, *GUESSES], ["cpu:0"], ["gpu:a"], ["cpu:0: permission denied"]),
        # half of the sockets is no measure of the work
        (
            [GPU0, CPU0, CPU1, DRAM0],
            ["cpu:1"],
            ["gpu:a", "dram:0"],
            ["cpu:0: another cpu rail cannot be read", "cpu:1: permission denied"],
        ),
        ([CPU0, DRAM0, DRAM_GUESS], ["dram:0"], ["cpu:0"], ["dram:0: permission denied"]),
        (
            [CPU0, DRAM0, *GUESSES],
            ["cpu:0"],
            ["cpu:all", "dram:all"],
            ["cpu:0: permission denied", "dram:0: memory alone says little"],
        ),
        # a GPU in use is never forgotten
        ([GPU0, GPU1, CPU0], ["gpu:b"], ["gpu:a", "gpu:b", "cpu:0"], []),
        ([GPU0, *GUESSES], ["gpu:a"], ["gpu:a"], []),
        # nothing can be read: the refusal will say why
        ([CPU0, DRAM0], ["cpu:0", "dram:0"], ["cpu:0", "dram:0"], []),
        (
            [GPU0, SOC, CPU_GUESS],
            [],
            ["soc"],
            ["gpu:a: may be part of soc; if it is not, use basis gpu+soc"],
        ),
    ],
)
def test_auto_leaves_out_what_cannot_be_read_and_says_so(domains, unreadable, names, left_out):
    basis = choose_basis(domains, unreadable=dict.fromkeys(unreadable, DENIED))
    assert list(basis.domains) == names
    assert list(basis.left_out) == left_out
    assert choose_basis(domains, basis.label).domains == basis.domains


def test_a_named_basis_is_counted_as_named():
    basis = choose_basis([CPU0, CPU1, *GUESSES], "cpu", {"cpu:1": DENIED})
    assert (basis.domains, basis.left_out) == (("cpu:0", "cpu:1"), ())


def test_the_basis_of_a_meter_goes_by_what_it_reads_now(replay):
    meter = replay({"gpu:a": 3.0, "cpu:0": None})
    basis = basis_of(meter)
    assert (basis.domains, basis.left_out) == (("gpu:a",), ("cpu:0: gone",))
    basis.require_readable(meter)
    assert basis_of(meter, "cpu").domains == ("cpu:0",)


def test_an_unreadable_basis_is_refused_with_the_reason(replay):
    meter = replay({"gpu:a": None, "cpu:0": 1.0})
    basis_of(meter, "cpu").require_readable(meter)
    for wanted in ("auto", "gpu"):
        with pytest.raises(MeterError, match="gpu:a cannot be read: gone"):
            basis_of(meter, wanted).require_readable(meter)
