"""Somebody else's agent on the same world and network: A2C of Stable-Baselines3 (extra `peers`).

Its fastest setting of those tried: 16 environments in one process, 16 steps an update, on the processor.
"""

import importlib.util
import time

from experiments.scenarios import NETWORK, Scenario, Timing

OURS = Scenario(
    "this project: REINFORCE, 60 runs, 16 episodes an update",
    "frozen_lake",
    (*NETWORK, "training.seeds=15", "training.episodes_per_update=16", "training.updates=60"),
)
THEIRS = "Stable-Baselines3: A2C, 16 environments, 16 steps an update"
STEPS = 40_000


def is_installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec("stable_baselines3") is not None


def measure_theirs() -> Timing:
    """Train their agent once; making it is not counted."""
    from stable_baselines3 import A2C
    from stable_baselines3.common.env_util import make_vec_env

    agent = A2C(
        "MlpPolicy",
        make_vec_env("FrozenLake-v1", n_envs=16, seed=0),
        n_steps=16,
        ent_coef=0.02,
        policy_kwargs={"net_arch": [64, 64]},
        seed=0,
        device="cpu",
    )
    began = time.perf_counter()
    agent.learn(STEPS)
    return Timing(agent.num_timesteps, time.perf_counter() - began)
