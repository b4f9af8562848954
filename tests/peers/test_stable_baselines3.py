"""Somebody else's agent in our worlds: A2C of Stable-Baselines3, with and without its own entropy term.

pip install --constraint constraints.txt --editable ".[dev,peers]"

Nothing of ours takes part but the worlds, as `gymnasium.make` gives them; what became of a policy is then computed
from their tables. Step size, rollout length and budget were chosen on seeds 0 to 3.
"""

from functools import cache
from typing import NamedTuple

import gymnasium
import numpy as np
import pytest
import torch
from scipy.special import entr

from envs import WORLDS
from envs.exact import evaluate
from envs.success import success_probability
from envs.toy_text import finite_mdp_of, time_limit_of

pytest.importorskip("stable_baselines3", reason="needs the extra peers")
from stable_baselines3 import A2C
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env

SEEDS = range(100, 108)
ENVIRONMENTS = 16
STEPS = 60_000
DISCOUNT = {"FourAction/TwoRooms-v0": 0.97, "FourAction/FourRooms-v0": 0.99}
COEFFICIENT = 0.03


class Trained(NamedTuple):
    """A policy at the end of training, exactly."""

    best_goal: float  # probability that an episode ends at the best goal
    entropy_bits: float  # mean over the steps of an episode


@cache
def trained(world: str, ent_coef: float, seed: int) -> Trained:
    """Each is trained once, in the test that asks for it first: some seconds a test instead of minutes in one."""
    agent = A2C(
        "MlpPolicy",
        make_vec_env(world, n_envs=ENVIRONMENTS, seed=seed),
        n_steps=16,
        learning_rate=0.01,
        gamma=DISCOUNT[world],
        ent_coef=ent_coef,
        seed=seed,
        device="cpu",
    )
    agent.learn(STEPS)
    env = gymnasium.make(world)
    mdp, limit = finite_mdp_of(env), time_limit_of(env)
    assert mdp is not None
    with torch.no_grad():
        distribution = agent.policy.get_distribution(torch.arange(mdp.states)).distribution
        assert isinstance(distribution, torch.distributions.Categorical)
        pi = distribution.logits.double().softmax(-1).numpy()[None]
    best = success_probability(mdp, pi, horizon=limit, solved_return=float(mdp.reward.max()))
    visits = evaluate(mdp, pi, horizon=limit).visit_counts
    bits = (visits * entr(pi).sum(-1)).sum() / visits.sum() / np.log(2)
    return Trained(best.item(), bits.item())


@pytest.mark.parametrize("world", WORLDS)
def test_its_checker_finds_nothing_wrong_with_our_worlds(world: str) -> None:
    check_env(gymnasium.make(world).unwrapped, skip_render_check=False)


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("world", DISCOUNT)
def test_its_entropy_term_leaves_the_policy_less_sure(world: str, seed: int) -> None:
    without, with_term = (trained(world, ent_coef, seed) for ent_coef in (0.0, COEFFICIENT))
    assert with_term.entropy_bits > without.entropy_bits


@pytest.mark.long
@pytest.mark.parametrize("world", DISCOUNT)
def test_with_its_entropy_term_more_of_its_runs_end_at_the_best_goal(world: str) -> None:
    solved = {}
    for ent_coef in (0.0, COEFFICIENT):
        runs = [trained(world, ent_coef, seed) for seed in SEEDS]
        solved[ent_coef] = sum(run.best_goal > 0.5 for run in runs)
        bits = ", ".join(f"{run.entropy_bits:.2f}" for run in runs)
        print(
            f"{world} ent_coef {ent_coef}: {solved[ent_coef]} of 8 end at the best goal; bits at the end: {bits}"
        )
    assert solved[COEFFICIENT] > solved[0.0]
