"""What follows from the columns alone is what a loop over the updates finds, however they are cut into blocks."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.training.exploration import trailing_means, window
from experiments.training.loop import Training
from experiments.training.progress import FINAL, Facts, Progress, completed
from experiments.training.records import Records, Steps, joined, merged
from tests.experiments.comparisons import BANDIT, TABLE, comparison
from tests.experiments.options import KINDS, of_kind

UPDATES, RUNS, EPISODES, LIMIT = 50, 3, 4, 6  # the last 5 % are two updates and more
FACTS = Facts(EPISODES, 4, 0.5, 1.0)


def same(one: Records, other: Records) -> None:
    """Bit for bit."""
    assert one.first == other.first
    assert one.columns.keys() == other.columns.keys()
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, other.columns[name], err_msg=name)
    np.testing.assert_array_equal(one.active, other.active)
    for part, other_part in zip(one.steps or (), other.steps or (), strict=True):
        np.testing.assert_array_equal(part, other_part)
    assert one.snapshots.keys() == other.snapshots.keys()


@st.composite
def cuts(draw: st.DrawFn, updates: int = UPDATES) -> list[slice]:
    """Blocks of updates, one after the other."""
    inner = draw(st.sets(st.integers(1, updates - 1), max_size=8))
    bounds = [0, *sorted(inner), updates]
    return [slice(a, b) for a, b in pairwise(bounds)]


def measured(seed: int) -> Records:
    """Made up: returns around the level, entropies around collapse, runs that end before the others."""
    rng = np.random.default_rng(seed)
    shape = UPDATES, RUNS
    columns: dict[str, NDArray[Any]] = {name: rng.normal(size=shape) for name in set(FINAL.values())}
    columns |= {
        "return_mean": rng.choice(
            [0.2, 0.7, 0.1 + 0.2, math.inf, math.nan], shape, p=[0.4, 0.4, 0.18, 0.01, 0.01]
        ),
        "entropy_nats": rng.choice([0.001, 0.5], shape, p=[0.9, 0.1]),
        "optimal_action_probability": rng.choice([0.3, 0.6], shape, p=[0.9, 0.1]),
        "success_step": rng.choice([-1, 0, LIMIT - 1], shape, p=[0.96, 0.02, 0.02]),
    }
    ended_in = rng.choice([UPDATES, 20, 45], RUNS, p=[0.6, 0.2, 0.2])
    active = np.arange(UPDATES)[:, None] <= ended_in
    length = np.where(active, LIMIT, 0)
    live = rng.integers(1, EPISODES + 1, length.sum())
    return Records(0, columns, active, ~active, Steps(length, live, rng.random(len(live))), {})


def cut(records: Records, updates: slice) -> Records:
    """Some of the updates of a block that begins with update 0."""
    assert records.steps is not None
    steps = records.steps
    rows = np.concatenate(
        [
            np.arange(steps.start[u, r], steps.start[u, r] + steps.length[u, r])
            for r in range(RUNS)
            for u in range(updates.start, updates.stop)
        ]
    )
    of_cut = Steps(steps.length[updates], steps.live[rows], steps.entropy_nats[rows])
    columns = {name: column[updates] for name, column in records.columns.items()}
    return Records(updates.start, columns, records.active[updates], records.resting[updates], of_cut, {})


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), cuts())
def test_how_updates_are_cut_into_blocks_changes_no_number(seed: int, blocks: list[slice]) -> None:
    whole = measured(seed)
    expected = completed(Progress.start(RUNS, UPDATES), whole, FACTS)
    progress, parts = Progress.start(RUNS, UPDATES), []
    for block in blocks:
        progress, records = completed(progress, cut(whole, block), FACTS)
        parts.append(records)
    same(joined(parts), expected[1])
    np.testing.assert_array_equal(joined(parts).env_step, expected[1].env_step)
    for one, other in zip(progress, expected[0], strict=True):
        np.testing.assert_array_equal(one, other)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_it_is_what_a_loop_over_the_updates_finds(seed: int) -> None:
    whole = measured(seed)
    progress, records = completed(Progress.start(RUNS, UPDATES), whole, FACTS)
    assert whole.steps is not None
    for run in range(RUNS):
        steps, first_success, regret = 0, -1, 0.0
        last = window(UPDATES)
        for update in range(UPDATES):
            at = whole.steps.start[update, run]
            for t in range(whole.steps.length[update, run]):
                steps += int(whole.steps.live[at + t])
                assert records.env_step[at + t] == steps
                if first_success < 0 and t == whole.columns["success_step"][update, run]:
                    first_success = steps
            returns = whole.columns["return_mean"][: update + 1, run]
            regret += 1.0 - returns[-1] if whole.active[update, run] else 0.0
            recent = returns[-last:][~np.isnan(returns[-last:])]
            told = {name: column[update, run] for name, column in records.columns.items()}
            assert told["env_steps"] == steps
            assert told["episodes"] == EPISODES * whole.active[: update + 1, run].sum()
            assert told["succeeded"] == (first_success >= 0)
            assert told["regret"] == pytest.approx(regret / (update + 1), nan_ok=True)
            expected = float(np.mean(recent) >= 0.5 - 1e-9) if len(recent) else math.nan
            np.testing.assert_equal(told["solved"], expected if whole.active[update, run] else math.nan)
        optimal = whole.active[:, run] & (whole.columns["optimal_action_probability"][:, run] > 0.5)
        assert progress.first_optimal[run] == (np.flatnonzero(optimal)[0] if optimal.any() else -1)
        assert progress.first_success[run] == first_success
        own = whole.active[:, run]
        last = window(int(own.sum()))
        means = {name: records.columns[column][own, run][-last:].mean() for name, column in FINAL.items()}
        found = {name: mean[run] for name, mean in progress.final_means(whole.active.sum(0)).items()}
        assert found == pytest.approx(means, nan_ok=True)


@pytest.mark.parametrize("window", [1, 3, 7])
def test_a_trailing_mean_is_that_of_what_is_known_of_the_last_updates(window: int) -> None:
    values = np.random.default_rng(0).choice([1.5, -2.0, math.nan], (30, 2), p=[0.4, 0.3, 0.3])
    found = trailing_means(values, window)
    assert found.shape == (30 - window + 1, 2)
    for (update, run), mean in np.ndenumerate(found):
        part = values[update : update + window, run]
        known = part[~np.isnan(part)]
        np.testing.assert_allclose(mean, known.mean() if len(known) else math.nan, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS])
def test_a_training_in_one_block_is_that_in_many(kind: str) -> None:
    """Parameters, columns, steps and the end, for every option of every kind of world."""
    whole, in_parts = (Training(of_kind(kind, [3, 5], updates=7)) for _ in range(2))
    together, parts = whole.advance(), [in_parts.advance(number) for number in (1, 2, 3, 1)]
    same(joined(parts), together)
    for one, other in ((whole.final(), in_parts.final()), (whole.state(), in_parts.state())):
        assert one.keys() == other.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name], err_msg=name)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.permutations(range(RUNS)), st.integers(1, RUNS - 1))
def test_runs_put_together_again_are_what_they_were(seed: int, order: list[int], number: int) -> None:
    whole = measured(seed)
    places = [np.array(order[:number]), np.array(order[number:])]

    def of_runs(runs: NDArray[np.int64]) -> Records:
        steps = whole.steps
        assert steps is not None
        begin, taken = steps.start[0], steps.length.sum(0)
        rows = np.concatenate([np.arange(begin[r], begin[r] + taken[r]) for r in runs])
        part = Steps(steps.length[:, runs], steps.live[rows], steps.entropy_nats[rows])
        columns = {n: c[:, runs] for n, c in whole.columns.items()}
        return Records(0, columns, whole.active[:, runs], whole.resting[:, runs], part, {})

    same(merged([of_runs(place) for place in places], places, RUNS), whole)


def test_an_arm_that_takes_no_steps_leaves_those_of_the_others_alone() -> None:
    sampled, both = ({"walks": {}}, {"walks": {}, "thinks": {"gradient": "exact"}})
    alone, together = (
        Training(comparison(BANDIT, TABLE, arms, updates=5, episodes=1)).advance() for arms in (sampled, both)
    )
    assert alone.steps is not None
    assert together.steps is not None
    np.testing.assert_array_equal(together.steps.length, np.pad(alone.steps.length, [(0, 0), (0, 3)]))
    np.testing.assert_array_equal(together.steps.entropy_nats, alone.steps.entropy_nats)
    assert (together.columns["env_steps"][:, 3:] == 0).all()
