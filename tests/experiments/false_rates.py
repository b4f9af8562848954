"""How often tests of a paired difference decide where there is nothing to find: the table of docs/statistics.md.

    python -m tests.experiments.false_rates          # about two minutes of one core

Each test gets data for which its own null hypothesis is true: a mean of 0 for tests of the mean, as many
differences above 0 as below it for sign tests. It may be wrong in 2.5 % of the experiments in each direction.

n: pairs, D: simulated data sets, B: resamples.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.analysis.exact_tests import ALPHA

Array = NDArray[np.float64]
Rejected = tuple[float, float]  # fractions of the data sets that are called below 0, and above 0
Draw = Callable[[np.random.Generator, tuple[int, int]], Array]
Test = Callable[[Array], tuple[Array, Array]]  # [D, n] -> p values of "below 0" and "above 0", [D] each

DATA_SETS = 20_000
RESAMPLES = 1999
BLOCK = 500  # data sets at a time: bounds the memory
SIZES = (10, 30, 100)


# --- data: paired differences, [D, n], and what to subtract from them for a mean of 0, and for a median of 0


def _bimodal(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """A run of the first arm ends at the bottom with chance .05, else 1 above; the second arm never does."""
    return np.where(rng.random(shape) < 0.05, 0.0, 1.0) + 0.1 * rng.normal(size=shape)


SHAPES: dict[str, tuple[Draw, float, float]] = {
    "normal": (lambda rng, shape: rng.normal(size=shape), 0.0, 0.0),
    "skewed (exponential)": (lambda rng, shape: rng.exponential(size=shape), 1.0, math.log(2)),
    "5 % of one arm at the bottom": (_bimodal, 0.95, 1 + 0.1 * float(stats.norm.ppf((0.5 - 0.05) / 0.95))),
    "heavy ties (-1, 0, 1 with .1, .8, .1)": (
        lambda rng, shape: rng.choice([-1.0, 0.0, 1.0], size=shape, p=[0.1, 0.8, 0.1]),
        0.0,
        0.0,
    ),
    "spreads 1 and 5": (lambda rng, shape: rng.normal(size=shape) - 5 * rng.normal(size=shape), 0.0, 0.0),
}


# --- tests


def sign_flips(differences: Array) -> tuple[Array, Array]:
    """Sign flips of the mean: exact if the differences are symmetric about 0."""
    n = differences.shape[1]
    if 2**n <= RESAMPLES:
        signs = 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    else:
        random = np.random.default_rng(0)
        signs = np.concatenate([np.ones((1, n)), random.choice([-1.0, 1.0], size=(RESAMPLES, n))])
    flipped, seen = signs @ differences.T, differences.sum(1)
    tolerance = 1e-9 * np.abs(differences).sum(1)
    return (flipped <= seen + tolerance).mean(0), (flipped >= seen - tolerance).mean(0)


def bootstrap_t(differences: Array) -> tuple[Array, Array]:
    """Studentised bootstrap of the mean: the distribution of (mean* - mean) / error* stands for that of
    mean / error. A resample of equal values has no error, and counts on both sides."""
    n = differences.shape[1]
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n  # [B, n]
    mean, error = differences.mean(1), _error(differences.mean(1), (differences**2).mean(1), n)
    means, squares = counts @ differences.T, counts @ (differences**2).T
    errors = _error(means, squares, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        t, resampled = mean / error, (means - mean) / errors
    degenerate = errors == 0
    low = (1 + ((resampled <= t) | degenerate).sum(0)) / (1 + RESAMPLES)
    high = (1 + ((resampled >= t) | degenerate).sum(0)) / (1 + RESAMPLES)
    return low, high


def _error(mean: Array, square: Array, n: int) -> Array:
    variance = square - mean**2
    return np.sqrt(np.where(variance > 1e-12 * square, variance, 0.0) / (n - 1))


def student_t(differences: Array) -> tuple[Array, Array]:
    """Student's t of the mean."""
    n = differences.shape[1]
    error = differences.std(1, ddof=1) / math.sqrt(n)
    t = np.divide(differences.mean(1), error, out=np.zeros(len(differences)), where=error > 0)
    return stats.t.cdf(t, n - 1), stats.t.sf(t, n - 1)


def sign_test(differences: Array) -> tuple[Array, Array]:
    """Exact sign test: of the pairs that differ, half favour each arm."""
    above, below = (differences > 0).sum(1), (differences < 0).sum(1)
    return stats.binom.cdf(above, above + below, 0.5), stats.binom.cdf(below, above + below, 0.5)


def median_test(differences: Array) -> tuple[Array, Array]:
    """Exact sign test of the median, for a margin: a difference of just the margin counts on both sides."""
    n = differences.shape[1]
    return stats.binom.cdf((differences >= 0).sum(1), n, 0.5), stats.binom.cdf((differences <= 0).sum(1), n, 0.5)


OF_MEANS = {"sign flips": sign_flips, "bootstrap-t": bootstrap_t, "Student's t": student_t}
OF_MEDIANS = {"sign test": sign_test, "sign test of a margin": median_test}


def rates(test: Test, draw: Draw, shift: float, n: int) -> Rejected:
    """How often the test is wrong in each direction, of DATA_SETS."""
    rng = np.random.default_rng(n)
    low = high = 0
    for _ in range(0, DATA_SETS, BLOCK):
        p_low, p_high = test(draw(rng, (BLOCK, n)) - shift)
        low += int((p_low <= ALPHA / 2).sum())
        high += int((p_high <= ALPHA / 2).sum())
    return low / DATA_SETS, high / DATA_SETS


def table() -> str:
    """The table in Markdown: percent below / above, of a promised 2.5 / 2.5."""
    tests = [*OF_MEANS, *OF_MEDIANS]
    rows = ["| differences | n | " + " | ".join(tests) + " |", "| --- " * (len(tests) + 2) + "|"]
    for shape, (draw, mean, median) in SHAPES.items():
        for n in SIZES:
            found = [rates(test, draw, mean, n) for test in OF_MEANS.values()]
            found += [rates(test, draw, median, n) for test in OF_MEDIANS.values()]
            cells = [f"{100 * low:.1f} / {100 * high:.1f}" for low, high in found]
            rows.append(f"| {shape} | {n} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


# --- families of worlds: mean differences of two arms over eight seeds in each world, [D, W]; the truth is 0

SEEDS = 8
FAMILY_SIZES = (6, 12, 24, 48)


def _shares(rng: np.random.Generator, chance: Array, seeds: int = SEEDS) -> Array:
    """Of a world's seeds, those that succeed with this chance, [D, W]."""
    return rng.binomial(seeds, chance) / seeds


def _no_effect(rng: np.random.Generator, shape: tuple[int, int], seeds: int = SEEDS) -> Array:
    """Easy and hard worlds (chances Beta(.5, .5)), the same for both arms."""
    chance = rng.beta(0.5, 0.5, shape)
    return _shares(rng, chance, seeds) - _shares(rng, chance, seeds)


def _mostly_hopeless(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Four worlds in five that nobody solves, and one that half of the seeds do, in either arm."""
    chance = np.where(rng.random(shape) < 0.8, 0.0, 0.5)
    return _shares(rng, chance) - _shares(rng, chance)


def _as_much_help_as_harm(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Chances of the arms that have nothing to do with each other, and one distribution."""
    return _shares(rng, rng.beta(0.5, 0.5, shape)) - _shares(rng, rng.beta(0.5, 0.5, shape))


def _all_or_none(chance: float) -> Draw:
    """One arm's seeds succeed all or none, world by world; the other's one by one, with the same chance."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        return (rng.random(shape) < chance) - _shares(rng, np.full(shape, chance))

    return draw


def _rare_harm(harmed: float, harm: float) -> Draw:
    """Much harm in a few worlds, and so much help in all others that the mean is 0."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        effect = np.where(rng.random(shape) < harmed, -harm, harm * harmed / (1 - harmed))
        return _shares(rng, 0.5 + effect / 2) - _shares(rng, 0.5 - effect / 2)

    return draw


def _times(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Mean times until an event as shares of the budget, which ends some; fast and slow worlds."""
    scale = rng.exponential(0.5, shape)[..., None]
    first, second = (np.minimum(scale * rng.exponential(size=(*shape, SEEDS)), 1.0).mean(-1) for _ in range(2))
    return first - second


FAMILIES: dict[str, Draw] = {
    "no effect": _no_effect,
    "no effect, one seed per world": lambda rng, shape: _no_effect(rng, shape, seeds=1),
    "no effect, most worlds hopeless": _mostly_hopeless,
    "no effect, times": _times,
    "as much help as harm": _as_much_help_as_harm,
    "one arm all or none, chance .5": _all_or_none(0.5),
    "one arm all or none, chance .3": _all_or_none(0.3),
    "harm of .4 in a fifth of the worlds": _rare_harm(0.2, 0.4),
    "harm of .95 in a twentieth": _rare_harm(0.05, 0.95),
}


def family_table() -> str:
    """The table of tests over worlds in Markdown: percent below / above, of a promised 2.5 / 2.5."""
    tests = {**OF_MEANS, "sign test": sign_test}
    rows = ["| arms | worlds | " + " | ".join(tests) + " |", "| --- " * (len(tests) + 2) + "|"]
    for name, draw in FAMILIES.items():
        for worlds in FAMILY_SIZES:
            found = [rates(test, draw, 0.0, worlds) for test in tests.values()]
            cells = [f"{100 * low:.1f} / {100 * high:.1f}" for low, high in found]
            rows.append(f"| {name} | {worlds} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(), family_table(), sep="\n\n")
