"""The comparison is calibrated: it calls a right mean right and a wrong one wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.gradients.agreement import Agreement, Array, compare
from experiments.gradients.checks import Setting

RUNS, PARAMETERS = 1000, 12


def directions(parameters: int = PARAMETERS, number: int = 5) -> Array:
    drawn = np.random.default_rng(7).normal(size=(parameters, number))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=0))


def normal_steps(seed: int, off: float = 0.0) -> Agreement:
    """Correlated normal samples whose mean is the reference, or `off` standard errors from it in one parameter."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(PARAMETERS, PARAMETERS))
    reference = rng.normal(size=PARAMETERS)
    steps = reference + rng.normal(size=(RUNS, PARAMETERS)) @ mixing
    reference[0] += off * np.linalg.norm(mixing[:, 0]) / np.sqrt(RUNS)
    return compare(steps, reference, directions())


def test_of_right_means_the_p_values_are_uniform() -> None:
    found = [normal_steps(seed) for seed in range(300)]
    assert stats.kstest([a.p_chi_squared for a in found], "uniform").pvalue > 0.001
    # Bonferroni keeps its promise; with correlated parameters it keeps a little more
    assert np.mean([a.p_z < 0.05 for a in found]) <= stats.binom.ppf(0.999, 300, 0.05) / 300
    assert {a.degrees for a in found} == {5}
    assert {a.tested for a in found} == {PARAMETERS}


def test_a_mean_eight_standard_errors_off_is_found() -> None:
    """In one of twelve parameters; z is off by the noise of the mean itself, here 3.29 (99.9 %)."""
    for seed in range(20):
        found = normal_steps(seed, off=8.0)
        assert abs(found.z - 8) < 3.29
        assert found.p_z < 1e-4


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_the_scale_of_the_steps_does_not_matter(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    steps, reference = rng.normal(size=(RUNS, PARAMETERS)), rng.normal(size=PARAMETERS)
    plain, scaled = (compare(k * steps, k * reference, directions()) for k in (1.0, scale))
    assert scaled.z == pytest.approx(plain.z, rel=1e-6)
    assert scaled.chi_squared == pytest.approx(plain.chi_squared, rel=1e-6)
    assert (scaled.cosine, scaled.ratio) == pytest.approx((plain.cosine, plain.ratio))


def test_a_parameter_that_too_few_runs_move_is_not_called_normal() -> None:
    """Moved in 20 of 1000 runs by 1: the right mean may be far off by the samples' own measure."""
    steps = np.random.default_rng(0).normal(size=(RUNS, 2))
    steps[:, 1] = np.arange(RUNS) < 20
    found = compare(steps, np.array([0.0, 0.1]), np.eye(2)[:, :1])
    assert found.tested == 1
    assert found.p_z > 0.01


def test_what_all_runs_do_alike_needs_no_statistics() -> None:
    """No spread at all, as in a world without chance: equal is right, and anything else is wrong."""
    steps = np.random.default_rng(0).normal(size=(RUNS, 2))
    steps[:, 1] = 0.25
    assert compare(steps, np.array([0.0, 0.25]), np.eye(2)).p_z > 0.01
    assert compare(steps, np.array([0.0, 0.26]), np.eye(2)).p_z == 0.0


def test_cosine_and_ratio_are_those_of_the_mean_step() -> None:
    steps = np.tile([3.0, 4.0], (10, 1))
    found = compare(steps, np.array([2.0, 0.0]), np.eye(2))
    assert (found.cosine, found.ratio) == pytest.approx((0.6, 2.5))


def test_the_reference_is_the_gradient_by_finite_differences() -> None:
    """Of the discounted soft return of a network's parameters, in a world that was solved without gradients."""
    from envs.exact import evaluate

    setting = Setting({"id": "FourAction/Grid-v0", "max_episode_steps": 8}, {"policy": "mlp", "hidden_sizes": [3]})
    options = {
        "discount": 0.9,
        "discount_weighting": True,
        "entropy_coef": 0.3,
        "entropy_objective": "soft_return",
    }
    theta, shape = setting._theta, setting._shape

    def soft_return(parameters: Array) -> float:
        logits = shape.logits(theta.new_tensor(parameters[None]))
        log_pi = logits.log_softmax(-1).numpy()
        bonus = -0.3 * (np.exp(log_pi) * log_pi).sum(-1)
        found = evaluate(setting._mdp, np.exp(log_pi), horizon=8, discount=0.9, entropy_bonus=bonus)
        return float(found.expected_return[0])

    at, step = theta.numpy(), 1e-5
    differences = [
        (soft_return(at + step * unit) - soft_return(at - step * unit)) / (2 * step) for unit in np.eye(len(at))
    ]
    np.testing.assert_allclose(setting.exact_step(options), differences, atol=1e-8)
