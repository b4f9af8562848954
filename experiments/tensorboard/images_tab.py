"""Pictures of an arm's policies for TensorBoard, at a handful of moments of training.

R: runs, n: seeds of an arm, S: states, A: actions.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.information import entropy_of_weights
from experiments.figures.grid_maps import Colour, png, policy_map, visit_map
from experiments.figures.showing import Showing
from experiments.tensorboard.events import histogram_record, image_record
from experiments.training.records import Records, Snapshot, snapshot_updates
from experiments.training.worlds import World

Array = NDArray[np.float64]


class Arm(NamedTuple):
    """The runs that a picture shows. The first one is featured; it is chosen before anything is known about it."""

    runs: NDArray[np.int64]  # places on the run axis, [n]
    seed: int  # of the first one
    colour: Colour  # of its maps


def moments(updates: int) -> frozenset[int]:
    """Every third update with a snapshot, and the last: only some, because pictures are expensive."""
    kept = snapshot_updates(updates)
    return frozenset([*kept[::3], kept[-1]])


class Artist:
    """Draws the pictures of all arms in parallel with training.

    Args:
        arms: what to draw, by name.
        updates: of each arm.
        world: in which they act.
    """

    def __init__(self, arms: Mapping[str, Arm], updates: Mapping[str, int], world: World) -> None:
        self._arms, self._world = arms, world
        self._moments = {name: moments(updates[name]) for name in arms}
        self._thread = ThreadPoolExecutor(1)
        self.forget()

    def draw(self, records: Records) -> None:
        for name, arm in self._arms.items():
            for update in sorted(self._moments[name].intersection(records.updates.tolist())):
                drawing = self._thread.submit(picture_block, records, update, arm, self._world, time.time())
                self._drawings[name].append(drawing)

    def taken(self, name: str, showing: Showing) -> bytes:
        """The pictures of an arm since the last call; one that fails is left out."""
        drawings, self._drawings[name] = self._drawings[name], []
        return b"".join(showing.attempt(f"pictures of {name}", d.result) or b"" for d in drawings)

    def forget(self) -> None:
        self._drawings: dict[str, list[Future[bytes]]] = {name: [] for name in self._arms}

    def close(self) -> None:
        self._thread.shutdown()


def picture_block(records: Records, update: int, arm: Arm, world: World, wall_time: float) -> bytes:
    """Histograms of action probabilities and, where the world is a grid, maps of policy and visits.

    Frozen runs, whose policies mean nothing, are left out, and so are runs that have made all of their updates.
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
            maps |= _maps(f"seed_{arm.seed}", snapshot, going[:1], world, arm.colour)
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
