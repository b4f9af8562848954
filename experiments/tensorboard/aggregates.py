"""What TensorBoard is told of an arm as a whole: line and band over its seeds, on the same updates for all arms.

Single runs are noisy and the seed is the unit, so this is what arms are compared by. Every point is made of the
update it stands at and of nothing before it: a training that goes on from a checkpoint writes the same points.

R: runs, n: seeds of an arm, U: updates on the grid.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.estimates import Band, iqm_interval, wilson_interval
from experiments.config.measures import FailedAs
from experiments.config.schema import Config
from experiments.tensorboard.events import MarginChart, MultilineChart, finite_scalars_block
from experiments.training.exploration import mean_of_known
from experiments.training.records import Records
from experiments.training.worlds import World

Array = NDArray[np.float64]

POINTS = 100  # of a curve, at most


class Curve(NamedTuple):
    """A measure of the updates, drawn with its band."""

    title: str
    column: str  # of updates.parquet
    estimate: Literal["iqm", "fraction"]
    failed_as: FailedAs = "low"  # see `experiments.config.measures`

    @property
    def tags(self) -> tuple[str, str, str]:
        """Of the estimate and of the two ends of its interval."""
        return f"band/{self.column}/{self.estimate}", f"band/{self.column}/low", f"band/{self.column}/high"


ENTROPY = Curve("entropy of the policy, bits", "entropy_bits", "iqm", "missing")
RETURN = Curve("return of an episode", "return_mean", "iqm")
SOLVED = Curve("fraction of seeds solved", "solved", "fraction")
COVERAGE = Curve("state coverage", "state_coverage", "iqm")

# Tag -> column of updates.parquet. Means over seeds, so that total = policy + coefficient x negative entropy.
LOSSES = {
    "loss/policy": "policy_loss",
    "loss/negative_entropy": "negative_entropy",
    "loss/total": "loss",
    "loss/entropy_coef": "entropy_coef",
    "loss/grad_norm": "grad_norm",
}


def curves(config: Config, world: World) -> list[Curve]:
    """What a comparison can tell: solved needs a goal, coverage a table of states and somebody who walks in it."""
    solved = [SOLVED] if config.environment.solved_return is not None else []
    coverage = [COVERAGE] if world.mdp is not None and takes_steps(config) else []
    return [ENTROPY, RETURN, *solved, *coverage]


def takes_steps(config: Config) -> bool:
    """Whether anybody goes anywhere: exact gradients take no steps."""
    return any(config.agent_of(arm).gradient == "sampled" for arm in config.arms)


def charts(shown: Sequence[Curve]) -> dict[str, Sequence[MarginChart | MultilineChart]]:
    """The Custom Scalars tab."""
    return {
        "Arms compared: line and 95 % band over seeds": [MarginChart(curve.title, *curve.tags) for curve in shown],
        "Terms of the loss: mean over seeds": [
            MultilineChart("total = policy + coefficient x negative entropy", ["loss/policy", "loss/total"]),
            MultilineChart("negative entropy, nats", ["loss/negative_entropy"]),
            MultilineChart("coefficient of the negative entropy", ["loss/entropy_coef"]),
            MultilineChart("gradient norm", ["loss/grad_norm"]),
        ],
    }


def grid(updates: int) -> frozenset[int]:
    """At most POINTS evenly spaced updates, the first and the last among them."""
    return frozenset(np.linspace(0, updates - 1, min(updates, POINTS)).round().astype(int).tolist())


def aggregate_block(
    records: Records,
    on_grid: frozenset[int],
    runs: NDArray[np.int64],
    shown: Sequence[Curve],
    exact: bool,
    wall_time: float,
) -> bytes:
    """The points of an arm at those updates of a block that are on the grid.

    A frozen run has neither return nor entropy any more: it counts as not solved and with a return below any
    number, and is left out of the entropy.

    Args:
        records: the block.
        on_grid: updates that have a point.
        runs: places of the arm's runs on the run axis, [n].
        shown: what to tell; what the arm cannot tell is left out.
        exact: nothing is sampled, so runs that are equal are one run, and one run has no interval.
        wall_time: seconds since 1970.
    """
    rows = np.flatnonzero(np.isin(records.updates, list(on_grid)) & records.active[:, runs].any(1))
    if not len(rows):
        return b""
    place = np.ix_(rows, runs)

    def column(name: str) -> Array:
        """[U, n]; NaN: the run is frozen."""
        return np.where(records.active[place], records.columns[name][place], np.nan)

    one_run = exact & _all_equal(column("entropy_bits")) & _all_equal(column("return_mean"))
    points: dict[str, Array] = {}
    for curve in shown:
        points |= zip(curve.tags, _band(curve, column(curve.column), one_run), strict=True)
    for tag, name in LOSSES.items():
        values = column(name)
        points[tag] = mean_of_known(np.where(np.isfinite(values), values, np.nan).T)
    values = np.stack(list(points.values()), axis=1)
    return finite_scalars_block(list(points), records.updates[rows], values, wall_time)


def _band(curve: Curve, values: Array, one_run: NDArray[np.bool_]) -> Band:
    """[U, n] -> [U] each."""
    if curve.estimate == "iqm":
        band = iqm_interval(values.T, curve.failed_as)
    else:
        band = wilson_interval((values == 1).sum(1), values.shape[1])
    return Band(band.estimate, *(np.where(one_run, band.estimate, end) for end in (band.low, band.high)))


def _all_equal(values: Array) -> NDArray[np.bool_]:
    return np.asarray((values == values[:, :1]).all(1))
