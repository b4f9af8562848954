"""Where a finite world's experience comes from: sampled episodes or exact expectations; the loss is the same.

R: runs, E: episodes of one update, T: time steps, S: states, A: actions. Sums are over rows of the same state.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agents.reinforce import Experience
from agents.returns import RunningMean, batch_mean, leave_one_out, moved_values, normalized, returns_to_go
from envs.exact import expected_experience, visit_counts
from envs.finite_mdp import FiniteMDP
from experiments.config import Agent
from experiments.measures import entropy
from experiments.rollout import Episodes, FiniteRollout
from experiments.streams import Purpose

Array = NDArray[np.float64]


class Steps(NamedTuple):
    """The lock-steps of one update: a run's E environments step together."""

    live: NDArray[np.int64]  # [T, R] episodes still running; 0: the run has no such step
    entropy: Array  # [T, R] nats, mean over the live ones; NaN where none is


class Collected(NamedTuple):
    """What one update saw."""

    experience: Experience
    returns: Array  # [R, E] undiscounted; exact: the expected one, E = 1
    lengths: Array  # [R, E] steps; exact: the expected number, infinite where episodes may never end
    visits: Array  # [R, S] steps in each state; exact: see ExactExperience
    visited: NDArray[np.bool_] | None  # [R, S] acted in or arrived at; None: exact, nobody went anywhere
    steps: Steps | None  # None: exact
    success_step: NDArray[np.int64]  # [R] lock-step at which the first successful episode ended; -1: none


class SampledExperience:
    """Plays episodes and adds up their advantages for each state and action."""

    def __init__(self, rollout: FiniteRollout, agent: Agent, discount: Array, solved_return: float) -> None:
        self._rollout, self._agent, self._discount = rollout, agent, discount
        self._solved_return = solved_return
        runs, states = rollout.runs, rollout.mdp.states
        self._running_mean = RunningMean.start(runs)
        self._values = np.zeros((runs, states + 1))  # the sink's value stays 0
        self._offset = math.log(rollout.mdp.actions) if agent.soft_return_offset == "uniform" else 0.0

    def collect(self, log_pi: Array, entropy_coef: Array) -> Collected:
        """One update's episodes under log_pi [R, S, A]; entropy_coef [R] enters a soft return only."""
        episodes = self._rollout.collect(np.exp(log_pi))
        entropies = np.zeros((len(log_pi), log_pi.shape[1] + 1))
        entropies[:, :-1] = entropy(log_pi)
        steps, per_step_entropy = _lock_steps(episodes, entropies)
        returns = episodes.reward.sum(0)
        lengths = episodes.live.sum(0)
        rewards = episodes.reward
        if self._agent.entropy_objective == "soft_return":
            # The entropy at t itself enters through the loss term; adding it to G_t too shifts G_t by
            # a constant that does not depend on the action taken, so it is taken out again below.
            bonus = entropy_coef[:, None] * np.where(episodes.live, per_step_entropy - self._offset, 0.0)
            to_go = returns_to_go(rewards + bonus, self._discount) - bonus
        else:
            to_go = returns_to_go(rewards, self._discount)
        experience, visits = self._summed(episodes, to_go)
        visited = visits > 0
        run = np.arange(len(visited))[:, None]
        visited[run, episodes.arrival - run * (visits.shape[1] + 1)] = True
        success = returns >= self._solved_return - 1e-9
        ended_at = np.where(success, lengths - 1, np.iinfo(np.int64).max).min(1)
        success_step = np.where(success.any(1), ended_at, -1)
        return Collected(experience, returns, lengths.astype(float), visits, visited, steps, success_step)

    def _summed(self, episodes: Episodes, to_go: Array) -> tuple[Experience, Array]:
        """Advantages and visits added up for each row; the plain visit counts [R, S] beside them."""
        runs, states, actions = self._rollout.runs, self._rollout.mdp.states, self._rollout.mdp.actions
        live = np.flatnonzero(episodes.live)
        row, row_action = episodes.row.ravel()[live], episodes.row_action.ravel()[live]
        run = row // (states + 1)
        returns = to_go.ravel()[live]
        advantages = returns - self._baseline(to_go, live, run, row)
        if self._agent.normalize_advantages:
            advantages = normalized(advantages, run, runs)
        size = runs * (states + 1)
        counts = np.bincount(row, minlength=size).reshape(runs, -1)[:, :-1].astype(float)
        self._learn_baseline(returns, run, row)
        weights = None
        if self._agent.discount_weighting:
            t = live // (runs * self._rollout.episodes)
            weights = self._discount[run] ** t
            advantages = advantages * weights
        sums = np.bincount(row_action, advantages, minlength=size * actions)
        sums = sums.reshape(runs, states + 1, actions)[:, :-1]
        weighted = counts
        if weights is not None:
            weighted = np.bincount(row, weights, minlength=size).reshape(runs, -1)[:, :-1]
        per_step = self._agent.loss_reduction == "per_step"
        normalizer = counts.sum(1) if per_step else np.full(runs, float(self._rollout.episodes))
        return Experience(*map(torch.from_numpy, (sums, weighted, normalizer))), counts

    def _baseline(
        self, to_go: Array, live: NDArray[np.int64], run: NDArray[np.int64], row: NDArray[np.int64]
    ) -> Array:
        """The baseline of every live step, [N] (or 0)."""
        name = self._agent.baseline
        if name == "none":
            return np.zeros(1)
        if name == "running_mean":
            return self._running_mean.baseline()[run]
        if name == "value":
            return self._values.ravel()[row]
        table = batch_mean(to_go) if name == "batch_mean" else leave_one_out(to_go)
        return np.broadcast_to(table, to_go.shape).ravel()[live]

    def _learn_baseline(self, returns: Array, run: NDArray[np.int64], row: NDArray[np.int64]) -> None:
        if self._agent.baseline == "running_mean":
            runs = self._rollout.runs
            numbers = np.bincount(run, minlength=runs).astype(float)
            sums = np.bincount(run, returns, minlength=runs).astype(float)
            self._running_mean = self._running_mean.after(sums, numbers)
        elif self._agent.baseline == "value":
            size, shape = self._values.size, self._values.shape
            sums = np.bincount(row, returns, minlength=size).astype(float).reshape(shape)
            visits = np.bincount(row, minlength=size).astype(float).reshape(shape)
            self._values = moved_values(self._values, sums, visits, self._agent.value_learning_rate)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """What goes on from update to update."""
        streams = {f"stream.{p.name.lower()}": s.state() for p, s in self._rollout.streams.items()}
        total, count = self._running_mean
        return {**streams, "values": self._values, "baseline_total": total, "baseline_count": count}

    def load(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Go on from `state()`."""
        for name, array in state.items():
            if name.startswith("stream."):
                self._rollout.streams[Purpose[name.removeprefix("stream.").upper()]].load(array.astype(np.uint64))
        self._values = state["values"].astype(float)
        self._running_mean = RunningMean(
            state["baseline_total"].astype(float), state["baseline_count"].astype(float)
        )


def _lock_steps(episodes: Episodes, entropies: Array) -> tuple[Steps, Array]:
    """Live counts and mean entropies [T, R]; and the entropy of every step, [T, R, E]."""
    per_step = entropies.ravel().take(episodes.row)  # the sink's entropy is 0
    live = episodes.live.sum(2)
    mean = np.divide(per_step.sum(2), live, out=np.full(live.shape, np.nan), where=live > 0)
    return Steps(live, mean), per_step


class ExactExperience:
    """Expected advantage sums and visits by dynamic programming: the same loss gives the exact gradient.

    The visits that measures along the path are means over count every step once. Without a time limit, step t
    counts discount^t: those are finite also where episodes never end.

    Raises:
        ValueError: the expectation is infinite, as are undiscounted visits of episodes that may never end.
    """

    def __init__(self, mdp: FiniteMDP, horizon: int | None, agent: Agent, discount: Array) -> None:
        self._mdp, self._horizon, self._agent, self._discount = mdp, horizon, agent, discount
        self._reward = (mdp.probability * mdp.reward).sum(-1)
        self._offset = math.log(mdp.actions) if agent.soft_return_offset == "uniform" else 0.0
        uniform = np.full((len(discount), mdp.states, mdp.actions), -math.log(mdp.actions))
        self.collect(uniform, np.zeros(len(discount)))

    def collect(self, log_pi: Array, entropy_coef: Array) -> Collected:
        """What one episode of log_pi [R, S, A] looks like on average; entropy_coef [R] enters a soft return."""
        pi = np.exp(log_pi)
        bonus = None
        if self._agent.entropy_objective == "soft_return":
            bonus = entropy_coef[:, None] * (entropy(log_pi) - self._offset)
        expected = expected_experience(
            self._mdp,
            pi,
            horizon=self._horizon,
            discount=self._discount,
            discount_weighting=self._agent.discount_weighting,
            entropy_bonus=bonus,
        )
        steps, visits = self._visits(pi, expected.visit_counts)
        reward = (pi * self._reward).sum(-1)
        paid = np.multiply(steps, reward, out=np.zeros_like(steps), where=reward != 0)  # infinity x 0 is 0
        runs = len(pi)
        experience = Experience(
            torch.from_numpy(expected.advantage_sums),
            torch.from_numpy(expected.visit_counts),
            torch.ones(runs),
        )
        return Collected(
            experience,
            paid.sum(1, keepdims=True),
            steps.sum(1, keepdims=True),
            visits,
            None,
            None,
            np.full(runs, -1, np.int64),
        )

    def _visits(self, pi: Array, in_loss: Array) -> tuple[Array, Array]:
        """The expected steps in each state, and what measures weigh them by, [R, S] both."""
        weighted = self._agent.discount_weighting
        steps = visit_counts(self._mdp, pi, horizon=self._horizon) if weighted else in_loss
        if self._horizon is not None:
            return steps, steps
        return steps, in_loss if weighted else visit_counts(self._mdp, pi, horizon=None, discount=self._discount)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Nothing goes on from update to update."""
        return {}

    def load(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Nothing to go on from."""
