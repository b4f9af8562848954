"""Other people's software, as far as it is installed: what fits, fits, and the rest is refused with its reason.

pip install --constraint constraints.txt --editable ".[dev,peers]"
"""

from pathlib import Path

import pytest
from packaging.version import Version

from tests.peers import agents, readers, worlds, wrapped  # noqa: F401  (they add their trials)
from tests.peers.trials import TRIALS, Trial

PAGE = Path(__file__).parents[2] / "docs" / "neighbours.md"


@pytest.mark.parametrize(
    "trial",
    [
        pytest.param(
            trial, id=f"{trial.group}-{trial.package}-{trial.what}", marks=[pytest.mark.long] * trial.is_long
        )
        for trial in TRIALS
    ],
)
@pytest.mark.filterwarnings("default")  # of other people's programs
def test_a_trial_comes_out_as_the_page_says(trial: Trial) -> None:
    if trial.version is None:
        pytest.skip(f"needs {trial.package}")
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if f"| {trial.what} |" in line]
    assert rows, "make the page anew: python -m tests.peers.neighbours"
    if any(Version(trial.version) < Version(row.split("|")[1].split()[-1]) for row in rows):
        pytest.skip(f"{trial.package} {trial.version} is older than that of the page")
    said = "fits" if trial.outcome() == "fits" else "refused"
    assert all(f"| {said}" in row for row in rows)
