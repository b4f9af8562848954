"""The curves of whole arms in TensorBoard: a line and a band over seeds, at the same updates for all arms.

Single runs are noisy and the seed is the unit, so these curves are what one compares. A point depends only on its
own update and on nothing before it, so a training that resumes from a checkpoint writes the same points.

R: runs, n: seeds of an arm, U: updates on the grid.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.estimates import Band, band_of
from experiments.config.measures import TAGS, UPDATE_MEASURES, Need
from experiments.config.schema import Config
from experiments.tensorboard.events import MarginChart, MultilineChart
from experiments.tensorboard.scalar_blocks import finite_scalars_block
from experiments.training.exploration import mean_of_known
from experiments.training.records import Records
from experiments.training.worlds import World

Array = NDArray[np.float64]

POINTS = 100  # the most points of a curve
SUBJECT = "entropy_bits"  # the subject of the whole experiment, shown first
BANDS = (SUBJECT, *(n for n, measure in UPDATE_MEASURES.items() if measure.shown == "everywhere" and n != SUBJECT))
LOSSES = {tag: name for tag, name in TAGS.items() if tag.startswith("loss/")}


def band_tags(name: str) -> tuple[str, str, str]:
    """The tags of a measure's estimate and of the two ends of its interval."""
    estimate = "fraction" if UPDATE_MEASURES[name].kind == "fraction" else "iqm"
    return f"band/{name}/{estimate}", f"band/{name}/low", f"band/{name}/high"


def known_needs(config: Config, world: World) -> set[Need]:
    """Which of the things that a measure may need this comparison has."""
    has: dict[Need, bool] = {
        "goal": config.environment.solved_return is not None,
        "tables": world.mdp is not None,
        "steps": any(config.agent_of(arm).gradient == "sampled" for arm in config.arms),
    }
    return {need for need, there in has.items() if there}


def bands(config: Config, world: World) -> list[str]:
    """The measures for which a comparison can draw a line and a band."""
    known = known_needs(config, world)
    return [name for name in BANDS if known.issuperset(UPDATE_MEASURES[name].needs)]


def charts(shown: Sequence[str]) -> dict[str, Sequence[MarginChart | MultilineChart]]:
    """The Custom Scalars tab."""
    return {
        "Arms compared: interquartile mean or fraction, and 95 % band over seeds. "
        "Untick 'Ignore outliers in chart scaling' to see the first updates": [
            MarginChart(UPDATE_MEASURES[name].axis, *band_tags(name)) for name in shown
        ],
        "Terms of the loss: mean over seeds": [
            MultilineChart("total = policy + coefficient x negative entropy", ["loss/policy", "loss/total"]),
            *(
                MultilineChart(UPDATE_MEASURES[name].heading, [tag])
                for tag, name in LOSSES.items()
                if name not in ("policy_loss", "loss")
            ),
        ],
    }


def grid(updates: int) -> frozenset[int]:
    """At most POINTS evenly spaced updates, including the first and the last."""
    return frozenset(np.linspace(0, updates - 1, min(updates, POINTS)).round().astype(int).tolist())


def aggregate_block(
    records: Records,
    on_grid: frozenset[int],
    runs: NDArray[np.int64],
    shown: Sequence[str],
    exact: bool,
    wall_time: float,
) -> bytes:
    """The points of an arm at those updates of a block that are on the grid.

    A frozen run no longer has a return or an entropy: it counts as not solved and with a return below any number,
    and is left out of the entropy. The curve ends where the first run has made all of its updates.

    Args:
        records: the block.
        on_grid: updates that have a point.
        runs: places of the arm's runs on the run axis, [n].
        shown: the measures to write; those that the arm does not have are left out.
        exact: whether nothing is sampled; equal runs are then one run, which has no interval.
        wall_time: seconds since 1970.
    """
    going = records.active[:, runs].any(1) & ~records.resting[:, runs].any(1)
    rows = np.flatnonzero(np.isin(records.updates, list(on_grid)) & going)
    if not len(rows):
        return b""
    place = np.ix_(rows, runs)

    def column(name: str) -> Array:
        """[U, n]; NaN: the run is frozen."""
        return np.where(records.active[place], records.columns[name][place], np.nan)

    one_run = exact & _all_equal(column("entropy_bits")) & _all_equal(column("return_mean"))
    points: dict[str, Array] = {}
    for name in shown:
        points |= zip(band_tags(name), _band(name, column(name), one_run), strict=True)
    for tag, name in LOSSES.items():
        values = column(name)
        points[tag] = mean_of_known(np.where(np.isfinite(values), values, np.nan).T)
    values = np.stack(list(points.values()), axis=1)
    return finite_scalars_block(list(points), records.updates[rows], values, wall_time)


def _band(name: str, values: Array, one_run: NDArray[np.bool_]) -> Band:
    """[U, n] -> [U] each."""
    band = band_of(UPDATE_MEASURES[name], values.T)
    return Band(band.estimate, *(np.where(one_run, band.estimate, end) for end in (band.low, band.high)))


def _all_equal(values: Array) -> NDArray[np.bool_]:
    return np.asarray((values == values[:, :1]).all(1))
