"""The REINFORCE loss with its entropy term and its gradient by the logits, for one run, compiled.

S: states, A: actions. The definition is `agents.reinforce.loss_terms`, where torch finds the gradient.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled

Array = NDArray[Any]


@compiled()
def loss_terms(
    log_pi: Array, entropy: Array, advantage_sums: Array, counts: Array, normalizer: float
) -> tuple[float, float]:
    """The policy loss and the negative entropy, whose sum, with the coefficient before the latter, is the loss.

    Args:
        log_pi, entropy: of the policy whose score function is taken, [S, A] and [S].
        advantage_sums: of the steps that took the action, [S, A].
        counts: number of steps in the state, weighted by discount^t where asked for, [S].
        normalizer: episodes, or steps.
    """
    policy_loss = negative_entropy = 0.0
    for s in range(log_pi.shape[0]):
        negative_entropy -= counts[s] * entropy[s]
        for a in range(log_pi.shape[1]):
            policy_loss -= advantage_sums[s, a] * log_pi[s, a]
    return policy_loss / normalizer, negative_entropy / normalizer


@compiled()
def gradient_by_logits(
    score: tuple[Array, Array, Array], softmax: Array, epsilon: float,
    advantage_sums: Array, counts: Array, normalizer: float, entropy_coef: float, gradient: Array,
) -> None:  # fmt: skip
    """Fill in the gradient of the loss by the logits, [S, A].

    With p = (1 - epsilon) pi + epsilon / A: d loss / d log p_a = - advantages_a + coef * count * p_a *
    (log p_a + H), d log p_a / d log pi_a = (1 - epsilon) pi_a / p_a, and through the softmax comes, from
    d_a = d loss / d log pi_a, d_a - pi_a * sum(d).

    Args:
        score: log p, p and the entropy H of p, [S, A], [S, A] and [S].
        softmax: pi, [S, A].
        epsilon: 0: p is pi.
        advantage_sums, counts, normalizer: as in `loss_terms`.
        entropy_coef: weight of the negative entropy.
        gradient: filled in.
    """
    log_p, p, entropy = score
    by_log_pi = np.empty(log_p.shape[1])
    for s in range(log_p.shape[0]):
        total = 0.0
        for a in range(log_p.shape[1]):
            entropic = 0.0 if counts[s] == 0 else entropy_coef * counts[s] * p[s, a] * (log_p[s, a] + entropy[s])
            through = 1.0 if epsilon == 0 else (1 - epsilon) * softmax[s, a] / p[s, a]
            by_log_pi[a] = through * (entropic - advantage_sums[s, a]) / normalizer
            total += by_log_pi[a]
        for a in range(log_p.shape[1]):
            gradient[s, a] = by_log_pi[a] - softmax[s, a] * total
