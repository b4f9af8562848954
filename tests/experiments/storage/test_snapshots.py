"""Policies and visits that are kept at some moments, whatever happens in between."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from experiments.storage.run_folder import RunFolder, StoreError
from experiments.storage.snapshots import FEATURED, FILE, MEAN, SnapshotSink, read_snapshots
from experiments.training.records import Records, Runs, Snapshot, snapshot_updates

RUNS = Runs.of(["a", "b"], [7, 8, 9])
STATES, ACTIONS = 5, 4


def sink_into(folder: RunFolder) -> SnapshotSink:
    return SnapshotSink(folder, RUNS, updates=5, tables=(STATES, ACTIONS))


def record(update: int, failed: tuple[int, ...] = (), kept: bool = True) -> Records:
    rng = np.random.default_rng(update)
    policy = rng.dirichlet(np.ones(ACTIONS), (6, STATES))
    active = ~np.isin(np.arange(6), failed)
    visits = rng.integers(0, 9, (6, STATES)).astype(float)
    snapshots = {update: Snapshot(policy, visits)} if kept else {}
    return Records(update, {}, active[None], np.zeros((1, 6), bool), None, snapshots)


def test_it_keeps_the_mean_of_each_arm_and_its_first_seed(tmp_path: Path) -> None:
    folder, one = RunFolder(tmp_path), record(3)
    sink = sink_into(folder)
    sink.write(record(2, kept=False))
    sink.write(one)
    assert sink.flush() == {"moments": 1}
    found = read_snapshots(folder)
    assert found is not None
    assert found.update.tolist() == [3]
    policy = one.snapshots[3].policy.reshape(2, 3, STATES, ACTIONS)
    assert found.policy[0, MEAN] == pytest.approx(policy.mean(1), abs=1e-6)
    assert found.policy[0, FEATURED] == pytest.approx(policy[:, 0], abs=1e-6)
    assert found.visits[0, MEAN] == pytest.approx(one.snapshots[3].visits.reshape(2, 3, STATES).mean(1))
    # The mean of the runs' entropies; the mean policy's would be higher.
    entropy = -(policy * np.log(policy)).sum(-1)
    assert found.entropy[0, MEAN] == pytest.approx(entropy.mean(1), abs=1e-6)
    mean_policy = policy.mean(1)
    assert (-(mean_policy * np.log(mean_policy)).sum(-1) > found.entropy[0, MEAN] + 1e-4).all()


def test_a_failed_run_is_left_out_of_the_mean_and_an_arm_of_failed_runs_is_missing(tmp_path: Path) -> None:
    folder, one = RunFolder(tmp_path), record(3, failed=(1, 3, 4, 5))
    sink = sink_into(folder)
    sink.write(one)
    sink.flush()
    found = read_snapshots(folder)
    assert found is not None
    assert found.policy[0, MEAN, 0] == pytest.approx(one.snapshots[3].policy[[0, 2]].mean(0), abs=1e-6)
    assert np.isnan(found.policy[0, MEAN, 1]).all()


def test_going_on_from_an_earlier_position_equals_never_having_stopped(tmp_path: Path) -> None:
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    for folder in (whole, cut):
        folder.path.mkdir()
    straight = sink_into(whole)
    for update in range(5):
        straight.write(record(update))
    straight.flush()
    first = sink_into(cut)
    first.write(record(0))
    first.write(record(1))
    position = first.flush()
    first.write(record(2))
    first.flush()  # written, and then the training is killed before its next checkpoint
    second = sink_into(cut)
    second.restore(position)
    for update in range(2, 5):
        second.write(record(update))
    second.flush()
    assert (cut.path / FILE).read_bytes() == (whole.path / FILE).read_bytes()


def test_moments_that_are_gone_are_no_surprise(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(StoreError, match="missing"):
        sink_into(folder).restore({"moments": 2})
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(StoreError, match="cannot be read"):
        read_snapshots(folder)
    arrays = {"update": np.arange(2), "policy": np.zeros((2, 2, 2, 5, 4), np.float32)}
    wrong = arrays | {name: np.zeros((2, 2, 2, 6), np.float32) for name in ("visits", "entropy")}
    (tmp_path / FILE).write_bytes(safetensors.numpy.save(wrong))
    with pytest.raises(StoreError, match="shapes"):
        read_snapshots(folder)


def test_there_is_nothing_to_read_where_no_world_had_states(tmp_path: Path) -> None:
    sink = sink_into(RunFolder(tmp_path))
    sink.write(record(0, kept=False))
    assert sink.flush() == {"moments": 0}
    assert read_snapshots(RunFolder(tmp_path)) is None


@pytest.mark.parametrize("updates", [1, 2, 5, 21, 22, 300, 2000])
def test_the_moments_are_evenly_spaced(updates: int) -> None:
    moments = snapshot_updates(updates)
    assert (moments[0], moments[-1]) == (0, updates - 1)
    assert len(moments) == min(updates, 21)
    assert len({*np.diff(moments).tolist()}) <= 2  # of one length, or of two where it is no whole number
