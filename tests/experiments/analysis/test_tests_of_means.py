"""The tests that verdicts rest on keep their promise; those that were turned down do not."""

from pathlib import Path

import pytest
from scipy import stats

from experiments.analysis.exact_tests import ALPHA
from tests.experiments import false_rates
from tests.experiments.false_rates import OF_MEANS, OF_MEDIANS, SHAPES, SIZES, bootstrap_t, rates, sign_flips

DATA_SETS = 2000
QUANTILE = stats.binom.ppf(0.999, DATA_SETS, ALPHA / 2) / DATA_SETS  # 99.9 % of what the promise allows


@pytest.fixture(autouse=True)
def _fewer_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(false_rates, "DATA_SETS", DATA_SETS)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", SIZES)
def test_sign_tests_are_wrong_in_a_fortieth_at_most(shape: str, n: int) -> None:
    draw, _, median = SHAPES[shape]
    for test in OF_MEDIANS.values():
        assert max(rates(test, draw, median, n)) <= QUANTILE


@pytest.mark.parametrize("test", [sign_flips, bootstrap_t])
def test_tests_of_a_mean_are_wrong_much_more_often_where_a_few_runs_lie_at_the_bottom(
    test: false_rates.Test,
) -> None:
    draw, mean, _ = SHAPES["5 % of one arm at the bottom"]
    assert rates(test, draw, mean, 30)[1] > 0.1


def test_the_page_has_the_table_of_the_command() -> None:
    page = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text(encoding="utf-8")
    rows = [row.split(" | ") for row in page.splitlines() if row.startswith("| ")]
    assert [row[2:] for row in rows if row[0] == "| differences"] == [
        [*OF_MEANS, *list(OF_MEDIANS)[:-1], "sign test of a margin |"]
    ]
    shown = [(row[0].removeprefix("| "), row[1]) for row in rows if row[0].removeprefix("| ") in SHAPES]
    assert shown == [(shape, str(n)) for shape in SHAPES for n in SIZES]
