"""The REINFORCE loss with its entropy term, and one gradient step for all runs at once.

R: runs, N: rows of one run (a finite world has one row per state, any other world one row per sample),
A: actions, P: parameters of one run. Source of the gradient: Williams, *Simple Statistical
Gradient-Following Algorithms for Connectionist Reinforcement Learning* (1992), which also has the entropy.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.information import entropy_from_log
from agents.kernels.optimizers import adam, norms, sgd
from agents.policy import PolicyShape


class Experience(NamedTuple):
    """What one update learns from. Rows of the same state are added up."""

    advantage_sums: Tensor  # [R, N, A], summed over the steps that took the action
    visit_counts: Tensor  # [R, N], number of steps in the row (weighted by discount^t where asked for)
    normalizer: Tensor  # [R], episodes of the update, or its steps ("per_step")


class LossTerms(NamedTuple):
    """The loss of each run, [R], and its terms: all summed over an episode's steps and averaged over episodes."""

    policy_loss: Tensor
    negative_entropy: Tensor  # nats
    loss: Tensor


def loss_terms(log_pi: Tensor, experience: Experience, entropy_coef: Tensor) -> LossTerms:
    """policy_loss + entropy_coef * negative_entropy: a higher entropy gives a lower loss.

    Args:
        log_pi: log-probabilities, [R, N, A].
        experience: advantages and visits of the same rows.
        entropy_coef: [R], not negative.
    """
    policy_loss = -(experience.advantage_sums * log_pi).sum((1, 2)) / experience.normalizer
    negative_entropy = -(experience.visit_counts * entropy_from_log(log_pi)).sum(1) / experience.normalizer
    loss = policy_loss + entropy_coef * negative_entropy
    return LossTerms(policy_loss, negative_entropy, loss)


class StackedLearner:
    """Parameters of R policies and the optimiser that moves them.

    Attributes:
        shape: the policy without its parameters.
        theta: all parameters, [R, P].
        frozen: runs that no longer move, [R]; see `freeze`.
    """

    def __init__(
        self,
        shape: PolicyShape,
        theta: Tensor,
        optimizer: Literal["sgd", "adam"],
        learning_rate: float,
        max_grad_norm: float = 0.0,
    ) -> None:
        self.shape = shape
        self.theta = torch.nn.Parameter(theta)
        self.theta.grad = torch.zeros_like(theta)
        self.frozen = torch.zeros(len(theta), dtype=torch.bool)
        self._max_grad_norm, self._learning_rate = max_grad_norm, learning_rate
        self._optimizer: dict[str, Tensor] = {}  # its state; SGD has none
        if optimizer == "adam":
            moments = {name: torch.zeros_like(theta) for name in ("exp_avg", "exp_avg_sq")}
            self._optimizer = {"step": torch.zeros(()), **moments}

    def log_pi(self, rows: Tensor | None = None, runs: Tensor | None = None) -> Tensor:
        """Log-probabilities, differentiable.

        Args:
            rows: observations, [R, N, D]; None: all states.
            runs: the run of each block of rows, [M] (then rows are [M, N, D]); None: all runs in order.
        Returns:
            [R, N, A], or [M, N, A].
        """
        theta = self.theta if runs is None else self.theta.index_select(0, runs)
        # The same as over the last axis, in a quarter of the time, and in the memory layout of
        # `agents.kernels.network.network`.
        return torch.log_softmax(self.shape.logits(theta, rows).transpose(1, 2), dim=1).transpose(1, 2)

    def step(self, loss: Tensor) -> Tensor:
        """One gradient step for every run; the gradient of the summed losses is that of each run's own loss.

        Args:
            loss: [R], made from `log_pi`.
        Returns:
            norm of each run's gradient before clipping, [R].
        """
        (self.theta.grad,) = torch.autograd.grad(loss.sum(), [self.theta])
        return self.apply()

    def zero_grad(self) -> None:
        """Begin a gradient that is computed in parts: `accumulate` each part, then `apply`."""
        assert self.theta.grad is not None
        self.theta.grad.zero_()

    def accumulate(self, loss: Tensor) -> None:
        """Add the gradient of a part of the loss, [M], made from `log_pi` of the same runs."""
        assert self.theta.grad is not None
        self.theta.grad += torch.autograd.grad(loss.sum(), [self.theta])[0]

    def apply(self) -> Tensor:
        """Move every run along the gradient in `theta.grad`; returns its norm before clipping, [R]."""
        assert self.theta.grad is not None
        theta, gradient, memory = self.theta.detach().numpy(), self.theta.grad.numpy(), self._optimizer
        norm = norms(gradient)
        scale = (
            np.minimum(self._max_grad_norm / (norm + 1e-6), 1.0) if self._max_grad_norm > 0 else np.ones_like(norm)
        )
        scale[self.frozen.numpy()] = 0
        if memory:
            memory["step"] += 1
            means = memory["exp_avg"].numpy(), memory["exp_avg_sq"].numpy()
            adam(theta, gradient, scale, *means, int(memory["step"]), self._learning_rate)
        else:
            sgd(theta, gradient, scale, self._learning_rate)
        return torch.from_numpy(norm)

    def freeze(self, runs: Tensor) -> None:
        """Stop moving the runs [R] (bool) for good, because one of their numbers is no longer finite.

        Their parameters are set to 0, a uniform policy, which keeps their numbers finite from now on; they are
        reported as failed and never averaged.
        """
        self.frozen |= runs
        self.theta.detach()[runs] = 0.0

    def state(self) -> dict[str, Tensor]:
        """Everything that training needs in order to resume, as plain tensors."""
        return {"theta": self.theta.detach(), "frozen": self.frozen} | {
            f"optimizer.{key}": value for key, value in self._optimizer.items()
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Resume from the `state()` of a learner of the same shape."""
        with torch.no_grad():
            self.theta.copy_(state["theta"])
            self.frozen.copy_(state["frozen"])
        self._optimizer = {key: state[f"optimizer.{key}"].clone() for key in self._optimizer}
