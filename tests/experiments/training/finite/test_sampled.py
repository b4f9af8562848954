"""How updates are cut into blocks, and which thread moves a run, changes no number."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from experiments.training.loop import Training
from experiments.training.records import Records, joined
from tests.experiments.comparisons import MLP, SLIPPERY_LAKE, TABLE, TWO_ROOMS, comparison

ARMS = {
    "without": {},
    "controlled": {"entropy_coef": {"schedule": "target_entropy", "target_bits": 1.5, "rate": 0.1}},
    "faster": {"learning_rate": 0.3, "entropy_coef": 0.1},
    "failing": {"learning_rate": 1e300},
}
CASES = {
    "network": (TWO_ROOMS, MLP | {"hidden_sizes": [7, 16], "baseline": "running_mean"}),
    "table": (SLIPPERY_LAKE, TABLE | {"baseline": "value", "behaviour_epsilon": 0.1}),
}


def training_of(case: str) -> Training:
    environment, agent = CASES[case]
    return Training(comparison(environment, agent, ARMS, updates=13))


def assert_same(one: Records, other: Records) -> None:
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, other.columns[name], err_msg=name)
    assert one.steps is not None
    assert other.steps is not None
    for own, others in zip(one.steps, other.steps, strict=True):
        np.testing.assert_array_equal(own, others)
    np.testing.assert_array_equal(one.active, other.active)
    assert one.snapshots.keys() == other.snapshots.keys()
    for update, snapshot in one.snapshots.items():
        for own, others in zip(snapshot, other.snapshots[update], strict=True):
            np.testing.assert_array_equal(own, others)


@pytest.mark.parametrize("case", CASES)
def test_blocks_of_any_length_give_the_same_numbers(case: str) -> None:
    whole, parts = training_of(case), training_of(case)
    assert whole.is_compiled
    assert len(whole.batches) == 1
    expected = whole.advance()
    assert_same(joined([parts.advance(updates) for updates in (1, 4, 2, 6)]), expected)
    for name, layer in whole.parameters().items():
        np.testing.assert_array_equal(layer, parts.parameters()[name], err_msg=name)
    for name, column in whole.final().items():
        np.testing.assert_array_equal(column, parts.final()[name], err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_threads_give_the_same_numbers(case: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        shared = training_of(case).advance(each=pool.map)
    assert_same(shared, training_of(case).advance())


def test_a_run_that_fails_stops_and_its_neighbours_go_on() -> None:
    training = training_of("network")
    records = training.advance()
    failed = np.array([arm == "failing" for arm in training.runs.arm])
    assert records.active[0].all()
    assert not records.active[-1, failed].any()
    assert records.active[:, ~failed].all()
    assert np.isnan(records.columns["loss"][~records.active]).all()
    assert np.isfinite(records.columns["loss"][records.active & ~failed]).all()
