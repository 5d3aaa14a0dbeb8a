from importlib.resources import files

import pytest

from archon.energy import Coefficients
from archon.errors import UsageError
from archon.search.config import load_config

GROUP = sorted(file.stem for file in files("conf").joinpath("hardware").iterdir())


@pytest.fixture
def study(tmp_path):
    """Write a study whose defaults begin with the given lines; return how to name it."""

    def write(defaults: str = "", energy: str = "{}") -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(
            f"defaults:\n{defaults}  - task: small_sums\n  - _self_\n"
            f"study: {{name: mine}}\nmodels: [smollm2-135m]\nenergy: {energy}\n"
        )
        return f"conf={path}"

    return write


def test_the_default_is_the_average_of_a_cloud(study):
    coefficients = load_config([study("  - hardware: cloud_average\n")]).energy.coefficients
    assert coefficients == load_config([study()]).energy.coefficients == Coefficients()


@pytest.mark.parametrize("name", GROUP)
def test_every_packaged_hardware_gives_cited_coefficients(study, name):
    coefficients = load_config([study(f"  - hardware: {name}\n")]).energy.coefficients
    assert 0 < coefficients.min_watts_per_vcpu < coefficients.max_watts_per_vcpu
    assert coefficients.source.startswith("Cloud Carbon Footprint")
    text = files("conf").joinpath("hardware", f"{name}.yaml").read_text()
    assert "https://" in text


def test_the_command_line_may_choose_it(study):
    config = load_config([study(), "+hardware=ice_lake"])
    assert config.energy.coefficients == Coefficients(
        0.77, 3.76, 0.392, "Cloud Carbon Footprint, Intel Ice Lake servers"
    )


def test_a_study_may_correct_single_numbers(study):
    name = study("  - hardware: epyc_4th_gen\n", "{coefficients: {dram_watts_per_gb: 0.2}}")
    coefficients = load_config([name, "energy.coefficients.source=my meter"]).energy.coefficients
    assert coefficients == Coefficients(0.74, 2.28, 0.2, "my meter")


def test_unknown_hardware_is_one_line(study):
    with pytest.raises(UsageError, match="abacus") as caught:
        load_config([study("  - hardware: abacus\n")])
    assert "\n" not in str(caught.value)
