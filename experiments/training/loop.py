"""The training loop, which trains all runs by a block of updates. It knows of no files, screens or TensorBoard.

R: runs, A: actions. Arms that differ only in entropy coefficient, discount and initial policy share one batch, in
finite worlds with sampled gradients also those that differ in learning rate. Arms that
differ in anything else, and the worlds of a family, have batches of their own behind the same interface.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agents.kernels.compiled import is_compiling
from experiments.config.schema import Config, ConfigError
from experiments.training.batch import Batch, State
from experiments.training.finite.sampled import SampledLearning
from experiments.training.initial import check_claims
from experiments.training.memory import keep_freed_memory
from experiments.training.records import Column, Each, Records, Runs, merged, scattered, snapshot_updates
from experiments.training.worlds import make_worlds


class Training:
    """All runs of a config. The caller has to close it, because simulators may hold more than memory.

    Attributes:
        worlds: the worlds of a family, or the only world.
        world: the first of them, which pictures show.

    Args:
        config: what to train; if its environment names a file, `Training.config` has the file's content instead.
        seeds: some of the config's seeds, when processes share the work; a run's numbers do not depend on its
            neighbours.
    """

    def __init__(self, config: Config, seeds: Sequence[int] | None = None) -> None:
        if not is_compiling():
            raise ConfigError("NUMBA_DISABLE_JIT is set, but training needs compiled loops: unset it")
        keep_freed_memory()
        self.worlds = make_worlds(config.environment)
        self.world = self.worlds[0]
        check_claims(config, self.world)
        self.config = config
        self.seeds = config.training.seed_list if seeds is None else tuple(seeds)
        self.runs = Runs.of(list(config.arms), self.seeds, config.environment.world_list)
        self.update_count = 0
        arms = list(config.arms)
        grouped: dict[str, list[str]] = {}
        for arm in arms:
            grouped.setdefault(_batch_key(config, arm, self.world.mdp is not None), []).append(arm)
        self.batches: list[Batch] = []
        self._places = []
        of_arms = [snapshot_updates(config.training_of(arm).updates) for arm in arms]
        snapshots = sorted({update for updates in of_arms for update in updates})
        n, runs = len(self.seeds), np.arange(len(self.runs.arm)).reshape(len(arms), len(self.worlds), -1)
        for place, world in enumerate(self.worlds):
            for group in grouped.values():
                own = config.model_copy(update={"training": config.training_of(group[0])})
                self.batches.append(Batch(own, world, group, self.seeds, [] if place else snapshots))
                self._places.append(runs[[arms.index(arm) for arm in group], place].reshape(len(group) * n))

    @property
    def is_compiled(self) -> bool:
        """Whether the runs are trained by compiled code alone, so that threads can share them."""
        return all(batch.is_compiled for batch in self.batches)

    def compile_part(self, part: int) -> None:
        """Compile a part of what trains the runs, one of `finite.parts.PARTS`, if they are compiled."""
        for batch in self.batches:
            if isinstance(batch.learning, SampledLearning):
                batch.learning.compile_part(part)

    def advance(self, updates: int | None = None, each: Each = map) -> Records:
        """Train the next updates of every run. How many are trained at a time changes no number.

        Args:
            updates: U, the number of updates; None: all that are left. A run rests once it has made its own.
            each: calls a function with the place of every compiled run, in any order and in any thread.
        """
        first = self.update_count
        number = self.config.most_updates - first if updates is None else updates
        with np.errstate(invalid="ignore", over="ignore"):  # a run that overflows is frozen, without a warning
            parts = [batch.advance(first, number, each) for batch in self.batches]
        self.update_count += number
        return merged(parts, self._places, len(self.runs.arm))

    def final(self) -> dict[str, Column]:
        """The columns of runs.parquet, [R] each (start_policy [R, A])."""
        parts = [batch.final() for batch in self.batches]
        return {name: scattered([part[name] for part in parts], self._places) for name in parts[0]}

    def close(self) -> None:
        """Close the simulators, if there are any."""
        for batch in self.batches:
            batch.close()

    def parameters(self) -> dict[str, Column]:
        """The trained parameters, by "<arm>/seed_<k>/<layer>"; in a family "<arm>/world_<w>/seed_<k>/<layer>"."""
        found: dict[str, Column] = {}
        for batch in self.batches:
            found |= batch.parameters()
        return found

    def state(self) -> State:
        """Everything that training needs in order to resume, as plain arrays."""
        states: State = {"update_count": np.array(self.update_count)}
        for index, batch in enumerate(self.batches):
            states |= {f"batch_{index}.{key}": value for key, value in batch.state().items()}
        return states

    def load(self, state: Mapping[str, Column]) -> None:
        """Resume from the `state()` of a training with the same config and seeds."""
        self.update_count = int(state["update_count"])
        for index, batch in enumerate(self.batches):
            prefix = f"batch_{index}."
            batch.load({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})


def _batch_key(config: Config, arm: str, has_tables: bool) -> str:
    """A key that is equal for arms that share a batch, because they differ only in numbers of each run."""
    agent = config.agent_of(arm)
    numbers: dict[str, Any] = {"entropy_coef": 0.0, "discount": 0.0, "initial_policy": None}
    if has_tables and agent.gradient == "sampled":
        numbers["learning_rate"] = 1.0
    alike = agent.model_copy(update=numbers).model_dump_json()
    training = config.training_of(arm)
    return f"{alike} {training.updates} {training.episodes_per_update} {training.max_env_steps}"
