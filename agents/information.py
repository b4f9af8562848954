"""Information, entropy, cross entropy, KL divergence: pure functions of distributions.

The last axis is the distribution, any leading axes are kept. Source of every formula: Cover and Thomas,
*Elements of Information Theory* (2006), chapter 2. Conventions: 0 log 0 = 0; KL is infinite where q = 0 < p.
"""

import math
from typing import Literal

import torch
from torch import Tensor

Base = Literal["nats", "bits"]


def information(p: Tensor, base: Base = "nats") -> Tensor:
    """How surprising an event of probability p is: -log p. Zero for a certain event, infinite for p = 0.

    Args:
        p: probabilities of single events, any shape (not a distribution: no axis has to sum to 1).
        base: unit of the answer.
    Returns:
        information, the shape of p.
    Raises:
        ValueError: a probability is outside [0, 1], or the base is neither "nats" nor "bits".
    """
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError("information: every probability must lie in [0, 1]")
    return _in_base(0 - torch.log(p), base)  # 0 - 0 is 0, where -(0) is -0


def entropy(p: Tensor, base: Base = "nats") -> Tensor:
    """Shannon entropy -sum p log p, between 0 (one sure outcome) and log A (uniform).

    Args:
        p: distributions, [..., A].
        base: unit of the answer.
    Returns:
        entropy, [...].
    Raises:
        ValueError: p is no distribution, or the base is unknown.
    """
    _check_distribution(p, "entropy: p")
    return _in_base(torch.special.entr(p).sum(-1), base)


def entropy_from_log(log_pi: Tensor) -> Tensor:
    """Shannon entropy in nats, from log-probabilities: the form the loss differentiates.

    Summed over every action: the one-sample estimate -log pi(a_t) has the right mean, but a gradient
    that is zero on average, so it would regularise nothing. Not validated: it runs once an update.

    Args:
        log_pi: log-probabilities, [..., A], finite.
    Returns:
        entropy, [...].
    """
    return -(log_pi.exp() * log_pi).sum(-1)


def cross_entropy(p: Tensor, q: Tensor, base: Base = "nats") -> Tensor:
    """Mean surprise -sum p log q of an observer who believes q while p is true; H(p) + KL(p||q).

    With a one-hot p it is -log q of the true class: the classification loss.

    Args:
        p, q: distributions, [..., A], broadcast against each other.
        base: unit of the answer.
    Returns:
        cross entropy, [...]; infinite where q = 0 < p.
    Raises:
        ValueError: p or q is no distribution, or the base is unknown.
    """
    _check_distribution(p, "cross_entropy: p")
    _check_distribution(q, "cross_entropy: q")
    return _in_base(0 - torch.special.xlogy(p, q).sum(-1), base)


def kl_divergence(p: Tensor, q: Tensor, base: Base = "nats") -> Tensor:
    """Kullback-Leibler divergence sum p log(p/q): the expected log-likelihood ratio under p.

    Never negative, zero only for p = q; not symmetric, and the triangle inequality fails: no metric.

    Args:
        p, q: distributions, [..., A], broadcast against each other.
        base: unit of the answer.
    Returns:
        divergence, [...]; infinite where q = 0 < p.
    Raises:
        ValueError: p or q is no distribution, or the base is unknown.
    """
    _check_distribution(p, "kl_divergence: p")
    _check_distribution(q, "kl_divergence: q")
    # Equal terms cancel before they are summed; what rounding leaves below zero is cut off.
    terms = torch.special.xlogy(p, p) - torch.special.xlogy(p, q)
    return _in_base(terms.sum(-1).clamp_min(0), base)


def effective_actions(p: Tensor) -> Tensor:
    """exp(H): as many equally likely actions have the same entropy. Between 1 and A, without a unit.

    Args:
        p: distributions, [..., A].
    Returns:
        number of actions, [...].
    Raises:
        ValueError: p is no distribution.
    """
    return entropy(p).exp()


def _in_base(nats: Tensor, base: str) -> Tensor:
    if base == "nats":
        return nats
    if base == "bits":
        return nats / math.log(2)
    raise ValueError(f'base {base!r} is unknown: "nats" or "bits"')


def _check_distribution(p: Tensor, name: str) -> None:
    if p.ndim == 0 or p.shape[-1] == 0:
        raise ValueError(f"{name} has no last axis with outcomes (shape {tuple(p.shape)})")
    if not p.is_floating_point():
        raise ValueError(f"{name} must hold floating-point probabilities, not {p.dtype}")
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError(f"{name} is no distribution: every probability must lie in [0, 1]")
    off = float((p.sum(-1) - 1).abs().max()) if p.numel() else 0.0
    tolerance = 1e-9 if p.dtype == torch.float64 else 1e-5
    if off > tolerance:
        raise ValueError(f"{name} is no distribution: the last axis must sum to 1 (off by {off:.3g})")
