"""One table says what every measure is: the stored tables and the tags in TensorBoard follow from it."""

import ast
import math
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from experiments import ConfigError, load_config, train
from experiments.config import measures
from experiments.config.measures import FINAL, MEASURES, RUN_MEASURES, TAGS, UPDATE_MEASURES
from experiments.training.loop import Training
from tests.experiments.comparisons import BANDIT, TABLE, TWO_ROOMS, comparison

KEYS = {"arm", "seed", "update", "start_policy", "failed_update"}  # columns that are no measure
POLE = {"id": "CartPole-v1", "max_episode_steps": 10, "solved_return": 8.0}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "finite": (TWO_ROOMS, TABLE),
    "exact": (BANDIT, {**TABLE, "gradient": "exact"}),
    "simulated": (POLE, {"policy": "mlp", "hidden_sizes": (4,)}),
    "stepped": ({**TWO_ROOMS, "tables": False}, TABLE),
    "without a goal": ({**TWO_ROOMS, "solved_return": None}, TABLE),
}
LACKS = {"finite": "", "exact": "steps", "simulated": "tables", "stepped": "tables", "without a goal": "goal"}
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


def test_a_measure_has_no_number_where_its_needs_are_not_met_and_nowhere_else(result: Trained) -> None:
    """A time may be missing anywhere: the event did not happen. With exact gradients the chance of a success is
    computed at the end alone."""
    rows = chain(
        ((name, result.updates[name], measure) for name, measure in UPDATE_MEASURES.items()),
        ((name, result.runs[name], measure) for name, measure in RUN_MEASURES.items()),
    )
    for name, column, measure in rows:
        is_empty = all(value is None or np.isnan(value) for value in column.to_pylist())
        may_be_empty = measure.kind == "time" or (result.kind, name) == ("exact", "success_rate")
        assert is_empty == (LACKS[result.kind] in measure.needs) or (is_empty and may_be_empty), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_claim_is_refused_before_training_where_its_measure_has_no_number_and_nowhere_else(kind: str) -> None:
    config = comparison(*KINDS[kind]).model_dump(exclude_none=True)
    for name, measure in RUN_MEASURES.items():
        claim = {"statement": "s", "measure": name, "expect": "without_entropy < with_entropy"}
        refusal = ""
        try:
            Training(load_config(config | {"claims": [claim]})).close()
        except ConfigError as error:
            refusal = str(error)
        assert bool(refusal) == (LACKS[kind] in measure.needs), name
        assert not refusal or f"claims.0: measure {name!r} needs " in refusal


def _named(*words: str) -> set[str]:
    return {name for name in MEASURES if any(re.search(word, name) for word in words)}


def test_a_name_says_of_what_kind_a_measure_is_and_what_it_can_be() -> None:
    times = _named("^first_", "collapse")
    truths = _named("^succeed", "solved$", "^stuck$", "^never_", "^failed$")
    shares = _named("rate$", "probability$", "coverage$")
    amounts = _named(
        "entropy_(bits|nats)$", "^kl_", "length$", "^effective_", "^cross_entropy", "^env_steps$", "^episodes$"
    )
    worse_high = _named("^stuck$", "^never_", "^failed$", "^regret$", "^cross_entropy", "^first_")
    for name, measure in MEASURES.items():
        assert (measure.failed_as == "high") == (name in worse_high), name
        assert measure.kind == ("time" if name in times else "fraction" if name in truths else "number"), name
        least, greatest = (0, 1) if name in shares else (0, math.inf) if name in amounts else (-math.inf, math.inf)
        assert measure.bounds == (least, greatest), name


def test_so_many_measures_are_shown_beside_those_of_the_pages() -> None:
    shown = {
        place: [name for name, m in MEASURES.items() if m.shown == place]
        for place in ("everywhere", "terminal", "pages", "nowhere")
    }
    assert shown.pop("pages")
    assert shown == {
        "everywhere": [
            "succeeds", "solved", "return_mean", "entropy_bits", "state_coverage", "first_success_env_step",
        ],
        "terminal": ["greedy_solved", "stuck", "failed", "greedy_return", "entropy_collapse_update"],
        "nowhere": ["env_steps", "episodes"],
    }  # fmt: skip


def test_a_heading_has_the_unit_and_an_axis_the_share_of_runs() -> None:
    assert (MEASURES["entropy_bits"].heading, MEASURES["entropy_bits"].axis) == (
        "entropy along the path, bits",
    ) * 2
    assert (MEASURES["solved"].heading, MEASURES["solved"].axis) == ("runs solved", "fraction of runs solved")


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
