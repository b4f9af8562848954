"""What a finished training shows in a notebook: verdicts, curves, the table of its arms."""

from base64 import b64decode
from pathlib import Path

import pytest
from markupsafe import escape

from experiments import load_config, train
from experiments.analysis.wording import measure_text, plain
from experiments.pages.training_page import write_report
from experiments.session.in_memory import Result
from experiments.session.run import Options, run
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


FAMILY = ["environment.worlds=2", "training.seeds=3", "training.updates=4"]


def test_the_curves_are_those_of_the_report(tmp_path: Path) -> None:
    """In a family, too, where runs of different worlds have the same seed."""
    config = load_config("mazes", FAMILY)
    run(config, Options(tmp_path / "run", tensorboard=False), lambda _: None, lambda _: None)
    write_report(tmp_path / "run")
    images = Page(train(config)._repr_html_()).named("img")
    for image, name in zip(images, ("entropy_bits", "solved"), strict=True):
        svg = (tmp_path / "run" / "figures" / f"{name}.svg").read_bytes()
        assert b64decode(str(image["src"]).partition(",")[2]) == svg


def test_runs_that_fail_are_shown_too() -> None:
    overrides = ["training.seeds=3", "training.updates=30", "arms.with_entropy.entropy_coef=1e308"]
    result = train(load_config("configs/bandit.toml", overrides))
    assert result.summary["failed_runs"]
    assert "<table>" in result._repr_html_()
