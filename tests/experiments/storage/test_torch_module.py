"""A stored policy as a plain torch module: the same policy, and its file says enough to build it without us."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete, flatten
from numpy.typing import NDArray
from safetensors import safe_open

from experiments import load_config, load_policy
from experiments.config.schema import Config
from experiments.session import run as session
from experiments.storage.run_folder import RunFolder, sha256
from experiments.textbook import network
from tests.experiments.comparisons import MLP, SLIPPERY_LAKE, TABLE, TWO_ROOMS, comparison

LINEAR = {**MLP, "hidden_sizes": []}
CARTPOLE = {"id": "CartPole-v1", "max_episode_steps": 30}
COMPARISONS: dict[str, Config] = {
    "network": comparison(TWO_ROOMS, MLP),
    "linear": comparison(TWO_ROOMS, LINEAR),
    "table": comparison(SLIPPERY_LAKE, TABLE),
    "exact gradients": comparison(TWO_ROOMS, {**MLP, "gradient": "exact"}),
    "stepped states": comparison({**SLIPPERY_LAKE, "tables": False}, MLP),
    "vectors": comparison(CARTPOLE, MLP),
    "normalised vectors": comparison({**CARTPOLE, "normalize_observations": True}, MLP),
    "observations with parts": comparison({"id": "Blackjack-v1", "max_episode_steps": 10}, LINEAR),
    "family": load_config("mazes", ["environment.worlds=2", "training.seeds=1", "training.updates=2"]),
}


@pytest.fixture(scope="module", params=COMPARISONS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("module") / "run"
    session.run(
        COMPARISONS[request.param], session.Options(path, tensorboard=False), lambda _: None, lambda _: None
    )
    return path


def rows_of(space: gymnasium.Space[Any], observations: list[Any], dtype: torch.dtype) -> torch.Tensor:
    """Rows, [N, D], as the docstring of `module` says how to make them."""
    return torch.from_numpy(np.stack([flatten(space, seen) for seen in observations])).to(dtype)


def observed(space: gymnasium.Space[Any]) -> list[Any]:
    """All states, or some observations."""
    if isinstance(space, Discrete):
        return list(range(int(space.start), int(space.start + space.n)))
    space.seed(0)
    return [space.sample() for _ in range(20)]


def test_the_module_has_the_probabilities_of_the_policy(folder: Path) -> None:
    for run in RunFolder(folder).read_table("runs.parquet").to_pylist():
        policy = load_policy(str(folder), run["arm"], run["seed"], run.get("world"))
        seen = observed(policy.world.observations)
        with torch.no_grad():
            logits = policy.module()(rows_of(policy.world.observations, seen, policy.theta.dtype))
        expected = [policy.probabilities(one) for one in seen]
        np.testing.assert_allclose(logits.double().softmax(-1).numpy(), expected, rtol=0, atol=1e-6)
        if policy.world.mdp is not None:
            start = policy.world.mdp.start @ np.array(expected)
            np.testing.assert_allclose(start, run["start_policy"], rtol=0, atol=1e-6)


def test_the_file_says_how_to_act_without_us(folder: Path) -> None:
    config = load_config(folder / "config.toml")
    seed, world = config.training.seed_list[0], config.environment.world_list[0]
    run = f"seed_{seed}" if world is None else f"world_{world}/seed_{seed}"
    for arm in config.arms:
        with safe_open(folder / "policies" / f"{arm}.safetensors", framework="np") as stored:
            said = json.loads(stored.metadata()["about"])
            own = [name for name in stored.keys() if name.startswith(f"{run}/")]  # noqa: SIM118
            tensors = {name.removeprefix(f"{run}/"): stored.get_tensor(name) for name in own}
        assert (said["arm"], said["seeds"]) == (arm, list(config.training.seed_list))
        assert said["config_sha256"] == sha256(folder / "config.toml")
        policy = load_policy(folder, arm, seed, world)
        for seen in observed(policy.world.observations):
            row = np.asarray(flatten(policy.world.observations, seen))
            assert len(row) == said["inputs"] if world is None else said["inputs"][str(world)]
            np.testing.assert_allclose(acted(said, tensors, row), policy.probabilities(seen), rtol=0, atol=1e-6)


def acted(said: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], row: NDArray[Any]) -> NDArray[np.floating]:
    """Probabilities of the actions, [A], by what the file says alone."""
    if how := said.get("rows"):
        assert how == "clip((observation - observation_mean) / observation_deviation, -10, 10)"
        row = np.clip((row - tensors["observation_mean"]) / tensors["observation_deviation"], -10, 10)
    assert said["weights"].startswith("[inputs, outputs]")
    layers = [name for name in said["layers"] if not name.startswith("bias")]
    for name in layers:
        bias = name.replace("weight", "bias")
        row = row @ tensors[name] + (tensors[bias] if bias in said["layers"] and bias != name else 0)
        if name != layers[-1]:
            assert said["activation"] == "tanh"
            row = np.tanh(row)
    assert said["outputs"] == "logits of a softmax"
    odds = np.exp(row - row.max())
    return odds / odds.sum()


@pytest.mark.parametrize("folder", ["network", "linear", "table"], indirect=True)
def test_the_textbooks_network_takes_its_parameters_as_they_are(folder: Path) -> None:
    policy = load_policy(folder, "with_entropy", 0)
    config = load_config(folder / "config.toml")
    readable = network(policy.world.make(), config.agent_of("with_entropy"))
    readable.load_state_dict(policy.module().state_dict())
    states = torch.eye(policy.world.inputs)
    with torch.no_grad():
        ours, textbooks = policy.module()(states.to(policy.theta.dtype)), readable(states.double())
    np.testing.assert_allclose(ours.double(), textbooks, rtol=0, atol=1e-5)


@pytest.mark.parametrize("folder", ["network", "normalised vectors"], indirect=True)
def test_a_module_is_its_owners_alone(folder: Path) -> None:
    """To make it draws no random number, and to train it changes no policy."""
    policy, random = load_policy(folder, "with_entropy", 0), torch.get_rng_state()
    module, kept = policy.module(), policy.theta.clone()
    assert torch.equal(torch.get_rng_state(), random)
    with torch.no_grad():
        for parameter in module.parameters():
            assert parameter.requires_grad
            parameter += 1
    assert torch.equal(policy.theta, kept)
