"""The training loop: a generator of records. It knows nothing of files, screens or TensorBoard.

R: runs, S: states, A: actions, U: updates. Arms that differ only in entropy coefficient and discount share one
batch; arms that differ in anything else are batches of their own behind the same interface.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agents import schedules
from agents.policy import PolicyShape
from agents.reinforce import StackedLearner, loss_terms
from envs.exact import evaluate
from experiments import measures
from experiments.config import Agent, Config, ConfigError, Exponential, Linear, TargetEntropy
from experiments.experience import Collected, ExactExperience, SampledExperience
from experiments.records import Column, Runs, Snapshot, StepRecord, UpdateRecord, merged, snapshot_updates
from experiments.rollout import FiniteRollout
from experiments.streams import parameter_generator
from experiments.worlds import World, make_world

Array = NDArray[np.float64]
State = dict[str, NDArray[Any]]


class Training:
    """All runs of a config.

    Args:
        config: what to train.
        seeds: some of the config's seeds, to share the work between processes; a run's numbers do not
            depend on who its neighbours are.
    """

    def __init__(self, config: Config, seeds: Sequence[int] | None = None) -> None:
        self.config = config
        self.world = make_world(config.environment)
        self.seeds = config.training.seed_list if seeds is None else tuple(seeds)
        self.runs = Runs.of(list(config.arms), self.seeds)
        self.update_count = 0
        arms = list(config.arms)
        grouped: dict[str, list[str]] = {}
        for arm in arms:
            grouped.setdefault(_batch_key(config.agent_of(arm)), []).append(arm)
        self.batches = [Batch(config, self.world, group, self.seeds) for group in grouped.values()]
        n = len(self.seeds)
        self._places = [
            np.concatenate([np.arange(n) + arms.index(arm) * n for arm in group]) for group in grouped.values()
        ]

    def update(self) -> UpdateRecord:
        """Collect, learn, move every run once."""
        with np.errstate(invalid="ignore", over="ignore"):  # a run that overflows is frozen, not a warning
            parts = [batch.update(self.update_count) for batch in self.batches]
        self.update_count += 1
        return merged(parts, self._places, len(self.runs.arm))

    def records(self) -> Iterator[UpdateRecord]:
        """The updates that are left."""
        while self.update_count < self.config.training.updates:
            yield self.update()

    def final(self) -> dict[str, Column]:
        """The columns of runs.parquet, [R] each (start_policy [R, A])."""
        record = merged(
            [UpdateRecord(0, b.final(), b.failed_update < 0, None, None) for b in self.batches],
            self._places,
            len(self.runs.arm),
        )
        return record.columns

    def parameters(self) -> dict[str, torch.Tensor]:
        """Trained parameters by "<arm>/seed_<k>/<layer>"."""
        found: dict[str, torch.Tensor] = {}
        for batch in self.batches:
            found |= batch.parameters()
        return found

    def state(self) -> State:
        """Everything that training needs to go on, as plain arrays."""
        states: State = {"update_count": np.array(self.update_count)}
        for index, batch in enumerate(self.batches):
            states |= {f"batch_{index}.{key}": value for key, value in batch.state().items()}
        return states

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state()` of a training of the same config and seeds."""
        self.update_count = int(state["update_count"])
        for index, batch in enumerate(self.batches):
            prefix = f"batch_{index}."
            batch.load({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})


def _batch_key(agent: Agent) -> str:
    return agent.model_copy(update={"entropy_coef": 0.0, "discount": 0.0}).model_dump_json()


class Progress(NamedTuple):
    """What is counted over training, for each run."""

    env_steps: NDArray[np.int64]  # [R]
    episodes: NDArray[np.int64]  # [R]
    first_success: NDArray[np.int64]  # [R] env_step; -1: none so far
    visits: Array  # [R, S]
    visited: NDArray[np.bool_]  # [R, S]
    recent_returns: Array  # [W, R] of the last W updates
    recent_entropies: Array  # [W, R] nats
    previous_log_pi: Array  # [R, S, A]
    previous_visits: Array  # [R, S]
    coefficient: Array  # [R] of the target-entropy controller

    @classmethod
    def start(cls, runs: int, states: int, actions: int, updates: int) -> "Progress":
        window = measures.window(updates)
        return cls(
            np.zeros(runs, np.int64),
            np.zeros(runs, np.int64),
            np.full(runs, -1, np.int64),
            np.zeros((runs, states)),
            np.zeros((runs, states), bool),
            np.full((window, runs), np.nan),
            np.full((window, runs), np.nan),
            np.zeros((runs, states, actions)),
            np.zeros((runs, states)),
            np.zeros(runs),
        )


class Batch:
    """Runs that differ in seed, entropy coefficient and discount only: one set of stacked operations."""

    def __init__(self, config: Config, world: World, arms: Sequence[str], seeds: Sequence[int]) -> None:
        self.config, self.world, self.arms, self.seeds = config, world, tuple(arms), tuple(seeds)
        self._agents = [config.agent_of(arm) for arm in arms]
        self.agent = self._agents[0]
        for arm, agent in zip(arms, self._agents, strict=True):
            _check_fits(agent, world, arm)
        self._discount = np.repeat([agent.discount for agent in self._agents], len(seeds))
        self.learner = _initial_learner(self.agent, world, arms, seeds)
        self.source = _experience_source(config, self.agent, world, self._discount, len(arms), seeds)
        mdp = world.mdp
        assert mdp is not None
        runs = len(self._discount)
        self.progress = Progress.start(runs, mdp.states, mdp.actions, config.training.updates)
        for run_slice, agent in self._by_arm():
            if isinstance(agent.entropy_coef, TargetEntropy):
                self.progress.coefficient[run_slice] = agent.entropy_coef.start
        self.failed_update = np.full(runs, -1, np.int64)
        self._optimal = [world.optimal_actions(agent.discount) for agent in self._agents]
        self._snapshots = frozenset(snapshot_updates(config.training.updates))

    def _by_arm(self) -> Iterator[tuple[slice, Agent]]:
        n = len(self.seeds)
        for index, agent in enumerate(self._agents):
            yield slice(index * n, (index + 1) * n), agent

    def update(self, update: int) -> UpdateRecord:
        """One update of every run of the batch."""
        active = self.failed_update < 0
        entropy_coef = self._coefficient(update)
        log_pi_graph = self.learner.log_pi().double()
        log_pi = log_pi_graph.detach().numpy()
        collected = self.source.collect(log_pi, entropy_coef)
        terms = loss_terms(log_pi_graph, collected.experience, torch.from_numpy(entropy_coef))
        grad_norm = self.learner.step(terms.loss)
        columns = self._columns(update, log_pi, collected, active)
        columns |= {
            "entropy_coef": entropy_coef,
            "policy_loss": terms.policy_loss.detach().numpy(),
            "negative_entropy": terms.negative_entropy.detach().numpy(),
            "loss": terms.loss.detach().numpy(),
            "grad_norm": grad_norm.double().numpy(),
        }
        steps = self._step_record(collected, active)
        self._control(columns["entropy_bits"])
        self._freeze_failed(update, columns)
        snapshot = Snapshot(np.exp(log_pi), self.progress.visits.copy()) if update in self._snapshots else None
        return UpdateRecord(update, columns, active, steps, snapshot)

    def _coefficient(self, update: int) -> Array:
        """The entropy coefficient of every run, [R]."""
        coefficient = self.progress.coefficient.copy()
        for run_slice, agent in self._by_arm():
            spec = agent.entropy_coef
            if isinstance(spec, Linear):
                updates = self.config.training.updates
                coefficient[run_slice] = schedules.linear(update, updates, spec.start, spec.end, spec.fraction)
            elif isinstance(spec, Exponential):
                coefficient[run_slice] = schedules.exponential(update, spec.start, spec.decay)
            elif not isinstance(spec, TargetEntropy):
                coefficient[run_slice] = spec
        return coefficient

    def _control(self, entropy_bits: Array) -> None:
        for run_slice, agent in self._by_arm():
            spec = agent.entropy_coef
            if isinstance(spec, TargetEntropy):
                self.progress.coefficient[run_slice] = schedules.target_entropy(
                    self.progress.coefficient[run_slice], entropy_bits[run_slice], spec.target_bits, spec.rate
                )

    def _columns(
        self, update: int, log_pi: Array, collected: Collected, active: NDArray[np.bool_]
    ) -> dict[str, Column]:
        """Counts, returns and the measures of exploration; moves the progress on."""
        progress, mdp = self.progress, self.world.mdp
        assert mdp is not None
        visits = collected.visits
        state_entropy = measures.entropy(log_pi)
        path_entropy = measures.mean_over_visits(state_entropy, visits)
        moved = measures.kl_divergence(progress.previous_log_pi, log_pi)
        kl = measures.mean_over_visited(moved, progress.previous_visits) if update else np.zeros(len(visits))
        optimal = self._per_run([best for best in self._optimal])
        cross_entropy = measures.cross_entropy_to_optimal(log_pi, optimal)
        at_start = np.einsum("s,rsa->ra", mdp.start, np.exp(log_pi))
        best_at_start = np.einsum("s,rsa,rsa->r", mdp.start, np.exp(log_pi), optimal)
        progress.previous_log_pi[:] = log_pi
        progress.previous_visits[:] = visits
        self._count(update, collected, path_entropy, active)
        acting = self.world.reachable & ~self.world.terminal
        return {
            "env_steps": progress.env_steps.copy(),
            "episodes": progress.episodes.copy(),
            "return_mean": collected.returns.mean(1),
            "episode_length": collected.lengths.mean(1),
            "entropy_nats": path_entropy,
            "entropy_bits": path_entropy / math.log(2),
            "all_state_entropy_bits": state_entropy[:, acting].mean(1) / math.log(2),
            "effective_actions": np.exp(path_entropy),
            "kl_from_previous": kl,
            "kl_to_uniform": math.log(mdp.actions) - path_entropy,
            "optimal_action_probability": best_at_start,
            "cross_entropy_to_optimal": measures.mean_over_visits(cross_entropy, visits),
            "state_coverage": measures.state_coverage(progress.visited, self.world.reachable),
            "visit_entropy_bits": measures.visit_entropy_bits(visits),
            "success_rate": (collected.returns >= self._solved_return - 1e-9).mean(1),
            "solved": np.nanmean(progress.recent_returns, axis=0) >= self._solved_return - 1e-9,
            "start_policy": at_start,
        }

    @property
    def _solved_return(self) -> float:
        solved = self.config.environment.solved_return
        return math.inf if solved is None else solved

    def _per_run(self, tables: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
        return np.repeat(np.stack(tables), len(self.seeds), axis=0)

    def _count(self, update: int, collected: Collected, path_entropy: Array, active: NDArray[np.bool_]) -> None:
        progress = self.progress
        slot = update % len(progress.recent_returns)
        progress.recent_returns[slot] = collected.returns.mean(1)
        progress.recent_entropies[slot] = path_entropy
        progress.visits[active] += collected.visits[active]
        progress.visited[active] |= collected.visited[active]
        if collected.steps is None:
            return
        live = np.cumsum(collected.steps.live, axis=0) + progress.env_steps
        new = active & (progress.first_success < 0) & (collected.success_step >= 0)
        progress.first_success[new] = live[collected.success_step[new], np.flatnonzero(new)]
        progress.env_steps[active] = live[-1, active]
        progress.episodes[active] += collected.returns.shape[1]

    def _step_record(self, collected: Collected, active: NDArray[np.bool_]) -> StepRecord | None:
        if collected.steps is None:
            return None
        live = np.where(active, collected.steps.live, 0)
        before = self.progress.env_steps - live.sum(0)
        return StepRecord(live, np.cumsum(live, axis=0) + before, collected.steps.entropy)

    def _freeze_failed(self, update: int, columns: Mapping[str, Column]) -> None:
        """Freeze every run whose loss, gradient or parameters are no longer finite."""
        sums = self.learner.theta.detach().sum(1).double().numpy()
        finite = np.isfinite(columns["loss"]) & np.isfinite(columns["grad_norm"]) & np.isfinite(sums)
        failed = ~finite & (self.failed_update < 0)
        if failed.any():
            self.failed_update[failed] = update
            self.learner.freeze(torch.from_numpy(failed))

    def final(self) -> dict[str, Column]:
        """The columns of runs.parquet for the runs of this batch. The policy is the one after the last step."""
        mdp, progress = self.world.mdp, self.progress
        assert mdp is not None
        with torch.no_grad():
            log_pi = self.learner.log_pi().double().numpy()
        at_start = np.einsum("s,rsa->ra", mdp.start, np.exp(log_pi))
        greedy = np.eye(mdp.actions)[log_pi.argmax(2)]
        failed = self.failed_update >= 0
        final_return = np.where(failed, np.nan, progress.recent_returns.mean(0))
        horizon = None if self.agent.horizon == "infinite" else self.world.time_limit
        greedy_return = evaluate(mdp, greedy, horizon=self.world.time_limit, discount=1.0).expected_return
        return {
            "final_return": final_return,
            "greedy_return": np.where(failed, np.nan, greedy_return),
            "solved": final_return >= self._solved_return - 1e-9,
            "stuck": self._stuck(at_start, greedy, horizon) & ~failed,
            "first_success_env_step": progress.first_success.copy(),
            "final_entropy_bits": np.where(failed, np.nan, progress.recent_entropies.mean(0) / math.log(2)),
            "state_coverage": measures.state_coverage(progress.visited, self.world.reachable),
            "env_steps": progress.env_steps.copy(),
            "episodes": progress.episodes.copy(),
            "failed": failed,
            "failed_update": self.failed_update.copy(),
            "start_policy": at_start,
        }

    def _stuck(self, at_start: Array, greedy: Array, horizon: int | None) -> NDArray[np.bool_]:
        mdp = self.world.mdp
        assert mdp is not None
        stuck = np.zeros(len(at_start), bool)
        for (run_slice, agent), optimal in zip(self._by_arm(), self._optimal, strict=True):
            if mdp.states == 1:
                stuck[run_slice] = measures.bandit_stuck(at_start[run_slice], optimal[0])
                continue
            value = evaluate(mdp, greedy[run_slice], horizon=horizon, discount=agent.discount).expected_return
            best = self.world.optimal_return(agent.discount, horizon)
            stuck[run_slice] = measures.stuck(at_start[run_slice], value, best)
        return stuck

    def parameters(self) -> dict[str, torch.Tensor]:
        """Trained parameters by "<arm>/seed_<k>/<layer>"."""
        names = [f"{arm}/seed_{seed}" for arm in self.arms for seed in self.seeds]
        layers = self.learner.shape.split(self.learner.theta.detach())
        labels = self.learner.shape.labels
        return {
            f"{name}/{label}": layer[run].contiguous()
            for run, name in enumerate(names)
            for label, layer in zip(labels, layers, strict=True)
        }

    def state(self) -> State:
        """Everything the batch needs to go on."""
        return {
            **{f"learner.{key}": value.numpy().copy() for key, value in self.learner.state().items()},
            **{f"source.{key}": value.copy() for key, value in self.source.state().items()},
            **{f"progress.{key}": value.copy() for key, value in self.progress._asdict().items()},
            "failed_update": self.failed_update.copy(),
        }

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `state()`."""

        def part(prefix: str) -> State:
            return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

        self.learner.load({key: torch.from_numpy(value.copy()) for key, value in part("learner.").items()})
        self.source.load(part("source."))
        self.progress = Progress(**{key: value.copy() for key, value in part("progress.").items()})
        self.failed_update = state["failed_update"].copy()


def _check_fits(agent: Agent, world: World, arm: str) -> None:
    """What only the world can tell of an agent's options."""
    place = f"arms.{arm}"
    if world.mdp is None and agent.gradient == "exact":
        raise ConfigError(
            f'{place}: gradient = "exact" needs a finite world; {world.environment.id} has no tables'
        )
    policy = agent.initial_policy
    if policy is not None and len(policy) != world.actions:
        raise ConfigError(
            f"{place}: initial_policy has {len(policy)} probabilities; "
            f"{world.environment.id} has {world.actions} actions"
        )
    most = math.log2(world.actions)
    spec = agent.entropy_coef
    if isinstance(spec, TargetEntropy) and spec.target_bits > most:
        raise ConfigError(
            f"{place}: entropy_coef.target_bits = {spec.target_bits:g} is above log2({world.actions}) = {most:g}, "
            "the entropy of the uniform policy"
        )


def _initial_learner(agent: Agent, world: World, arms: Sequence[str], seeds: Sequence[int]) -> StackedLearner:
    """Arms of the same seed start from the same parameters."""
    hidden = agent.hidden_sizes if agent.policy == "mlp" else None
    shape = PolicyShape(world.inputs, hidden, world.actions)
    # Tables and exact gradients are cheap in float64; an MLP's products are twice as fast in float32.
    dtype = torch.float32 if agent.policy == "mlp" and agent.gradient == "sampled" else torch.float64
    initial = torch.stack(
        [
            shape.initial(parameter_generator(seed), agent.initialization, agent.initial_policy, dtype)
            for seed in seeds
        ]
    )
    theta = initial.repeat(len(arms), 1)
    return StackedLearner(shape, theta, agent.optimizer, agent.learning_rate, agent.max_grad_norm)


def _experience_source(
    config: Config, agent: Agent, world: World, discount: Array, arms: int, seeds: Sequence[int]
) -> SampledExperience | ExactExperience:
    assert world.mdp is not None
    solved = config.environment.solved_return
    if agent.gradient == "exact":
        horizon = None if agent.horizon == "infinite" else world.time_limit
        try:
            return ExactExperience(world.mdp, horizon, agent, discount)
        except ValueError as error:
            raise ConfigError(f"agent.horizon: {error}") from None
    rollout = FiniteRollout(world.mdp, seeds, arms, config.training.episodes_per_update, world.time_limit)
    return SampledExperience(rollout, agent, discount, math.inf if solved is None else solved)
