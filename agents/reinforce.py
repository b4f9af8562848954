"""The REINFORCE loss with its entropy term, and one gradient step for all runs at once.

R: runs, N: rows of one run (a finite world has one row per state, any other world one row per sample),
A: actions, P: parameters of one run. Source of the gradient: Williams, *Simple Statistical
Gradient-Following Algorithms for Connectionist Reinforcement Learning* (1992), which also has the entropy.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.information import entropy_from_log
from agents.kernels.optimizers import move_all
from agents.policy import PolicyShape
from agents.regularizers import Regularizer, regularizer


class Experience(NamedTuple):
    """What one update learns from. Rows of the same state are added up."""

    advantage_sums: Tensor  # [R, N, A], summed over the steps that took the action
    visit_counts: Tensor  # [R, N], number of steps in the row (weighted by discount^t where asked for)
    normalizer: Tensor  # [R], episodes of the update, or its steps ("per_step")


class LossTerms(NamedTuple):
    """The loss of each run and its terms, [R] each: summed over an episode's steps, averaged over episodes."""

    policy_loss: Tensor
    negative_entropy: Tensor  # nats
    regularizer: Tensor  # what the coefficient weighs: the negative entropy, or a control
    loss: Tensor


def loss_terms(
    log_pi: Tensor, experience: Experience, entropy_coef: Tensor, name: Regularizer = "entropy"
) -> LossTerms:
    """policy_loss + entropy_coef * negative_entropy: a higher entropy gives a lower loss.

    Args:
        log_pi: log-probabilities, [R, N, A].
        experience: advantages and visits of the same rows.
        entropy_coef: [R], not negative.
        name: what the coefficient weighs; see `agents.regularizers`.
    """
    policy_loss = -(experience.advantage_sums * log_pi).sum((1, 2)) / experience.normalizer
    negative_entropy = -(experience.visit_counts * entropy_from_log(log_pi)).sum(1) / experience.normalizer
    weighed = negative_entropy
    if name != "entropy":
        weighed = (experience.visit_counts * regularizer(name, log_pi)).sum(1) / experience.normalizer
    loss = policy_loss + entropy_coef * weighed
    return LossTerms(policy_loss, negative_entropy, weighed, loss)


class StackedLearner:
    """Parameters of R policies and the optimiser that moves them.

    Attributes:
        shape: the policy without its parameters.
        theta: all parameters, [R, P].
        means: running means of Adam, of the gradient and of its square, [R, 2, P]; of SGD, [R, 0, P].
        frozen: runs that no longer move, [R]; see `freeze`.
        resting: runs that do not move for now, [R], as the caller says; their parameters stay as they are.
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
        self.resting = np.zeros(len(theta), dtype=bool)
        self._max_grad_norm, self._learning_rate = max_grad_norm, learning_rate
        self.means: NDArray[Any] = np.zeros(
            (len(theta), 2 if optimizer == "adam" else 0, theta.shape[1]), self.theta.detach().numpy().dtype
        )
        self._steps = 0

    def log_pi(self, rows: Tensor | None = None, runs: Tensor | None = None) -> Tensor:
        """Log-probabilities, differentiable.

        Args:
            rows: observations, [R, N, D]; None: all states.
            runs: the run of each block of rows, [M] (then rows are [M, N, D]); None: all runs in order.
        Returns:
            [R, N, A], or [M, N, A].
        """
        theta = self.theta if runs is None else self.theta.index_select(0, runs)
        # The same as a softmax over the last axis, in a quarter of the time.
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
        """Move every run one step against the gradient in `theta.grad`; returns its norm before clipping, [R]."""
        assert self.theta.grad is not None
        self._steps += 1
        norm = torch.empty(len(self.theta), dtype=self.theta.dtype)
        move_all(
            self.theta.detach().numpy(), self.theta.grad.numpy(), self.means, self.frozen.numpy() | self.resting,
            self._steps, self._learning_rate, self._max_grad_norm, norm.numpy(),
        )  # fmt: skip
        return norm

    def finite(self) -> NDArray[np.bool_]:
        """Whether all parameters of a run are finite, [R]."""
        return np.isfinite(self.theta.detach().sum(1).double().numpy())

    def freeze(self, runs: NDArray[np.bool_]) -> None:
        """Stop moving the runs [R] (bool) for good, because one of their numbers is no longer finite.

        Their parameters are set to 0, which makes the policy uniform and keeps their numbers finite from now on.
        Such runs are reported as failed, and their numbers from then on count nowhere.
        """
        self.frozen |= torch.from_numpy(runs)
        self.theta.detach().numpy()[runs] = 0.0

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything besides `theta` that training needs in order to go on."""
        return {"frozen": self.frozen.numpy().copy(), "means": self.means.copy(), "steps": np.array(self._steps)}

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state()` of a learner of the same shape."""
        self.frozen.numpy()[:], self.means[:], self._steps = state["frozen"], state["means"], int(state["steps"])
