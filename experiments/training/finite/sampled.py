"""Learning from sampled episodes in finite worlds: what the compiled training of a run takes, and what it gives.

R: runs, S: states, A: actions, U: updates of a block, K: outcomes of an action.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.kernels.episodes import Tables
from agents.kernels.loss import REGULARIZERS
from agents.kernels.returns import BASELINES
from agents.policy import Policies, PolicyShape
from envs.finite_mdp import FiniteMDP
from experiments.config.schema import Agent, Config, TargetEntropy
from experiments.training import exploration
from experiments.training.finite import one_run, parts, run_data
from experiments.training.finite.ending import ending
from experiments.training.finite.telling import COLUMNS
from experiments.training.randomness import Purpose
from experiments.training.records import Column, Each, Records, Snapshot, Steps
from experiments.training.update import Ending
from experiments.training.worlds import World

Array = NDArray[np.float64]

PURPOSES = tuple(int(p) for p in (Purpose.ACTIONS, Purpose.OUTCOMES, Purpose.REWARDS, Purpose.STARTS))


class SampledLearning:
    """The runs of some arms; each is trained by a block of updates before the next begins.

    Args:
        config: what to train.
        world: the world of `mdp`.
        mdp: its tables.
        agents: the agents of the arms, which differ in entropy coefficient, discount, learning rate and initial
            policy only.
        seeds: the seeds of every arm.
        policies: the policies of all runs, arm by arm; their parameters are moved in place.
        controlled: the coefficients of entropy controllers, [R], changed in place.
        failed_update: the update in which a run failed, [R], changed in place; -1: it did not.
    """

    def __init__(
        self,
        config: Config,
        world: World,
        mdp: FiniteMDP,
        agents: Sequence[Agent],
        seeds: Sequence[int],
        policies: Policies,
        controlled: Array,
        failed_update: NDArray[np.int64],
    ) -> None:
        self._world, self._mdp, self._policies = world, mdp, policies
        self._failed_update = failed_update
        self._options = _options(config, world, agents[0], policies.shape)
        runs, table = len(failed_update), (mdp.states, mdp.actions)
        theta, moments = policies.theta, 2 if agents[0].optimizer == "adam" else 0
        self._memory: dict[str, NDArray[Any]] = {
            "means": np.zeros((runs, moments, theta.shape[1]), theta.dtype),
            "values": np.zeros((runs, mdp.states)),
            "returns": np.zeros((runs, 2)),
            "visits": np.zeros((runs, mdp.states)),
            "visited": np.zeros((runs, mdp.states), dtype=bool),
            "previous_log_pi": np.zeros((runs, *table)),
            "previous_visited": np.zeros((runs, mdp.states), dtype=bool),
        }
        self._runs = []
        for arm, agent in enumerate(agents):
            compared = _compared(world, mdp, agent.discount)
            most = config.training.max_env_steps
            for place, seed in enumerate(seeds, start=arm * len(seeds)):
                own = {name: array[place] for name, array in self._memory.items()}
                memory = run_data.Memory(
                    theta=theta[place],
                    controlled=controlled[place : place + 1],
                    failed_update=failed_update[place : place + 1],
                    **own,
                )
                self._runs.append((self._options, compared, _run(agent, seed, most), memory))

    def advance(
        self,
        first: int,
        env_steps: NDArray[np.int64],
        entropy_coef: Array,
        epsilon: Array,
        snapshots: Sequence[int],
        each: Each = map,
    ) -> Records:
        """Train every run by U updates.

        Args:
            first: the number of the first update.
            env_steps: the environment steps of each run before it, [R].
            entropy_coef: the coefficients by schedule, [U, R].
            epsilon: the share of random actions, [U].
            snapshots: the updates of which to keep a snapshot.
            each: calls a function for every run: `map`, or one by threads.
        """
        runs, updates, (states, actions) = len(self._runs), len(epsilon), self._mdp.next_state.shape[:2]
        wanted = np.array(snapshots, dtype=np.int64)
        columns = np.full((runs, updates, len(COLUMNS)), np.nan)
        start_policy, length = np.full((runs, updates, actions), np.nan), np.zeros((runs, updates), np.int64)
        policies, visits = np.empty((runs, len(wanted), states, actions)), np.empty((runs, len(wanted), states))
        by_run = np.ascontiguousarray(entropy_coef.T)

        def moved(run: int) -> tuple[NDArray[np.int64], Array]:
            asked = first, env_steps[run], by_run[run], epsilon, wanted
            block = run_data.Block(
                *asked, columns[run], start_policy[run], length[run], policies[run], visits[run]
            )
            return one_run.advance(*self._runs[run], block, PURPOSES)

        live, entropy = zip(*each(moved, range(runs)), strict=True)
        active = length.T > 0
        still, moment = np.nonzero(~active[wanted - first].T)  # runs that no longer move
        if len(still):
            last = self.snapshot()
            policies[still, moment], visits[still, moment] = last.policy[still], last.visits[still]
        told = dict(zip(COLUMNS, columns.transpose(2, 1, 0), strict=True))
        told["success_step"] = np.nan_to_num(told["success_step"], nan=-1.0).astype(np.int64)
        return Records(
            first,
            told | {"start_policy": start_policy.transpose(1, 0, 2)},
            active,
            ~active & (self._failed_update < 0),
            Steps(length.T, np.concatenate(live), np.concatenate(entropy)),
            {update: Snapshot(policies[:, m], visits[:, m]) for m, update in enumerate(snapshots)},
        )

    def compile_part(self, part: int) -> None:
        """Compile one of `parts.PARTS` of what `advance` calls."""
        parts.compile_part(part, *self._runs[0])

    def snapshot(self) -> Snapshot:
        """The policies that acted in the last update, and all visits so far."""
        return Snapshot(np.exp(self._memory["previous_log_pi"]), self._memory["visits"].copy())

    def final(self) -> Ending:
        """The policies as they are now, and what their most probable actions earn."""
        coverage = exploration.state_coverage(self._memory["visited"], self._world.reachable)
        return ending(self._mdp, self._world.time_limit, self._policies.log_pi())._replace(state_coverage=coverage)

    def state(self) -> dict[str, Column]:
        """What lasts from update to update, except for the parameters."""
        return {name: array.copy() for name, array in self._memory.items()}

    def load(self, state: dict[str, Column]) -> None:
        """Resume from `state()`."""
        for name, array in self._memory.items():
            array[:] = state[name]


def _options(config: Config, world: World, agent: Agent, shape: PolicyShape) -> run_data.Options:
    solved = config.environment.solved_return
    mdp = world.mdp
    assert mdp is not None
    longest = mdp.longest_episode
    return run_data.Options(
        widths=np.array(shape.widths, dtype=np.int64),
        episodes=config.training.episodes_per_update,
        time_limit=world.time_limit if longest is None else min(world.time_limit, longest),
        solved_return=math.inf if solved is None else solved,
        baseline=BASELINES.index(agent.baseline),
        value_learning_rate=agent.value_learning_rate,
        normalize_advantages=agent.normalize_advantages,
        discount_weighting=agent.discount_weighting,
        per_step=agent.loss_reduction == "per_step",
        soft_return=agent.entropy_objective == "soft_return",
        soft_return_offset=math.log(world.actions) if agent.soft_return_offset == "uniform" else 0.0,
        regularizer=REGULARIZERS.index(agent.regularizer),
        score_of_policy=agent.behaviour_gradient == "policy",
        max_grad_norm=agent.max_grad_norm,
    )


def _run(agent: Agent, seed: int, max_env_steps: int | None) -> run_data.Run:
    target = agent.entropy_coef if isinstance(agent.entropy_coef, TargetEntropy) else None
    bits, rate = (target.target_bits, target.rate) if target else (math.nan, 0.0)
    most = math.inf if max_env_steps is None else float(max_env_steps)
    return run_data.Run(seed, agent.discount, agent.learning_rate, bits, rate, most)


def _compared(world: World, mdp: FiniteMDP, discount: float) -> run_data.World:
    """The tables of a world, with what its measures need."""
    acting = (world.reachable & ~world.terminal).astype(float)
    optimal = world.optimal_actions(discount).copy()
    return run_data.World(tables(mdp), mdp.start.copy(), optimal, world.reachable.copy(), acting)


def tables(mdp: FiniteMDP) -> Tables:
    """The tables in which episodes look up; if every outcome is certain, only that outcome."""
    kept = np.arange(mdp.outcomes) if mdp.is_stochastic else mdp.probability.argmax(-1)[..., None]
    arrival, reward, cumulative = (
        np.take_along_axis(table, np.broadcast_to(kept, (*table.shape[:2], kept.shape[-1])), axis=-1).ravel()
        for table in (2 * mdp.next_state + mdp.terminated, mdp.reward, mdp.cumulative_probability)
    )
    start = mdp.cumulative_start.copy()
    return Tables(start, arrival.astype(np.uint32), reward, cumulative, float(mdp.reward_std))
