"""Runs that share stacked operations: they differ only in seed, coefficient, discount and initial policy.

R: runs, A: actions, W: updates over which final values are means. What depends on the kind of world is in
`experiments.training.finite` and `experiments.training.simulated`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agents import schedules
from experiments.config.schema import Agent, Config, Exponential, Linear, TargetEntropy
from experiments.training import exploration
from experiments.training.finite.sampled import SampledLearning
from experiments.training.initial import check_fits, initial_policies, learner_of
from experiments.training.progress import Facts, Progress, completed, resting
from experiments.training.records import Column, Each, Records, Runs, joined
from experiments.training.update import Update, stacked
from experiments.training.worlds import World

if TYPE_CHECKING:
    from agents.reinforce import StackedLearner
    from experiments.training.finite.exact import ExactLearning
    from experiments.training.simulated.learning import SimulatedLearning

Array = NDArray[np.float64]
State = dict[str, NDArray[Any]]


class Batch:
    """The runs of some arms in one world that differ in entropy coefficient, discount and initial policy only."""

    def __init__(
        self,
        config: Config,
        world: World,
        arms: Sequence[str],
        seeds: Sequence[int],
        snapshots: Sequence[int] = (),
    ) -> None:
        self.config, self.world, self.runs = config, world, Runs.of(arms, seeds, [world.number])
        self._agents = [config.agent_of(arm) for arm in arms]
        for arm, agent in zip(arms, self._agents, strict=True):
            check_fits(agent, world, arm, config.training.episodes_per_update)
        self._seeds = len(seeds)
        self._streams = [world.stream_seed(seed) for seed in seeds]
        self.policies = initial_policies(self._agents, world, self._streams)
        self.progress = Progress.start(len(self.runs.arm), config.training.updates)
        sampled = self._agents[0].gradient == "sampled"
        self._facts = Facts(
            config.training.episodes_per_update if sampled else 0,
            world.actions,
            config.environment.solved_return,
            _optimal_return(self._agents[0], world),
        )
        self.controlled = np.zeros(len(self.runs.arm))  # coefficients of the target-entropy controller, [R]
        for run_slice, agent in self._by_arm():
            if isinstance(agent.entropy_coef, TargetEntropy):
                self.controlled[run_slice] = agent.entropy_coef.start
        self.failed_update = np.full(len(self.runs.arm), -1, np.int64)
        self._snapshots = snapshots
        self.learning: SampledLearning | ExactLearning | SimulatedLearning
        self._simulated: SimulatedLearning | None = None
        self.learner: StackedLearner | None = None  # only where torch finds the gradient
        if world.mdp is not None and sampled:
            own = self.policies, self.controlled, self.failed_update
            self.learning = SampledLearning(config, world, world.mdp, self._agents, self._streams, *own)
        else:
            self._differentiate()

    def _differentiate(self) -> None:
        """Prepare learning by gradients from torch, which is loaded only here: compiled training need not wait for
        it."""
        from experiments.training.finite.exact import ExactLearning
        from experiments.training.simulated.learning import SimulatedLearning

        self.learner = learner_of(self.policies, self._agents[0])
        if self.world.mdp is None:
            own = self._agents, self.runs, self.learner
            self.learning = self._simulated = SimulatedLearning(self.config, self.world, *own)
        else:
            self.learning = ExactLearning(self.world, self.world.mdp, self._agents, self._streams, self.learner)

    def _by_arm(self) -> Iterator[tuple[slice, Agent]]:
        for index, agent in enumerate(self._agents):
            yield slice(index * self._seeds, (index + 1) * self._seeds), agent

    @property
    def is_compiled(self) -> bool:
        """Whether its runs are trained by compiled code alone."""
        return isinstance(self.learning, SampledLearning)

    def advance(self, first: int, updates: int, each: Each) -> Records:
        """Train the next updates of every run, of which the first has the number `first`; after its last update a
        batch rests."""
        own = min(max(self.config.training.updates - first, 0), updates)
        parts = [self._trained(first, own, each)] if own else []
        if own < updates:
            snapshots = self._snapshots_in(range(first + own, first + updates))
            kept = {update: snapshot for update in snapshots if (snapshot := self.learning.snapshot())}
            parts.append(resting(self.progress, first + own, updates - own, self._facts, kept))
        return joined(parts)

    def _snapshots_in(self, updates: range) -> list[int]:
        return [update for update in self._snapshots if update in updates]

    def _trained(self, first: int, updates: int, each: Each) -> Records:
        numbers, before = range(first, first + updates), self.progress.env_steps
        if isinstance(self.learning, SampledLearning):
            entropy_coef = np.stack([self._coefficient(update) for update in numbers])
            epsilon = np.array([self._epsilon(update) for update in numbers])
            snapshots = self._snapshots_in(numbers)
            measured = self.learning.advance(first, before, entropy_coef, epsilon, snapshots, each)
        else:
            assert self.learner is not None
            self._env_steps = before.copy()
            measured = stacked(first, [self._update(self.learning, self.learner, update) for update in numbers])
        self.progress, records = completed(self.progress, measured, self._facts)
        return records

    def _update(
        self, learning: "ExactLearning | SimulatedLearning", learner: "StackedLearner", update: int
    ) -> Update:
        going, most = self.failed_update < 0, self.config.training.max_env_steps
        rests = going & (self._env_steps >= (math.inf if most is None else most))
        active, learner.resting = going & ~rests, rests
        entropy_coef = self._coefficient(update)
        learnt = learning.update(update, entropy_coef, self._epsilon(update), active)
        columns = learnt.columns(self._solved_return) | {"entropy_coef": entropy_coef}
        if learnt.steps is not None:
            self._env_steps += learnt.steps.live.sum(0)
        self._control(columns["entropy_nats"] / math.log(2))
        self._freeze_failed(update, columns, active, learner)
        snapshot = learning.snapshot() if update in self._snapshots else None
        return Update(columns, active, rests, learnt.steps, snapshot)

    def _epsilon(self, update: int) -> float:
        """The share of random actions."""
        return _scheduled(self._agents[0].behaviour_epsilon, update, self.config.training.updates)

    def _coefficient(self, update: int) -> Array:
        """The entropy coefficient of every run, [R]."""
        coefficient = self.controlled.copy()
        for run_slice, agent in self._by_arm():
            if not isinstance(agent.entropy_coef, TargetEntropy):
                updates = self.config.training.updates
                coefficient[run_slice] = _scheduled(agent.entropy_coef, update, updates)
        return coefficient

    def _control(self, entropy_bits: Array) -> None:
        for run_slice, agent in self._by_arm():
            spec = agent.entropy_coef
            if isinstance(spec, TargetEntropy):
                self.controlled[run_slice] = schedules.target_entropy(
                    self.controlled[run_slice], entropy_bits[run_slice], spec.target_bits, spec.rate
                )

    @property
    def _solved_return(self) -> float | None:
        return self.config.environment.solved_return

    def _freeze_failed(
        self, update: int, columns: Mapping[str, Column], active: NDArray[np.bool_], learner: "StackedLearner"
    ) -> None:
        """Freeze every run whose loss, gradient or parameters are no longer finite."""
        finite = np.isfinite(columns["loss"]) & np.isfinite(columns["grad_norm"]) & learner.finite()
        failed = ~finite & active
        if failed.any():
            self.failed_update[failed] = update
            learner.freeze(failed)

    def final(self) -> dict[str, Column]:
        """The columns of runs.parquet for the runs of this batch. The policy is the one after the last step.

        Truth values are numbers, and NaN where they are missing: for failed runs, or where they are not known.
        """
        progress, ending = self.progress, self.learning.final()
        failed = self.failed_update >= 0
        made = np.full(len(failed), self.config.training.updates)
        if self._facts.episodes:
            made = progress.episodes // self._facts.episodes
        final = {name: np.where(failed, np.nan, mean) for name, mean in progress.final_means(made).items()}
        final["greedy_return"] = np.where(failed, np.nan, ending.greedy_return)
        if self._agents[0].gradient == "exact":
            final["final_success_rate"] = ending.success_probability
        never = np.where(self._facts.tell_success, progress.first_success < 0, np.nan)
        return {
            **final,
            **self._readings(final, ending.start_policy),
            "never_successful": np.where(failed & (never != 0), np.nan, never),
            "first_success_env_step": progress.first_success.copy(),
            "first_optimal_update": progress.first_optimal.copy(),
            "entropy_collapse_update": np.where(failed, -1, progress.collapsed_since),
            "regret": np.where(failed, np.nan, progress.regret / made),
            "state_coverage": ending.state_coverage,
            "env_steps": progress.env_steps.copy(),
            "episodes": progress.episodes.copy(),
            "failed": failed,
            "failed_update": self.failed_update.copy(),
            "start_policy": np.where(failed[:, None], np.nan, ending.start_policy),
        }

    def _readings(self, final: Mapping[str, Column], start_policy: Array) -> dict[str, Column]:
        """The three readings of how a run ended, and `stuck`, which excludes the first and the third."""
        half = None if self._solved_return is None else 0.5
        succeeds = exploration.reaches(final["final_success_rate"], half)
        greedy_solved = exploration.reaches(final["greedy_return"], self._solved_return)
        stuck = exploration.stuck(start_policy, succeeds, greedy_solved)
        return {
            "succeeds": succeeds,
            "solved": exploration.reaches(final["final_return"], self._solved_return),
            "greedy_solved": greedy_solved,
            "stuck": stuck if self.world.mdp is not None else np.full(len(stuck), math.nan),
        }

    def close(self) -> None:
        """Close the simulators, if there are any."""
        if self._simulated is not None:
            self._simulated.close()

    def parameters(self) -> dict[str, NDArray[Any]]:
        """The trained parameters, by the path of the run and the layer, with all else that acting needs."""
        shape, theta = self.policies
        layers = dict(zip(shape.labels, shape.split(theta), strict=True))
        if self._simulated is not None:
            layers |= self._simulated.parameters()
        return {
            f"{path}/{label}": layer[run].copy()
            for run, path in enumerate(self.runs.paths())
            for label, layer in layers.items()
        }

    def state(self) -> State:
        """Everything the batch needs in order to resume."""
        return {
            "theta": self.policies.theta.copy(),
            **{f"learner.{key}": value for key, value in (self.learner.state() if self.learner else {}).items()},
            **{f"learning.{key}": value for key, value in self.learning.state().items()},
            **{f"progress.{key}": value.copy() for key, value in self.progress._asdict().items()},
            "failed_update": self.failed_update.copy(),
            "controlled": self.controlled.copy(),
        }

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Resume from `state()`."""

        def part(prefix: str) -> State:
            return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

        self.policies.theta[:] = state["theta"]
        if self.learner:
            self.learner.load(part("learner."))
        self.learning.load(part("learning."))
        self.progress = Progress(**{key: value.copy() for key, value in part("progress.").items()})
        self.failed_update[:], self.controlled[:] = state["failed_update"], state["controlled"]


def _scheduled(spec: float | Linear | Exponential, update: int, updates: int) -> float:
    """The value of a number or a schedule in an update."""
    if isinstance(spec, Linear):
        return schedules.linear(update, updates, spec.start, spec.end, spec.fraction)
    if isinstance(spec, Exponential):
        return schedules.exponential(update, spec.start, spec.decay)
    return spec


def _optimal_return(agent: Agent, world: World) -> float:
    """The best expected undiscounted return, from which regret is measured; NaN where it is unknown."""
    if world.mdp is None:
        return math.nan
    try:
        return world.optimal_return(1.0, None if agent.horizon == "infinite" else world.time_limit)
    except ValueError:  # without a limit, rewards can be collected for ever
        return math.nan
