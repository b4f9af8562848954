"""One table says what every measure is: the stored tables and the tags in TensorBoard follow from it."""

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from experiments import train
from experiments.config import measures
from experiments.config.measures import FINAL, MEASURES, RUN_MEASURES, TAGS, UPDATE_MEASURES
from tests.experiments.comparisons import BANDIT, TABLE, TWO_ROOMS, comparison

KEYS = {"arm", "seed", "update", "start_policy", "failed_update"}  # columns that are no measure
POLE = {"id": "CartPole-v1", "max_episode_steps": 10, "solved_return": 8.0}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "finite": (TWO_ROOMS, TABLE),
    "exact": (BANDIT, {**TABLE, "gradient": "exact"}),
    "simulated": (POLE, {"policy": "mlp", "hidden_sizes": (4,)}),
}
LACKS = {"finite": "", "exact": "steps", "simulated": "tables"}
SOURCES = sorted(set(Path(measures.__file__).parents[1].rglob("*.py")) - {Path(measures.__file__)})


class Trained(NamedTuple):
    kind: str
    updates: pa.Table
    steps: pa.Table
    runs: pa.Table


@pytest.fixture(scope="module", params=KINDS)
def result(request: pytest.FixtureRequest) -> Trained:
    world, agent = KINDS[request.param]
    return Trained(request.param, *train(comparison(world, agent, seeds=2, updates=4))[:3])


def test_every_measure_says_what_it_is() -> None:
    assert all(measure.label and len(measure.meaning) > 15 for measure in MEASURES.values())
    assert len({measure.heading for measure in RUN_MEASURES.values()}) == len(RUN_MEASURES)
    assert len(set(TAGS.values())) == len(TAGS)
    assert set(FINAL) <= set(RUN_MEASURES)


def test_the_tables_have_a_column_for_every_measure_and_no_other_numbers(result: Trained) -> None:
    assert set(result.updates.column_names) - KEYS == set(UPDATE_MEASURES)
    assert set(result.runs.column_names) - KEYS == set(RUN_MEASURES)


def test_numbers_lie_between_the_bounds_of_their_measure(result: Trained) -> None:
    for table, rows in ((result.updates, UPDATE_MEASURES), (result.runs, RUN_MEASURES)):
        for name, measure in rows.items():
            known = np.array([value for value in table[name].to_pylist() if value is not None], float)
            low, high = measure.bounds
            assert not ((known < low - 1e-6) | (known > high + 1e-6)).any(), name


def test_a_measure_whose_needs_are_not_met_has_no_number(result: Trained) -> None:
    rows = chain(
        ((result.updates[name], measure) for name, measure in UPDATE_MEASURES.items()),
        ((result.runs[name], measure) for name, measure in RUN_MEASURES.items()),
    )
    for column, measure in rows:
        if LACKS[result.kind] in measure.needs:
            assert all(value is None or np.isnan(value) for value in column.to_pylist()), measure.label


def _texts(path: Path) -> Iterator[str]:
    return (
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parents[1])))
def test_nothing_but_the_table_says_how_a_measure_is_called(path: Path) -> None:
    """A label or a tag that is written down a second time would have to be changed there as well."""
    rows = [*MEASURES.values(), *RUN_MEASURES.values()]
    labels = {text for row in rows for text in (row.label, row.heading, row.axis) if " " in text}
    in_one_chart = {"loss/policy", "loss/total"}
    pinned = {"policy/entropy_bits", "episode/return", "explore/state_coverage"}
    assert (labels | set(TAGS)).intersection(_texts(path)) <= in_one_chart | pinned
