"""From an agent's options to a learner that fits its world."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from gymnasium.spaces import Discrete

from agents.policy import Policies, PolicyShape
from experiments.config.measures import RUN_MEASURES
from experiments.config.schema import Agent, Config, ConfigError, TargetEntropy
from experiments.training.randomness import Purpose, normals, uniforms
from experiments.training.worlds import World

if TYPE_CHECKING:
    from agents.reinforce import StackedLearner


def check_fits(agent: Agent, world: World, arm: str, episodes: int) -> None:
    """Refuse options of an arm that do not fit its world.

    Args:
        agent: the arm's options.
        world: the world in which it acts.
        arm: its name.
        episodes: the number of episodes per update.
    Raises:
        ConfigError: an option is impossible in this world.
    """
    place, name = f"arms.{arm}", world.environment.id
    if world.mdp is None:
        without = _without_tables(world)
        if agent.gradient == "exact":
            raise ConfigError(f'{place}: gradient = "exact" needs the tables of a finite world; {without}')
        if agent.baseline == "value":
            raise ConfigError(
                f'{place}: baseline = "value" has a number for each state of a finite world\'s tables; {without} '
                '("none", "batch_mean", "leave_one_out" and "running_mean" work everywhere)'
            )
        if agent.behaviour_epsilon != 0.0:
            raise ConfigError(f"{place}: behaviour_epsilon needs the tables of a finite world; {without}")
        if agent.policy == "tabular" and not isinstance(world.observations, Discrete):
            raise ConfigError(
                f'{place}: policy = "tabular" needs numbered states; {name} shows {world.observations}: '
                'use policy = "mlp" (hidden_sizes = [] is linear)'
            )
    if agent.normalize_advantages and episodes == 1 and _has_one_step(world):
        raise ConfigError(
            f"{place}: normalize_advantages needs training.episodes_per_update above 1: an episode of {name} has "
            "one step, and a single advantage equals its mean, so every gradient would be 0"
        )
    policy = agent.initial_policy
    if policy is not None and len(policy) != world.actions:
        raise ConfigError(
            f"{place}: initial_policy has {len(policy)} probabilities; {name} has {world.actions} actions"
        )
    most = math.log2(world.actions)
    spec = agent.entropy_coef
    if isinstance(spec, TargetEntropy) and spec.target_bits > most:
        raise ConfigError(
            f"{place}: entropy_coef.target_bits = {spec.target_bits:g} is above log2({world.actions}) = {most:g}, "
            "the entropy of the uniform policy"
        )


def check_claims(config: Config, world: World) -> None:
    """Refuse claims on measures that no run has in this world.

    Raises:
        ConfigError: names the first such claim.
    """
    for number, claim in enumerate(config.claims):
        check_has_measure(claim.measure, world, f"claims.{number}")


def check_has_measure(measure: str, world: World, place: str) -> None:
    """Refuse a measure of runs that needs tables where the world has none.

    Raises:
        ConfigError: names the place.
    """
    if world.mdp is None and "tables" in RUN_MEASURES[measure].needs:
        raise ConfigError(
            f"{place}: measure {measure!r} needs the tables of a finite world; {_without_tables(world)}"
        )


def _without_tables(world: World) -> str:
    """Why a world has no tables."""
    name = world.environment.id
    return f"{name} has no tables" if world.environment.tables else "environment.tables is false"


def _has_one_step(world: World) -> bool:
    """Whether every episode has one step, as far as that is known without playing."""
    if world.mdp is None:
        return world.time_limit == 1
    started = world.mdp.start > 0
    return bool(world.time_limit == 1 or world.mdp.terminated[started][world.mdp.probability[started] > 0].all())


def policy_shape(agent: Agent, world: World) -> PolicyShape:
    """The network, or table, that an agent's options describe in a world."""
    return PolicyShape(world.inputs, agent.hidden_sizes if agent.policy == "mlp" else None, world.actions)


def initial_policies(agents: Sequence[Agent], world: World, seeds: Sequence[int]) -> Policies:
    """The policies of all arms with a run per seed.

    Args:
        agents: the agents of the arms, which differ only in numbers of each run. With the same seed and the same
            initial policy, arms start from the same parameters.
        world: the world in which they act.
        seeds: the seeds of every arm.
    """
    agent = agents[0]
    shape = policy_shape(agent, world)
    # Tables and exact gradients are cheap in float64; an MLP's products are twice as fast in float32.
    dtype = np.float32 if agent.policy == "mlp" and agent.gradient == "sampled" else np.float64
    draw = normals if agent.initialization == "orthogonal" else uniforms
    numbers = draw(seeds, Purpose.PARAMETERS, 0, (shape.parameters,))
    policies = [arm.initial_policy for arm in agents]
    initial = {
        policy: [shape.initial(of_seed, agent.initialization, policy) for of_seed in numbers]
        for policy in set(policies)
    }
    return Policies(shape, np.concatenate([initial[policy] for policy in policies]).astype(dtype))


def learner_of(policies: Policies, agent: Agent) -> "StackedLearner":
    """A learner that moves these policies by gradients from torch, and shares their memory."""
    import torch

    from agents.reinforce import StackedLearner

    theta = torch.from_numpy(policies.theta)
    return StackedLearner(policies.shape, theta, agent.optimizer, agent.learning_rate, agent.max_grad_norm)
