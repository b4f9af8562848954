"""A family is shown world by world, and the worlds in which the second arm does worse are named."""

from pathlib import Path

import numpy as np
import pytest

from experiments.figures.worlds import by_world
from experiments.storage.results import Results, read_results
from tests.experiments.report_folder import trained

FAMILY = {
    "environment": {"id": "FourAction/Maze-v0", "worlds": {"first": 40, "count": 3}, "solved_return": 0.95},
    "claims": [],
}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return read_results(trained(tmp_path_factory.mktemp("family") / "run", **FAMILY).path)


def ending(results: Results, without: list[float], with_entropy: list[float]) -> Results:
    """The same runs with other ends: the share of each world's four seeds that succeed."""
    seeds = np.arange(4)
    runs = {
        arm: results.runs[arm] | {"succeeds": np.concatenate([seeds < 4 * share for share in shares])}
        for arm, shares in (("without_entropy", without), ("with_entropy", with_entropy))
    }
    return results._replace(runs=runs)


def test_the_worlds_in_which_the_second_arm_is_worse_are_named(family: Results) -> None:
    (picture,) = by_world(ending(family, [0.5, 0.75, 0.0], [0.5, 0.25, 1.0]))
    assert "Lower in: 41." in picture.caption
    assert "from -0.50 to +1.00" in picture.alt
    assert b"higher in 1" in picture.svg
    assert b"equal in 1" in picture.svg
    (picture,) = by_world(ending(family, [0.0] * 3, [0.5] * 3))
    assert "Lower in: none." in picture.caption


def test_what_is_no_family_has_no_such_picture(tmp_path: Path) -> None:
    assert not list(by_world(read_results(trained(tmp_path / "run").path)))
