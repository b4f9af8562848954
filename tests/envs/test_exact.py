"""Values, visits and gradients agree with the list of all trajectories and with finite differences."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.exact import evaluate, exact_gradient, expected_experience, visit_counts
from envs.finite_mdp import FiniteMDP
from envs.success import success_probability
from tests.envs.tiny_worlds import (
    Floats,
    Trajectory,
    bandit,
    entropy,
    expectation,
    from_gymnasium,
    random_logits,
    random_policy,
    random_world,
    softmax,
    trajectories,
    two_states,
    uniform_policy,
)

HORIZON = 4
GAMMAS = np.array([0.0, 0.6, 1.0])  # one a run
SEEDS = st.integers(0, 10_000)
close = np.testing.assert_allclose


def discounted_return(trajectory: Trajectory, gamma: float, bonus: Floats | None = None) -> float:
    """From the first step on; the bonus of the first state included."""
    paid = [0.0 if bonus is None else float(bonus[s]) for s in trajectory.states]
    return sum(gamma**t * (r + b) for t, (r, b) in enumerate(zip(trajectory.rewards, paid, strict=True)))


def discounted_visits(trajectory: Trajectory, gamma: float, states: int) -> Floats:
    counts = np.zeros(states)
    for t, s in enumerate(trajectory.states):
        counts[s] += gamma**t
    return counts


def rewards_to_go_by_action(
    trajectory: Trajectory, mdp: FiniteMDP, gamma: float, weighted: bool, bonus: Floats
) -> Floats:
    """sum_t w_t 1[s_t, a_t] (sum_{k >= t} gamma^(k-t) r_k + sum_{k > t} gamma^(k-t) bonus(s_k)), [S, A]."""
    sums = np.zeros((mdp.states, mdp.actions))
    steps = range(len(trajectory.states))
    for t in steps:
        to_go = sum(gamma ** (k - t) * trajectory.rewards[k] for k in steps[t:])
        to_go += sum(gamma ** (k - t) * bonus[trajectory.states[k]] for k in steps[t + 1 :])
        sums[trajectory.states[t], trajectory.actions[t]] += (gamma**t if weighted else 1.0) * to_go
    return sums


def started_in(mdp: FiniteMDP, state: int) -> FiniteMDP:
    return FiniteMDP(mdp.next_state, mdp.reward, mdp.terminated, mdp.probability, np.eye(mdp.states)[state])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("soft", [False, True])
def test_an_evaluation_is_the_mean_over_all_trajectories(seed: int, soft: bool) -> None:
    mdp = random_world(seed)
    pi = random_policy(seed, 3, mdp)
    bonus = 0.3 * entropy(pi) if soft else None
    found = evaluate(mdp, pi, horizon=HORIZON, discount=GAMMAS, entropy_bonus=bonus)
    for r, gamma in enumerate(GAMMAS):
        own = None if bonus is None else bonus[r]

        def mean(world: FiniteMDP, quantity: Any, policy: Floats = pi[r]) -> Floats:
            return expectation(world, policy, HORIZON, quantity)

        values = [
            mean(started_in(mdp, s), lambda t: discounted_return(t, gamma, own))  # noqa: B023
            for s in range(mdp.states)
        ]
        close(found.state_values[r], values, atol=1e-12)
        close(found.expected_return[r], mdp.start @ values, atol=1e-12)
        close(found.visit_counts[r], mean(mdp, lambda t: discounted_visits(t, 1.0, mdp.states)), atol=1e-12)
        close(found.expected_length[r], mean(mdp, lambda t: len(t.states)), atol=1e-12)
        own_bonus = 0.0 if own is None else own
        close((pi[r] * found.action_values[r]).sum(-1) + own_bonus, values, atol=1e-12)


def test_an_action_value_is_the_value_of_a_policy_that_begins_with_the_action() -> None:
    mdp = random_world(7)
    pi = random_policy(7, 1, mdp)
    found = evaluate(mdp, pi, horizon=HORIZON, discount=0.8)
    for s in range(mdp.states):
        for a in range(mdp.actions):
            everything = trajectories(started_in(mdp, s), pi[0], HORIZON)
            chosen = [t for t in everything if t.actions[0] == a]
            value = sum(t.probability / pi[0, s, a] * discounted_return(t, 0.8) for t in chosen)
            close(found.action_values[0, s, a], value, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_expected_experience_is_the_mean_over_all_trajectories(seed: int, weighted: bool) -> None:
    mdp = random_world(seed)
    pi = random_policy(seed, 3, mdp)
    bonus = 0.3 * entropy(pi)
    found = expected_experience(
        mdp, pi, horizon=HORIZON, discount=GAMMAS, discount_weighting=weighted, entropy_bonus=bonus
    )
    for r, gamma in enumerate(GAMMAS):
        to_go = expectation(
            mdp,
            pi[r],
            HORIZON,
            lambda t: rewards_to_go_by_action(t, mdp, gamma, weighted, bonus[r]),  # noqa: B023
        )
        close(found.advantage_sums[r], to_go - pi[r] * to_go.sum(-1, keepdims=True), atol=1e-12)
        counts = expectation(
            mdp,
            pi[r],
            HORIZON,
            lambda t: discounted_visits(t, gamma if weighted else 1.0, mdp.states),  # noqa: B023
        )
        close(found.visit_counts[r], counts, atol=1e-12)


def objective_value(
    mdp: FiniteMDP, pi: Floats, acting: Floats, objective: str, tau: float, offset: float, **episodes: Any
) -> float:
    """What an objective is worth: from trajectories, or from a long horizon where there is no limit."""
    gamma, horizon = episodes["discount"], episodes["horizon"]
    value = evaluate(mdp, pi, horizon=horizon or 400, discount=gamma).expected_return[0]
    if objective == "bonus":  # visits of the policy that acts, entropies of the policy that is changed
        return float(value + tau * (_visits(mdp, acting, gamma, horizon) * entropy(pi)[0]).sum())
    return float(value + tau * (_visits(mdp, pi, gamma, horizon) * (entropy(pi)[0] - offset)).sum())


def _visits(mdp: FiniteMDP, pi: Floats, gamma: float, horizon: int | None) -> Floats:
    if horizon is None:
        return np.asarray(visit_counts(mdp, pi, horizon=400, discount=gamma)[0])
    return expectation(mdp, pi[0], horizon, lambda t: discounted_visits(t, gamma, mdp.states))


@pytest.mark.parametrize("objective", ["bonus", "soft_return"])
@pytest.mark.parametrize(("horizon", "discount"), [(HORIZON, 0.7), (HORIZON, 1.0), (None, 0.7), (None, 1.0)])
@pytest.mark.parametrize("tau", [0.0, 0.4])
def test_gradients_are_finite_differences(
    objective: Literal["bonus", "soft_return"], horizon: int | None, discount: float, tau: float
) -> None:
    mdp = random_world(11)
    logits = random_logits(11, 1, mdp)
    settings_of = {"horizon": horizon, "discount": discount}
    gradient = exact_gradient(
        mdp,
        logits,
        horizon=horizon,
        discount=discount,
        entropy_coef=tau,
        objective=objective,
        offset=np.log(2),
    )
    for s, a in np.ndindex(mdp.states, mdp.actions):
        step = np.zeros_like(logits)
        step[0, s, a] = 1e-5
        up, down = (
            objective_value(
                mdp, softmax(logits + sign * step), softmax(logits), objective, tau, np.log(2), **settings_of
            )
            for sign in (1, -1)
        )
        close(gradient[0, s, a], (up - down) / 2e-5, atol=1e-8)


def test_the_coefficient_may_differ_from_run_to_run() -> None:
    mdp = random_world(5)
    logits = random_logits(5, 2, mdp)
    both = exact_gradient(mdp, logits, horizon=3, discount=0.9, entropy_coef=np.array([0.1, 0.5]))
    for r, tau in enumerate((0.1, 0.5)):
        alone = exact_gradient(mdp, logits[[r]], horizon=3, discount=0.9, entropy_coef=tau)
        close(both[r], alone[0], atol=1e-12)


@pytest.mark.parametrize("horizon", [1, 5, 12, None])
@pytest.mark.parametrize("actions", [4, 11])  # 11: NumPy's own sums would be done in blocks
def test_a_run_does_not_know_its_neighbours(horizon: int | None, actions: int) -> None:
    mdp = random_world(3, states=11, actions=actions)
    pi = random_policy(3, 7, mdp)
    gamma = np.linspace(0.4, 1.0, 7)

    def everything(runs: list[int]) -> dict[str, np.ndarray]:
        given = {"horizon": horizon, "discount": gamma[runs], "entropy_bonus": entropy(pi[runs])}
        found = vars(evaluate(mdp, pi[runs], **given)) | vars(expected_experience(mdp, pi[runs], **given))
        visits = visit_counts(mdp, pi[runs], horizon=horizon, discount=gamma[runs])
        gradient = exact_gradient(mdp, np.log(pi[runs]), horizon=horizon, discount=gamma[runs], entropy_coef=0.1)
        found |= {"visits": visits, "gradient": gradient}
        if horizon is not None:
            found["success"] = success_probability(mdp, pi[runs], horizon=horizon, solved_return=1.0)
        return found

    together = everything(list(range(7)))
    for r in range(7):
        for name, alone in everything([r]).items():
            np.testing.assert_array_equal(alone[0], together[name][r], err_msg=name)


@given(seed=SEEDS, horizon=st.sampled_from([1, 2, 6, None]), weighted=st.booleans())
@settings(deadline=None, max_examples=40)
def test_advantages_cancel_over_the_actions(seed: int, horizon: int | None, weighted: bool) -> None:
    mdp = random_world(seed, states=4, actions=3)
    pi = random_policy(seed, 2, mdp)
    found = expected_experience(mdp, pi, horizon=horizon, discount=0.9, discount_weighting=weighted)
    scale = np.abs(found.advantage_sums).max()
    assert np.abs(found.advantage_sums.sum(-1)).max() <= 1e-12 * max(1.0, scale)


@given(seed=SEEDS, horizon=st.sampled_from([1, 2, 6, None]), factor=st.sampled_from([-2.0, 0.0, 0.5]))
@settings(deadline=None, max_examples=40)
def test_values_and_gradients_are_linear_in_the_rewards(seed: int, horizon: int | None, factor: float) -> None:
    mdp = random_world(seed)
    scaled = FiniteMDP(mdp.next_state, factor * mdp.reward, mdp.terminated, mdp.probability, mdp.start)
    pi = random_policy(seed, 2, mdp)
    one, other = (evaluate(m, pi, horizon=horizon, discount=0.9).state_values for m in (mdp, scaled))
    close(other, factor * one, atol=1e-12)
    one, other = (exact_gradient(m, np.log(pi), horizon=horizon, discount=0.9) for m in (mdp, scaled))
    close(other, factor * one, atol=1e-12)


@given(seed=SEEDS, horizon=st.sampled_from([1, 2, 6, None]))
@settings(deadline=None, max_examples=40)
def test_visits_add_up_to_the_length_and_pay_the_return(seed: int, horizon: int | None) -> None:
    mdp = random_world(seed)
    pi = random_policy(seed, 2, mdp)
    found = evaluate(mdp, pi, horizon=horizon)
    close(found.visit_counts.sum(-1), found.expected_length, atol=1e-12)
    assert (found.expected_length >= 1 - 1e-12).all()
    reward = (pi * (mdp.probability * mdp.reward).sum(-1)).sum(-1)
    close((found.visit_counts * reward).sum(-1), found.expected_return, atol=1e-12)
    if horizon is not None:
        discounted = visit_counts(mdp, pi, horizon=horizon, discount=0.5)
        assert (discounted.sum(-1) <= min(2.0, horizon) + 1e-12).all()  # 1 + 1/2 + 1/4 + ...


@pytest.mark.parametrize(
    ("world_id", "limit", "success"), [("FrozenLake-v1", 100, 0.01394), ("FrozenLake8x8-v1", 200, 0.00190)]
)
def test_a_uniform_policy_on_the_frozen_lake(world_id: str, limit: int, success: float) -> None:
    mdp = from_gymnasium(world_id)
    found = evaluate(mdp, uniform_policy(mdp), horizon=limit)
    assert found.expected_return[0] == pytest.approx(success, abs=5e-6)


def test_a_uniform_policy_at_the_cliff_needs_6453_steps() -> None:
    mdp = from_gymnasium("CliffWalking-v1")
    assert evaluate(mdp, uniform_policy(mdp), horizon=None).expected_length[0] == pytest.approx(6453, abs=0.5)


@pytest.mark.parametrize("tau", [0.01, 0.3, 5.0])
def test_the_bonus_and_the_soft_return_rest_at_different_policies(tau: float) -> None:
    """In state 0, to end or to go on: (1/2, 1/2) under the bonus, (1/5, 4/5) under the soft return."""
    uniform = np.full(4, 1 / 4)
    rests = {"bonus": uniform, "soft_return": np.array([1, 1, 4, 4]) / 10}
    for objective, rest in rests.items():
        for policy in rests.values():
            gradient = exact_gradient(
                two_states(),
                np.log([[policy, uniform]]),
                horizon=2,
                entropy_coef=tau,
                objective=objective,  # type: ignore[arg-type]
            )
            assert (np.abs(gradient).max() < 1e-12 * tau) == (policy is rest)


def test_the_gradient_of_the_entropy_at_the_confident_policy() -> None:
    """- pi (log pi + H), in numbers."""
    pi = np.array([0.9, 0.05, 0.025, 0.025])
    gradient = exact_gradient(bandit([0.0] * 4), np.log(pi)[None, None], horizon=1, entropy_coef=1.0)
    close(gradient[0, 0], [-0.291325, 0.128334, 0.081496, 0.081496], atol=5e-7)


def ascend(start: list[float], tau: float, iterations: int) -> Floats:
    """The policy of a three-armed bandit after exact gradient steps of 0.4."""
    world, logits = bandit([1.0, 0.9, 0.1]), np.log([[start]])
    for _ in range(iterations):
        logits = logits + 0.4 * exact_gradient(world, logits, horizon=1, entropy_coef=tau)
    return np.asarray(softmax(logits)[0, 0])


def test_the_curves_of_mei_et_al() -> None:
    """On the Global Convergence Rates of Softmax Policy Gradient Methods, 2020, Fig. 1; its t is steps + 1."""
    assert 1 - ascend([0.05, 0.01, 0.94], 0.0, 100) @ [1.0, 0.9, 0.1] == pytest.approx(0.0224, abs=5e-5)
    before, after = (ascend([0.01, 0.05, 0.94], 0.2, steps)[0] for steps in (185, 186))
    assert before < 0.5 < after  # crosses at t = 187
    assert 1 - ascend([0.01, 0.05, 0.94], 0.2, 9_999) @ [1.0, 0.9, 0.1] == pytest.approx(0.0437, abs=5e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pi": np.ones((3, 2)) / 2}, r"pi: must have shape \[R, 3, 2\]"),
        ({"pi": np.ones((1, 2, 3)) / 3}, r"pi: must have shape \[R, 3, 2\]"),
        ({"horizon": 0}, "horizon: must be at least 1"),
        ({"discount": 1.1}, "discount: must lie between 0 and 1"),
        ({"discount": np.array([0.9, np.nan])}, "discount: must lie between 0 and 1"),
        ({"discount": np.ones(3)}, r"discount: must be one number or one per run, \[2\]"),
        ({"entropy_bonus": np.ones(2)}, r"entropy_bonus: must have shape \[2, 3\]"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    mdp = random_world(0)
    arguments: dict[str, Any] = {"pi": random_policy(0, 2, mdp), "horizon": 3, "discount": 1.0}
    for function in (evaluate, expected_experience):
        with pytest.raises(ValueError, match=message):
            function(mdp, **(arguments | changes))
