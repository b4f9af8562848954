"""Exact values, visits and policy gradients of a finite world, for many policies at once.

Letters: R runs, T time steps, S states, A actions.
`horizon` is the number of steps after which an episode is cut off (the state then reached counts as worth nothing,
as in an episode sampled under a time limit), or None: no limit. `discount` is one number, or one per run, [R].

Without discount and limit, actions with a probability below 1e-12 are ignored when it is decided whether an
episode ever ends; in all other computations they count as they are.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # its modules are loaded when used: `special` takes a tenth of a second

from envs import endless
from envs.dynamics import (
    Discount,
    Dynamics,
    Floats,
    backward,
    dynamics,
    forward,
    mean_over_actions,
    runs_first,
    runs_last,
)
from envs.finite_mdp import FiniteMDP


@dataclass(frozen=True)
class Evaluation:
    """What a policy is worth. Values are those at the first step of an episode."""

    state_values: Floats  # [R, S]
    action_values: Floats  # [R, S, A]
    expected_return: Floats  # [R] discounted, from the start distribution
    visit_counts: Floats  # [R, S] expected number of steps in each state, undiscounted
    expected_length: Floats  # [R] expected number of steps; infinite if an episode may never end


@dataclass(frozen=True)
class ExpectedExperience:
    """The expected sums and counts that an episode adds to the experience in the loss."""

    advantage_sums: Floats  # [R, S, A]
    visit_counts: Floats  # [R, S]


def evaluate(
    mdp: FiniteMDP,
    pi: Floats,
    *,
    horizon: int | None,
    discount: Discount = 1.0,
    entropy_bonus: Floats | None = None,
) -> Evaluation:
    """Evaluate policies exactly.

    Args:
        pi: action probabilities, [R, S, A].
        entropy_bonus: a reward for every step in a state, [R, S]; with coefficient x entropy, the values are the
            soft values of the policy. The action values leave out the bonus of the state itself, which no action
            changes: V = sum_a pi Q + bonus.
    Returns:
        an Evaluation; undiscounted values without a limit may be infinite (see `endless.values`).
    Raises:
        ValueError: a shape, the horizon or a discount is not valid.
    """
    _check(mdp, pi, horizon, discount, entropy_bonus)
    model = dynamics(mdp)
    if horizon is None:
        state_values = endless.state_values(model, pi, discount, entropy_bonus)
        action_values = endless.action_values(model, state_values, discount)
        counts = endless.visits(model, pi, 1.0)
    else:
        policy = runs_last(pi)
        bonus = None if entropy_bonus is None else entropy_bonus.T
        for last_q, last_v in backward(model, policy, horizon, discount, bonus):
            action_values, state_values = runs_first(last_q), runs_first(last_v)
        state_values = state_values if entropy_bonus is None else state_values + entropy_bonus
        counts = _expected_steps(model, policy, horizon, 1.0)
    at_start = np.where(model.start > 0, state_values, 0.0)  # elsewhere it may be infinite
    return Evaluation(
        state_values=state_values,
        action_values=action_values,
        expected_return=(at_start * model.start).sum(-1),
        visit_counts=counts,
        expected_length=counts.sum(-1),
    )


def visit_counts(mdp: FiniteMDP, pi: Floats, *, horizon: int | None, discount: Discount = 1.0) -> Floats:
    """sum_t discount^t P(s_t = s), [R, S]; infinite where an undiscounted episode without a limit stays for
    ever."""
    _check(mdp, pi, horizon, discount, None)
    if horizon is None:
        return endless.visits(dynamics(mdp), pi, discount)
    return _expected_steps(dynamics(mdp), runs_last(pi), horizon, discount)


def _expected_steps(model: Dynamics, policy: Floats, horizon: int, discount: Discount) -> Floats:
    """Sum over t of discount^t P(s_t = s): policy [S, A, R] -> [R, S]."""
    steps = np.zeros((policy.shape[0], policy.shape[2]))
    for at_time in forward(model, policy, horizon, discount):  # not `sum`, which adds one state and run in pairs
        steps += at_time
    return runs_first(steps)


def expected_experience(
    mdp: FiniteMDP,
    pi: Floats,
    *,
    horizon: int | None,
    discount: Discount = 1.0,
    discount_weighting: bool = False,
    entropy_bonus: Floats | None = None,
) -> ExpectedExperience:
    """The expected advantage sums and visit counts of an episode.

        advantage_sums[r, s, a] = sum_t w_t P(s_t = s) pi(a|s) (Q_t(s, a) - V_t(s))
        visit_counts[r, s]      = sum_t w_t P(s_t = s)

    with w_t = discount^t under `discount_weighting`, else 1. In place of the sampled ones they make a REINFORCE
    loss exact. V_t changes no expected gradient, because sum_a grad pi(a|s) = 0; it is subtracted because it keeps
    the numbers, and so their rounding, small. The sums over the actions are then 0, and the advantage sums are
    themselves the gradient with respect to tabular logits.

    Args:
        pi: action probabilities, [R, S, A].
        entropy_bonus: coefficient x entropy in each state, [R, S], for the soft return, in which entropy
            counts as reward (Haarnoja et al., 2018, Soft Actor-Critic). The reward-to-go of step t then
            includes the bonuses of all later steps; the bonus of step t itself is left to the entropy term of the
            loss, which differentiates it.
    Raises:
        ValueError: a shape, the horizon or a discount is not valid; or there is no limit, and episodes of this
            world never end and are not discounted. If episodes end, but not under the policy of one run, only that
            run's results are not finite.
    """
    _check(mdp, pi, horizon, discount, entropy_bonus)
    model = dynamics(mdp)
    if horizon is None:
        return _unlimited_experience(model, pi, discount, discount_weighting, entropy_bonus)
    policy = runs_last(pi)
    bonus = None if entropy_bonus is None else entropy_bonus.T
    visits = forward(model, policy, horizon, discount if discount_weighting else 1.0)
    advantage_sums = np.zeros(policy.shape)
    counts = np.zeros(visits.shape[1:])
    for t, (action_values, values) in enumerate(backward(model, policy, horizon, discount, bonus), start=1):
        action_values -= values[:, None]
        action_values *= visits[-t][:, None]
        advantage_sums += action_values
        counts += visits[-t]
    advantage_sums *= policy
    return ExpectedExperience(runs_first(advantage_sums), runs_first(counts))


def exact_gradient(
    mdp: FiniteMDP,
    logits: Floats,
    *,
    horizon: int | None,
    discount: Discount = 1.0,
    discount_weighting: bool = True,
    entropy_coef: float | Floats = 0.0,
    objective: Literal["bonus", "soft_return"] = "bonus",
    offset: float = 0.0,
) -> Floats:
    """The direction of ascent with respect to tabular logits, [R, S, A] -> [R, S, A].

    With discount weighting (or discount 1):
        entropy_coef 0           the gradient of the discounted return;
        objective "bonus"        that, plus entropy_coef x sum_t w_t P(s_t = s) grad H(pi(.|s)): the expected
                                 update of a loss with the negative entropy of the visited states. The visits
                                 are not differentiated, so no fixed objective has this gradient;
        objective "soft_return"  the gradient of E sum_t discount^t (r_t + entropy_coef (H(s_t) - offset)).
    Without it, all w_t are 1: the expected update of most programs, and the gradient of neither return.

    dH / d logit_a = - pi_a (log pi_a + H).

    Args:
        entropy_coef: weight of the entropy in nats, one number or one per run, [R].
        offset: nats subtracted from every entropy in the soft return, such as log A.
    """
    pi = scipy.special.softmax(logits, axis=-1)
    minus_pi_log_pi = scipy.special.entr(pi)
    entropy = minus_pi_log_pi.sum(-1)
    coefficient = np.reshape(entropy_coef, (-1, 1))
    experience = expected_experience(
        mdp,
        pi,
        horizon=horizon,
        discount=discount,
        discount_weighting=discount_weighting,
        entropy_bonus=coefficient * (entropy - offset) if objective == "soft_return" else None,
    )
    entropy_gradient = minus_pi_log_pi - pi * entropy[..., None]
    weight = (coefficient * experience.visit_counts)[..., None]
    return np.asarray(experience.advantage_sums + weight * entropy_gradient)


def _unlimited_experience(
    model: Dynamics, pi: Floats, discount: Discount, discount_weighting: bool, bonus: Floats | None
) -> ExpectedExperience:
    weighting = discount if discount_weighting else 1.0
    ever = endless.structure_of_any_action(model)
    if np.max(weighting) == 1.0 and (ever.closed & endless.reached(model, ever)).any():
        raise ValueError(
            "expected_experience: episodes of this world may never end, so the undiscounted visit counts are "
            "infinite; give a horizon, or a discount below 1 with discount_weighting"
        )
    counts = endless.visits(model, pi, weighting)
    state_values = endless.state_values(model, pi, discount, bonus)
    if not np.isfinite(state_values).all():  # 0 x infinity would spoil states that no episode visits
        state_values[~endless.reached(model, endless.structure(model, pi))] = 0.0
    action_values = endless.action_values(model, state_values, discount)
    mean = mean_over_actions(pi.transpose(1, 2, 0), action_values.transpose(1, 2, 0)).T
    with np.errstate(invalid="ignore"):  # a run that never ends
        advantage_sums = counts[..., None] * pi * (action_values - mean[..., None])
    return ExpectedExperience(np.ascontiguousarray(advantage_sums), counts)


def _check(
    mdp: FiniteMDP, pi: Floats, horizon: int | None, discount: Discount, entropy_bonus: Floats | None
) -> None:
    if pi.ndim != 3 or pi.shape[1:] != (mdp.states, mdp.actions):
        raise ValueError(f"pi: must have shape [R, {mdp.states}, {mdp.actions}], not {list(pi.shape)}")
    if horizon is not None and horizon < 1:
        raise ValueError(f"horizon: must be at least 1, or None for episodes without a limit, not {horizon}")
    single = isinstance(discount, float | int)
    if not single and np.shape(discount) not in ((), (len(pi),)):
        raise ValueError(f"discount: must be one number or one per run, [{len(pi)}], not {np.shape(discount)}")
    if not 0 <= np.min(discount) <= np.max(discount) <= 1:
        raise ValueError(f"discount: must lie between 0 and 1, not {discount}")
    if entropy_bonus is not None and entropy_bonus.shape != pi.shape[:2]:
        raise ValueError(f"entropy_bonus: must have shape {list(pi.shape[:2])}, not {list(entropy_bonus.shape)}")
