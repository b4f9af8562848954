"""Policies as torch differentiates them: networks of the compiled kernels, and random actions mixed in.

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
        theta: weight, bias, weight, ... of each run side by side, [R, P]; what is behind them has no effect.
        widths: of the rows, the hidden layers and the output: D, H, ..., A.
        rows: [R, N, D]; None: the identity. A product with it is left out: the first weight itself is what the
            first layer sees.
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

    Not by torch.logaddexp: it rounds the last numbers of a buffer otherwise than the rest, so that a run's
    numbers would depend on its place among the others. What is added is at least epsilon / A: nothing is lost.
    """
    if epsilon == 0.0:
        return log_pi
    return torch.log((1 - epsilon) * log_pi.exp() + epsilon / log_pi.shape[-1])
