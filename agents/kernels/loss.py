"""The REINFORCE loss with its entropy term and its gradient by the logits, for one run, compiled.

S: states, A: actions. The definition is `agents.reinforce.loss_terms`, where torch finds the gradient.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled
from agents.kernels.rows import total

Array = NDArray[Any]

REGULARIZERS = ("entropy", "kl_from_uniform", "logit_l2")  # see `agents.regularizers`
ENTROPY, KL_FROM_UNIFORM, LOGIT_L2 = range(3)


@compiled()
def loss_terms(
    log_pi: Array, entropy: Array, advantage_sums: Array, counts: Array, normalizer: float, regularizer: int
) -> tuple[float, float, float]:
    """The policy loss, the negative entropy, and what the coefficient weighs: the latter, or a control.

    Args:
        log_pi, entropy: of the policy whose score function is used, [S, A] and [S].
        advantage_sums: the sum of the advantages of the steps that took the action, [S, A].
        counts: the number of steps in the state, with discount weighting each counting discount^t, [S].
        normalizer: the number of episodes, or of steps.
        regularizer: a place in REGULARIZERS.
    """
    policy_loss = negative_entropy = weighed = 0.0
    for s in range(log_pi.shape[0]):
        negative_entropy -= counts[s] * entropy[s]
        for a in range(log_pi.shape[1]):
            policy_loss -= advantage_sums[s, a] * log_pi[s, a]
    if regularizer == ENTROPY:
        weighed = negative_entropy
    else:
        for s in range(log_pi.shape[0]):
            if counts[s] != 0:
                weighed += counts[s] * _control(log_pi[s], regularizer)
    return policy_loss / normalizer, negative_entropy / normalizer, weighed / normalizer


@compiled(inlined=True)
def _control(log_pi: Array, regularizer: int) -> float:
    """The value of a control in one state: another regularizer that pulls towards uniform."""
    actions, mean, squares = len(log_pi), total(log_pi) / len(log_pi), 0.0
    if regularizer == KL_FROM_UNIFORM:
        return -mean - math.log(actions)
    for a in range(actions):
        squares += (log_pi[a] - mean) ** 2
    return 0.5 * squares


@compiled(makes_arrays=True)
def gradient_by_logits(
    score: tuple[Array, Array, Array], softmax: Array, epsilon: float, advantage_sums: Array, counts: Array,
    normalizer: float, entropy_coef: float, regularizer: int, gradient: Array,
) -> None:  # fmt: skip
    """Fill in the gradient of the loss by the logits, [S, A].

    With p = (1 - epsilon) pi + epsilon / A: d loss / d log p_a = - advantages_a + coef * count * slope_a, where
    slope_a is p_a * (log p_a + H), or that of a control. Further, d log p_a / d log pi_a = (1 - epsilon) pi_a /
    p_a. With d_a = d loss / d log pi_a, the softmax gives d_a - pi_a * sum(d).

    Args:
        score: log p, p and the entropy H of p, [S, A], [S, A] and [S].
        softmax: pi, [S, A].
        epsilon: 0: p is pi.
        advantage_sums, counts, normalizer, regularizer: as in `loss_terms`.
        entropy_coef: weight of the negative entropy, or of the control.
        gradient: filled in.
    """
    log_p, p, entropy = score
    actions = log_p.shape[1]
    by_log_pi, slope = np.empty(actions), np.empty(actions)
    for s in range(log_p.shape[0]):
        sum_of_all, weight = 0.0, entropy_coef * counts[s]
        if weight != 0:
            _slopes(log_p[s], p[s], entropy[s], regularizer, slope)
        for a in range(actions):
            pull = 0.0 if weight == 0 else weight * slope[a]
            through = 1.0 if epsilon == 0 else (1 - epsilon) * softmax[s, a] / p[s, a]
            by_log_pi[a] = through * (pull - advantage_sums[s, a]) / normalizer
            sum_of_all += by_log_pi[a]
        for a in range(actions):
            gradient[s, a] = by_log_pi[a] - softmax[s, a] * sum_of_all


@compiled(inlined=True)
def _slopes(log_p: Array, p: Array, entropy: float, regularizer: int, slope: Array) -> None:
    """Derivatives of a state's regularizer by its log-probabilities, [A]."""
    mean = total(log_p) / len(log_p)
    for a in range(len(log_p)):
        if regularizer == ENTROPY:
            slope[a] = p[a] * (log_p[a] + entropy)
        elif regularizer == KL_FROM_UNIFORM:
            slope[a] = -1 / len(log_p)
        else:
            slope[a] = log_p[a] - mean
