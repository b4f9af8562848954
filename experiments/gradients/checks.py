"""Compares sampled updates with the exact policy gradient, run by run as in training.

R: runs, S: states, A: actions, P: parameters.

All runs get the same parameters and train for a few updates with the project's own code and step size 1; after
each update the parameters are reset. A run's mean step is one sample, and the mean of the samples must be the
exact gradient. This comes from dynamic programming, neither from the loss nor from its automatic derivative.
"""

import math
from collections.abc import Mapping
from contextlib import closing
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.differentiable import mixed_with_uniform
from envs.exact import evaluate, exact_gradient
from experiments.config.loading import load_config
from experiments.config.schema import Agent
from experiments.gradients.agreement import Agreement, compare
from experiments.training.loop import Training

Array = NDArray[np.float64]
EPISODES = 4  # per update
MIN_UPDATES = 3  # in the first, learned baselines are still 0
DIRECTIONS = 16  # the exact gradient's own, and random ones


class Setting:
    """A finite world and a policy in it, with the parameters [P] at which gradients are compared.

    The parameters are random and then moved towards a policy that usually takes the best action: if hardly any
    sample met a reward, the error of the mean would be larger than the spread of the samples suggests.

    Args:
        environment: the [environment] of a config.
        policy: the keys of [agent] that define the policy.
    """

    def __init__(self, environment: Mapping[str, Any], policy: Mapping[str, Any]) -> None:
        self._environment, self._policy = environment, policy
        training = self._training({"gradient": "exact"}, 1, tables=True)
        assert training.world.mdp is not None
        self._mdp, self._horizon = training.world.mdp, training.world.time_limit
        self._shape = training.batches[0].policies.shape
        self._used = sum(math.prod(layer) for layer in self._shape.shapes)
        best = torch.from_numpy(training.world.optimal_actions(0.99)).double()
        # numbers in float32, so that training in float32 has exactly the same policy
        self._theta = self._fitted(0.6 * best / best.sum(1, keepdim=True) + 0.4 / self._mdp.actions)

    def _fitted(self, policy: Tensor) -> Tensor:
        """Parameters [P] that start as noise and are moved towards a policy [S, A] by its cross entropy."""
        theta = torch.zeros(self._shape.parameters, dtype=torch.float64)
        theta[: self._used] = torch.randn(
            self._used, generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )
        theta.requires_grad_()
        optimizer = torch.optim.Adam([theta], lr=0.1)
        for _ in range(40):
            logits = self._shape.logits(theta[None])[0]
            (theta.grad,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, policy), theta)
            optimizer.step()
        return theta.detach().float().double()

    def check(
        self, options: Mapping[str, Any], runs: int, steps: int, reference: Array | None = None
    ) -> Agreement:
        """Compare sampled updates with the exact gradient.

        Args:
            options: other keys of [agent].
            runs: R, the number of independent samples.
            steps: roughly how many environment steps to take.
            reference: what to compare with instead of the exact gradient, [P].
        """
        exact = self.exact_step(options) if reference is None else reference
        updates = round(steps / (runs * EPISODES * self._mean_length))
        with closing(self._training(options, runs)) as training:
            sampled = self._steps(training, min(max(updates, MIN_UPDATES), 20))
        rng = np.random.default_rng(0)
        directions = np.column_stack([exact, rng.normal(size=(len(exact), DIRECTIONS - 1))])
        directions /= np.maximum(np.linalg.norm(directions, axis=0), 1e-300)
        return compare(sampled, exact, directions)

    def exact_mode_error(self, options: Mapping[str, Any]) -> float:
        """The largest difference between a step with `gradient = "exact"` and the exact gradient."""
        training = self._training({**options, "baseline": "none", "gradient": "exact"}, 1, tables=True)
        expected = self.exact_step({**options, "baseline": "none"})
        return float(np.abs(self._steps(training, 1)[0] - expected).max())

    def exact_step(self, options: Mapping[str, Any]) -> Array:
        """The expected step, [P]: the exact gradient with respect to the logits, times that of the logits with
        respect to the parameters.

        With the batch mean, the returns' part has the factor 1 - 1/E.
        """
        agent = Agent.model_validate(dict(options))
        assert isinstance(agent.behaviour_epsilon, float)
        theta = self._theta.clone().requires_grad_()
        logits = mixed_with_uniform(self._shape.logits(theta[None]).log_softmax(-1), agent.behaviour_epsilon)
        with_entropy, without = (
            exact_gradient(
                self._mdp,
                logits.detach().numpy(),
                horizon=self._horizon,
                discount=agent.discount,
                discount_weighting=agent.discount_weighting,
                entropy_coef=coefficient,
                objective=agent.entropy_objective,
                offset=math.log(self._mdp.actions) if agent.soft_return_offset == "uniform" else 0.0,
            )
            for coefficient in (agent.entropy_coef, 0.0)
            if isinstance(coefficient, float)
        )
        gradient = with_entropy - without / EPISODES if agent.baseline == "batch_mean" else with_entropy
        return torch.autograd.grad(logits, theta, torch.from_numpy(gradient))[0].numpy()

    def _steps(self, training: Training, updates: int) -> Array:
        """Each run's mean step from the same parameters, [R, P]."""
        moved = training.batches[0].policies.theta
        theta = self._theta.numpy().astype(moved.dtype)
        total = np.zeros(moved.shape)
        for _ in range(updates):
            moved[:] = theta
            training.advance(1)
            total += moved.astype(np.float64) - theta
        return total / updates

    @cached_property
    def _mean_length(self) -> float:
        pi = torch.softmax(self._shape.logits(self._theta[None]), -1).numpy()
        return float(evaluate(self._mdp, pi, horizon=self._horizon).expected_length[0])

    def _training(self, options: Mapping[str, Any], runs: int, tables: bool | None = None) -> Training:
        environment = dict(self._environment) if tables is None else {**self._environment, "tables": tables}
        agent = {"optimizer": "sgd", "learning_rate": 1.0, "initialization": "torch", **self._policy, **options}
        return Training(
            load_config(
                {
                    "name": "verify",
                    "description": "sampled and exact gradients compared",
                    "environment": environment,
                    "agent": agent,
                    "training": {"seeds": runs, "episodes_per_update": EPISODES, "updates": 1000},
                    "arms": {"checked": {}},
                }
            )
        )
