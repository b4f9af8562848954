"""Softmax policies of one run: log-probabilities, entropies and the policy that acts, compiled.

N: rows (states), A: actions. Entropies in nats. The readable counterparts: `torch.log_softmax`,
`agents.information.entropy_from_log` and `agents.differentiable.mixed_with_uniform`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.kernels.compiled import compiled

Array = NDArray[Any]


@compiled()
def log_softmax(logits: Array, log_pi: Array, pi: Array) -> None:
    """Log-probabilities and probabilities of every row, [N, A] each, in double precision."""
    for n in range(logits.shape[0]):
        peak, total = np.float64(logits[n, 0]), 0.0
        for a in range(1, logits.shape[1]):
            peak = max(peak, np.float64(logits[n, a]))
        for a in range(logits.shape[1]):
            pi[n, a] = math.exp(logits[n, a] - peak)
            total += pi[n, a]
        log_total = math.log(total)
        for a in range(logits.shape[1]):
            log_pi[n, a] = logits[n, a] - peak - log_total
            pi[n, a] /= total


@compiled()
def mix_with_uniform(pi: Array, epsilon: float, log_mixture: Array, mixture: Array) -> None:
    """(1 - epsilon) pi + epsilon / A and its logarithm, [N, A] each."""
    for n in range(pi.shape[0]):
        for a in range(pi.shape[1]):
            mixture[n, a] = (1 - epsilon) * pi[n, a] + epsilon / pi.shape[1]
            log_mixture[n, a] = math.log(mixture[n, a])


@compiled()
def entropies(log_pi: Array, pi: Array, found: Array) -> None:
    """The entropy of every row, [N, A] -> [N]."""
    for n in range(pi.shape[0]):
        total = 0.0
        for a in range(pi.shape[1]):
            total -= pi[n, a] * log_pi[n, a]
        found[n] = total


@compiled()
def cumulative(pi: Array, found: Array) -> None:
    """Cumulative probabilities of the actions, [N, A] -> [N, A]."""
    for n in range(pi.shape[0]):
        total = 0.0
        for a in range(pi.shape[1]):
            total += pi[n, a]
            found[n, a] = total
