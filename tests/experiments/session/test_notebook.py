"""What a finished training shows in a notebook: verdicts, curves, the table of its arms."""

import numpy as np
import pytest
from markupsafe import escape

from experiments import load_config, train
from experiments.analysis.wording import measure_text, plain
from experiments.session.run import Result
from experiments.storage.results import moments, read_results
from tests.experiments.report_folder import EVIL, Page, trained


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = trained(tmp_path_factory.mktemp("notebook") / "run")
    return train(folder.read_config())


def test_verdicts_curves_and_every_arm_are_shown(result: Result) -> None:
    page = result._repr_html_()
    for claim in result.summary["claims"]:
        assert f"<b>{claim['verdict']}</b>: {escape(claim['statement'])}" in page
    assert [str(image["alt"]).split(", ")[1] for image in Page(page).named("img")] == [
        "entropy along the path",
        "fraction of runs solved: without_entropy from 0 to 0; with_entropy from 0 to 0.",
    ]
    for arm, content in result.summary["arms"].items():
        assert f"<th>{arm}</th>" in page
        assert escape(plain(measure_text("final_return", content["measures"]["final_return"]))) in page


def test_a_description_is_text_and_never_markup(result: Result) -> None:
    page = result._repr_html_()
    assert EVIL not in page
    assert "script" not in Page(page).tags


def test_the_curves_are_those_of_the_stored_training(tmp_path_factory: pytest.TempPathFactory) -> None:
    from experiments.session.notebook import _curves

    folder = trained(tmp_path_factory.mktemp("notebook") / "run")
    config, stored = folder.read_config(), read_results(folder.path)
    found = _curves(config, train(config).updates, moments(config.training.updates))
    for arm, curves in stored.curves.items():
        for name, values in curves.items():
            np.testing.assert_array_equal(found[arm][name], values)


def test_runs_that_fail_are_shown_too() -> None:
    overrides = ["training.seeds=3", "training.updates=30", "arms.with_entropy.entropy_coef=1e308"]
    result = train(load_config("configs/bandit.toml", overrides))
    assert result.summary["failed_runs"]
    assert "<table>" in result._repr_html_()
