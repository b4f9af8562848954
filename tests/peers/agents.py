"""Other people's agents and loops in our worlds."""

from functools import partial
from typing import Any

import gymnasium
import numpy as np

import envs  # noqa: F401  (registers the ids)
from tests.peers.trials import trial

WORLD = "FourAction/TwoRooms-v0"


def _stable_baselines3(algorithm: str) -> None:
    import stable_baselines3

    agent = getattr(stable_baselines3, algorithm)("MlpPolicy", gymnasium.make(WORLD), seed=0, device="cpu")
    agent.learn(300)
    action, _ = agent.predict(np.int64(21))
    assert action in gymnasium.make(WORLD).action_space


for _name in ("A2C", "PPO", "DQN"):
    trial("agents", "stable-baselines3", f"{_name} trains in `{WORLD}`", is_long=_name != "A2C")(
        partial(_stable_baselines3, _name)
    )


@trial("agents", "ray[rllib]", f"PPO trains in `{WORLD}` with its own `FlattenObservations`", is_long=True)
def rllib() -> None:
    import ray
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.connectors.env_to_module import FlattenObservations

    ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="error")
    try:
        config = PPOConfig().environment(WORLD).debugging(seed=0)
        config.env_runners(num_env_runners=0, env_to_module_connector=lambda *_, **__: FlattenObservations())
        config.training(train_batch_size_per_learner=400, minibatch_size=100, num_epochs=2)
        agent = config.build_algo()
        for _ in range(3):
            found = agent.train()
        assert found["env_runners"]["num_env_steps_sampled_lifetime"] >= 1200
        assert 0 < found["learners"]["default_policy"]["entropy"] < np.log(4)
        agent.stop()
    finally:
        ray.shutdown()


@trial("agents", "torchrl", "`GymEnv` passes `check_env_specs` and makes a rollout")
def torchrl() -> None:
    from torchrl.envs import GymEnv, check_env_specs

    env = GymEnv(WORLD, device="cpu")
    check_env_specs(env)
    assert env.rollout(30, break_when_any_done=False).batch_size[0] == 30


@trial("agents", "tianshou", "its collector plays in its vector environment, and its policy gradient learns")
def tianshou() -> None:
    import torch
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv
    from tianshou.policy import PGPolicy
    from tianshou.utils.net.common import Net

    def make() -> gymnasium.Env[Any, Any]:
        return gymnasium.wrappers.FlattenObservation(gymnasium.make(WORLD))

    network = Net(make().observation_space.shape, 4, hidden_sizes=[8], softmax=True)
    policy = PGPolicy(network, torch.optim.Adam(network.parameters()), torch.distributions.Categorical)
    collector = Collector(policy, DummyVectorEnv([make] * 3), VectorReplayBuffer(3000, 3))
    assert collector.collect(n_episode=6)["n/ep"] == 6
    policy.update(0, collector.buffer, batch_size=64, repeat=1)


@trial("agents", "gymnasium", "the loop of CleanRL: `make_vec`, autoreset SAME_STEP, `RecordEpisodeStatistics`")
def cleanrl() -> None:
    from gymnasium.wrappers.vector import RecordEpisodeStatistics

    worlds = RecordEpisodeStatistics(gymnasium.make_vec(WORLD, num_envs=4, autoreset_mode="SameStep"))
    worlds.reset(seed=1)
    finished = 0
    for _ in range(300):
        _, _, terminated, truncated, info = worlds.step(worlds.action_space.sample())
        ended = terminated | truncated
        assert ended.any() == ("final_obs" in info)
        finished += int(ended.sum())
        if ended.any():
            assert (info["episode"]["l"][ended] > 0).all()
    assert finished > 0
