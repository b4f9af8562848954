"""Information, entropy, cross entropy, KL divergence: pure functions of distributions, in nats or bits.

They take lists, NumPy arrays and torch tensors. For a tensor the answer is a tensor that can be differentiated,
else an array, or a plain float if it is a single number. torch is not imported here: whoever has a tensor has
imported it already.

A distribution is the last axis of p or q, [..., A]; leading axes are kept, and broadcast against each other.
`base` is the unit of the answer. Arguments that are no distribution, and other bases, raise a ValueError, except
in the two functions that say "not validated". Conventions: 0 log 0 = 0; KL and cross entropy are infinite where q
= 0 < p. Source of every formula: Cover and Thomas, *Elements of Information Theory* (2006), chapter 2.
"""

import math
import sys
from typing import Any, Literal, TypeAlias

import numpy as np

Base = Literal["nats", "bits"]
Numbers: TypeAlias = Any  # a list, a NumPy array or a torch tensor


def information(p: Numbers, base: Base = "nats") -> Any:
    """How surprising an event of probability p is: -log p. Zero for a certain event, infinite for p = 0.

    Here p holds probabilities of single events, in any shape, which the answer has too; no axis has to sum to 1.
    """
    xp, p = _read(p, "information: p")
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError("information: every probability must lie in [0, 1]")
    with np.errstate(divide="ignore"):
        return _answer(0 - xp.log(p), base)  # 0 - 0 is 0, where -(0) is -0


def entropy(p: Numbers, base: Base = "nats") -> Any:
    """Shannon entropy -sum p log p, between 0 (one sure outcome) and log A (uniform): [..., A] -> [...]."""
    xp, p = _distribution(p, "entropy: p")
    return _answer(0 - _p_log_q(xp, p, p).sum(-1), base)


def entropy_from_log(log_pi: Numbers, pi: Numbers | None = None) -> Any:
    """Shannon entropy in nats from log-probabilities, the form the loss differentiates: [..., A] -> [...].

    It is summed over every action: the one-sample estimate -log pi(a_t) has the right mean, but a gradient that is
    zero on average, so it would regularise nothing. Not validated, to save time: it runs in every update.

    Args:
        log_pi: finite log-probabilities.
        pi: exp(log_pi), if it is known already, since exponentials are most of the cost.
    """
    xp, log_pi = _read(log_pi, "entropy_from_log: log_pi")
    return _answer(-((xp.exp(log_pi) if pi is None else pi) * log_pi).sum(-1), "nats")


def entropy_of_weights(weights: Numbers, base: Base = "nats") -> Any:
    """Shannon entropy of the distribution weights / total, 0 where the total is 0: [..., S] -> [...].

    Weights are, for example, how often each outcome was seen, or probabilities that need no check. Not validated.
    """
    xp, weights = _read(weights, "entropy_of_weights: weights")
    total = weights.sum(-1)[..., None]
    share = weights / xp.where(total > 0, total, xp.ones_like(total))
    return _answer(0 - _p_log_q(xp, share, share).sum(-1), base)


def cross_entropy(p: Numbers, q: Numbers, base: Base = "nats") -> Any:
    """Mean surprise -sum p log q of an observer who believes q while p is true: H(p) + KL(p||q).

    With a one-hot p it is -log q of the true class: the classification loss. [..., A] twice -> [...].
    """
    xp, p = _distribution(p, "cross_entropy: p")
    _, q = _distribution(q, "cross_entropy: q")
    return _answer(0 - _p_log_q(xp, p, q).sum(-1), base)


def kl_divergence(p: Numbers, q: Numbers, base: Base = "nats") -> Any:
    """Kullback-Leibler divergence sum p log(p/q): the expected log-likelihood ratio under p.

    It is never negative, and zero only for p = q. It is not a metric: it is not symmetric, and the triangle
    inequality does not hold. [..., A] twice -> [...].
    """
    xp, p = _distribution(p, "kl_divergence: p")
    _, q = _distribution(q, "kl_divergence: q")
    # Equal terms cancel before they are summed; a sum that rounding leaves below zero becomes zero.
    terms = _p_log_q(xp, p, p) - _p_log_q(xp, p, q)
    return _answer(terms.sum(-1).clip(0), base)


def effective_actions(p: Numbers) -> Any:
    """exp(H), between 1 and A: the number of equally likely actions with the same entropy. [..., A] -> [...]."""
    nats = entropy(p)
    return math.exp(nats) if isinstance(nats, float) else _read(nats, "")[0].exp(nats)


def _read(values: Numbers, name: str) -> tuple[Any, Any]:
    """The library that computes with the values (NumPy or torch), and the values as its arrays."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        if not values.is_floating_point():
            raise ValueError(f"{name} must hold floating-point numbers, not {values.dtype}")
        return torch, values
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold numbers, not {array.dtype}")
    return np, array if array.dtype.kind == "f" else array.astype(float)


def _p_log_q(xp: Any, p: Any, q: Any) -> Any:
    """p log q, where 0 log q is 0 whatever q is."""
    with np.errstate(divide="ignore"):
        return p * xp.log(xp.where(p > 0, q, xp.ones_like(q)))


def _answer(nats: Any, base: str) -> Any:
    if base not in ("nats", "bits"):
        raise ValueError(f'base {base!r} is unknown: "nats" or "bits"')
    found = nats / math.log(2) if base == "bits" else nats
    return float(found) if isinstance(found, np.ndarray | np.generic) and found.ndim == 0 else found


def _distribution(values: Numbers, name: str) -> tuple[Any, Any]:
    xp, p = _read(values, name)
    if p.ndim == 0 or p.shape[-1] == 0:
        raise ValueError(f"{name} has no last axis with outcomes (shape {tuple(p.shape)})")
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError(f"{name} is not a distribution: every probability must lie in [0, 1]")
    off = abs(p.sum(-1) - 1).max().item() if 0 not in p.shape else 0.0
    tolerance = 1e-9 if p.dtype.itemsize == 8 else 1e-5
    if off > tolerance:
        raise ValueError(f"{name} is not a distribution: the last axis must sum to 1 (off by {off:.3g})")
    return xp, p
