"""The agent of another library on the same world and network: A2C of Stable-Baselines3 (extra `peers`).

It has one process and one thread, like ours. 256 environments with 16 steps per update were its fastest setting of
eight: 16, 64, 128 and 256 environments with 5 to 64 steps. How well it learns in this setting was not tested.
"""

import time
from contextlib import closing

from experiments.session.surroundings import plain_arithmetic
from experiments.speed.scenarios import NETWORK, Scenario, Timing

OURS = Scenario(
    "this project: REINFORCE, 60 runs, 16 episodes per update",
    "frozen_lake",
    (*NETWORK, "training.seeds=15", "training.episodes_per_update=16", "training.updates=60"),
)
THEIRS = "Stable-Baselines3: A2C, 256 environments, 16 steps per update"
ENVIRONMENTS, STEPS_PER_UPDATE, UPDATES = 256, 16, 15


def measure_theirs() -> Timing:
    """Train their agent once; making it is not counted."""
    from stable_baselines3 import A2C
    from stable_baselines3.common.env_util import make_vec_env

    with closing(make_vec_env("FrozenLake-v1", n_envs=ENVIRONMENTS, seed=0)) as envs, plain_arithmetic():
        agent = A2C(
            "MlpPolicy",
            envs,
            n_steps=STEPS_PER_UPDATE,
            ent_coef=0.02,
            policy_kwargs={"net_arch": [64, 64]},
            seed=0,
            device="cpu",
        )
        began = time.perf_counter()
        agent.learn(ENVIRONMENTS * STEPS_PER_UPDATE * UPDATES)
        return Timing(agent.num_timesteps, time.perf_counter() - began)
