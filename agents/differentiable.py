"""Policies that torch can differentiate: the networks of the compiled kernels, and mixed-in random actions.

R: runs, N: rows of one run, D: width of an observation, A: actions, P: parameters of one run.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from agents.kernels.network import backward_all, forward_all


class _Network(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, theta: Tensor, widths: Sequence[int], rows: Tensor | None) -> Tensor:
        rows = theta.new_empty(len(theta), widths[0], 0) if rows is None else rows
        ctx.theta, ctx.widths, ctx.rows = theta.detach().numpy(), np.array(widths), rows.contiguous().numpy()
        ctx.hidden = theta.new_empty(len(theta), rows.shape[1] * sum(widths[1:-1])).numpy()
        logits = theta.new_empty(*rows.shape[:2], widths[-1])
        forward_all(ctx.theta, ctx.widths, ctx.rows, ctx.hidden, logits.numpy())
        return logits

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        of_theta = np.empty_like(ctx.theta)
        backward_all(ctx.theta, ctx.widths, ctx.rows, ctx.hidden, gradient.contiguous().numpy(), of_theta)
        return torch.from_numpy(of_theta), None, None


def network(theta: Tensor, widths: Sequence[int], rows: Tensor | None) -> Tensor:
    """Logits of networks of tanh layers, differentiable in their parameters.

    Args:
        theta: weight, bias, weight, ... of each run in one row, [R, P]; numbers after them have no effect.
        widths: the widths of the rows, the hidden layers and the output: D, H, ..., A.
        rows: [R, N, D]; None: the identity, whose product with the first weight is that weight itself.
    Returns:
        [R, N, A].
    """
    if rows is not None and (rows.shape[0], rows.shape[2]) != (len(theta), widths[0]):
        raise ValueError(
            f"rows of {len(theta)} runs must be [{len(theta)}, N, {widths[0]}], not {list(rows.shape)}"
        )
    return cast(Tensor, _Network.apply(theta, widths, rows))  # type: ignore[no-untyped-call]


def mixed_with_uniform(log_pi: Tensor, epsilon: float) -> Tensor:
    """Log-probabilities of (1 - epsilon) pi + epsilon / A, differentiable, [..., A] -> [..., A].

    torch.logaddexp would round the last numbers of a buffer differently from the rest, so that a run's numbers
    would depend on its place among the others. The sum of probabilities is at least epsilon / A, so its logarithm
    is safe.
    """
    if epsilon == 0.0:
        return log_pi
    return torch.log((1 - epsilon) * log_pi.exp() + epsilon / log_pi.shape[-1])
