"""Pictures of an arm's policies for TensorBoard, at a handful of moments of training.

R: runs, n: seeds of an arm, S: states, A: actions.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.information import entropy_of_weights
from experiments.figures.grid_maps import Colour, png, policy_map, visit_map
from experiments.tensorboard.events import histogram_record, image_record
from experiments.training.records import Records, Snapshot, snapshot_updates
from experiments.training.worlds import World

Array = NDArray[np.float64]


class Arm(NamedTuple):
    """The runs that a picture shows. The first seed is the featured one, chosen before anything is known about
    it."""

    runs: NDArray[np.int64]  # places on the run axis, [n]
    seeds: tuple[int, ...]
    colour: Colour  # of its maps


def moments(updates: int) -> frozenset[int]:
    """Every third update with a snapshot, and the last: only some, because pictures are expensive."""
    kept = snapshot_updates(updates)
    return frozenset([*kept[::3], kept[-1]])


def picture_block(records: Records, update: int, arm: Arm, world: World, wall_time: float) -> bytes:
    """Histograms of action probabilities and, where the world is a grid, maps of policy and visits.

    Frozen runs are left out, whose policies mean nothing, and runs that have made all of their updates.
    """
    row, snapshot = update - records.first, records.snapshots.get(update)
    going = arm.runs[records.active[row, arm.runs]]
    if not len(going):
        return b""
    probabilities = {"policy/start_probabilities": records.columns["start_policy"][row, going]}
    maps: dict[str, bytes] = {}
    if snapshot is not None and world.mdp is not None:
        states = np.flatnonzero(world.reachable & ~world.terminal)
        probabilities["policy/action_probabilities"] = snapshot.policy[going][:, states]
        if world.mdp.drawing is not None:
            maps |= _maps("mean", snapshot, going, world, arm.colour)
        if world.mdp.drawing is not None and going[0] == arm.runs[0]:
            maps |= _maps(f"seed_{arm.seeds[0]}", snapshot, going[:1], world, arm.colour)
    histograms = [  # rounding may lift a probability above 1
        histogram_record(tag, update, np.minimum(values, 1.0), wall_time) for tag, values in probabilities.items()
    ]
    return b"".join(histograms + [image_record(tag, update, png, wall_time) for tag, png in maps.items()])


def _maps(
    name: str, snapshot: Snapshot, runs: NDArray[np.int64], world: World, colour: Colour
) -> dict[str, bytes]:
    """Maps of the mean policy of some runs and of their visits; cells in which no episode acts stay blank."""
    assert world.mdp is not None
    policies = snapshot.policy[runs]
    entropy = np.where(world.terminal, np.nan, entropy_of_weights(policies).mean(0))
    return {
        f"policy_map/{name}": png(policy_map(world.mdp, policies.mean(0), entropy, colour)),
        f"visit_map/{name}": png(visit_map(world.mdp, snapshot.visits[runs].mean(0), colour)),
    }
