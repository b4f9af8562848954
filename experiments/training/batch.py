"""Runs that share stacked operations: they differ only in seeds and in numbers that each run may have for itself.

R: runs, A: actions, W: updates over which final values are means. What depends on the kind of world is in
`experiments.training.finite` and `experiments.training.simulated`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.config.schema import Agent, Config
from experiments.training.coefficients import Coefficients, scheduled
from experiments.training.finals import final_columns
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
    """Runs, in one world, of arms that differ only in entropy coefficient, discount, initial policy and, where
    learning is compiled, in learning rate."""

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
        self._streams = [world.stream_seed(seed) for seed in seeds]
        self.policies = initial_policies(self._agents, world, self._streams)
        self.progress = Progress.start(len(self.runs.arm), config.training.updates)
        self._facts = _facts(config, self._agents[0], world)
        self._coefficients = Coefficients(self._agents, len(seeds), config.training.updates)
        self._snapshots, self.failed_update = snapshots, np.full(len(self.runs.arm), -1, np.int64)
        self.learning: SampledLearning | ExactLearning | SimulatedLearning
        self._simulated: SimulatedLearning | None = None
        self.learner: StackedLearner | None = None  # only where torch finds the gradient
        if world.mdp is not None and self._agents[0].gradient == "sampled":
            own = self.policies, self._coefficients.controlled, self.failed_update
            self.learning = SampledLearning(config, world, world.mdp, self._agents, self._streams, *own)
        else:
            self._differentiate()

    def _differentiate(self) -> None:
        """Prepare learning by gradients from torch, which is loaded only here: compiled training does without."""
        from experiments.training.finite.exact import ExactLearning
        from experiments.training.simulated.learning import SimulatedLearning

        self.learner = learner_of(self.policies, self._agents[0])
        if self.world.mdp is None:
            own = self._agents, self.runs, self.learner
            self.learning = self._simulated = SimulatedLearning(self.config, self.world, *own)
        else:
            self.learning = ExactLearning(self.world, self.world.mdp, self._agents, self._streams, self.learner)

    @property
    def is_compiled(self) -> bool:
        """Whether its runs are trained by compiled code alone."""
        return isinstance(self.learning, SampledLearning)

    def advance(self, first: int, updates: int, each: Each) -> Records:
        """Train the updates of every run from number `first` on; after its last update a batch rests."""
        own = min(max(self.config.training.updates - first, 0), updates)
        parts = [self._trained(first, own, each)] if own else []
        if own < updates:
            snapshots = self._snapshots_in(range(first + own, first + updates))
            kept = {update: snapshot for update in snapshots if (snapshot := self.learning.snapshot())}
            healthy = self.failed_update < 0
            parts.append(resting(self.progress, healthy, first + own, updates - own, self._facts, kept))
        return joined(parts)

    def _snapshots_in(self, updates: range) -> list[int]:
        return [update for update in self._snapshots if update in updates]

    def _trained(self, first: int, updates: int, each: Each) -> Records:
        numbers, before = range(first, first + updates), self.progress.env_steps
        if isinstance(self.learning, SampledLearning):
            entropy_coef = np.stack([self._coefficients.of(update) for update in numbers])
            epsilon = np.array([self._epsilon(update) for update in numbers])
            shown = self._snapshots_in(numbers)
            measured = self.learning.advance(first, before, entropy_coef, epsilon, shown, each)
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
        entropy_coef = self._coefficients.of(update)
        learnt = learning.update(update, entropy_coef, self._epsilon(update), active)
        columns = learnt.columns(self._facts.solved_return) | {"entropy_coef": entropy_coef}
        if learnt.steps is not None:
            self._env_steps += learnt.steps.live.sum(0)
        self._coefficients.control(columns["entropy_nats"] / math.log(2))
        _freeze_failed(self.failed_update, update, columns, active, learner)
        snapshot = learning.snapshot() if update in self._snapshots else None
        return Update(columns, active, rests, learnt.steps, snapshot)

    def _epsilon(self, update: int) -> float:
        """The share of random actions."""
        return scheduled(self._agents[0].behaviour_epsilon, update, self.config.training.updates)

    def final(self) -> dict[str, Column]:
        """The columns of runs.parquet for the runs of this batch."""
        known = self.progress, self._facts, self.learning.final(), self.failed_update
        return final_columns(*known, self.config.training.updates, self.world.mdp is not None)

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
            "controlled": self._coefficients.controlled.copy(),
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
        self.failed_update[:] = state["failed_update"]
        self._coefficients.controlled[:] = state["controlled"]


def _freeze_failed(
    failed_update: NDArray[np.int64],
    update: int,
    columns: Mapping[str, Column],
    active: NDArray[np.bool_],
    learner: "StackedLearner",
) -> None:
    """Freeze every run whose loss, gradient or parameters are no longer finite."""
    finite = np.isfinite(columns["loss"]) & np.isfinite(columns["grad_norm"]) & learner.finite()
    failed = ~finite & active
    if failed.any():
        failed_update[failed] = update
        learner.freeze(failed)


def _facts(config: Config, agent: Agent, world: World) -> Facts:
    episodes = config.training.episodes_per_update if agent.gradient == "sampled" else 0
    return Facts(episodes, world.actions, config.environment.solved_return, _optimal_return(agent, world))


def _optimal_return(agent: Agent, world: World) -> float:
    """The best expected undiscounted return, from which regret is measured; NaN where it is unknown."""
    if world.mdp is None:
        return math.nan
    try:
        return world.optimal_return(1.0, None if agent.horizon == "infinite" else world.time_limit)
    except ValueError:  # without a limit, rewards can be collected for ever
        return math.nan
