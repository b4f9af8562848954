"""The terms that the coefficient may weight in the loss: the negative entropy, or another regularizer as a
control.

All of them are smallest at the uniform policy. They depend on the policy alone, so a constant added to all logits
of a state changes nothing.
"""

import math
from typing import Literal, TypeAlias

from torch import Tensor

from agents.information import entropy_from_log

Regularizer: TypeAlias = Literal["entropy", "kl_from_uniform", "logit_l2"]


def regularizer(name: Regularizer, log_pi: Tensor) -> Tensor:
    """The term of each row, before it is summed over an episode's steps.

    * "entropy": -H(pi) = KL(pi || uniform) - ln A, in nats.
    * "kl_from_uniform": KL(uniform || pi) = -ln A - mean over actions of ln pi, in nats. It has no upper bound,
      and its gradient, pi - 1 / A by the logits, does not vanish where the policy is sure, as the entropy's does.
    * "logit_l2": half the sum of the squared logits after their mean is subtracted; the gradient is these logits.

    Args:
        log_pi: log-probabilities, [..., A].
    Returns:
        [...].
    """
    if name == "entropy":
        return -entropy_from_log(log_pi)
    if name == "kl_from_uniform":
        return -log_pi.mean(-1) - math.log(log_pi.shape[-1])
    centred = log_pi - log_pi.mean(-1, keepdim=True)
    return 0.5 * (centred**2).sum(-1)
