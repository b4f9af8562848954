"""Trained policies, read from a run folder and ready to act. Nothing that a file contains is executed.

D: width of an observation, A: actions.
"""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.spaces import flatten
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from agents.policy import PolicyShape
from experiments.config.mistakes import check_name, spans
from experiments.config.schema import Config
from experiments.storage.results import read_runs
from experiments.storage.run_folder import RunFolder, StoreError
from experiments.storage.torch_module import torch_module
from experiments.training.initial import policy_shape
from experiments.training.records import member_path, runs_of
from experiments.training.simulated.observations import CLIP
from experiments.training.spaces import converter, seen_as
from experiments.training.worlds import World, make_world, unimported_module

# Stored with the layers of the policy where a config has normalize_observations.
MOMENTS = ("observation_mean", "observation_deviation")
LABEL_BYTES = 1 << 8  # of the name, type and place of a tensor


class StoredPolicy(NamedTuple):
    """The policy of one run after its last gradient step."""

    world: World
    shape: PolicyShape
    theta: Tensor  # parameters, [1, P]
    moments: tuple[Tensor, Tensor] | None  # mean and deviation of the observations, [D] each

    def probabilities(self, observation: Any) -> NDArray[np.float64]:
        """Action probabilities, [A], on one observation as the environment gives it."""
        space = self.world.observations
        row = flatten(seen_as(space), converter(space)(observation))
        if self.moments is not None:
            mean, deviation = (moment.numpy() for moment in self.moments)
            row = np.clip((row - mean) / deviation, -CLIP, CLIP)
        rows = torch.from_numpy(np.asarray(row)).to(self.theta.dtype)[None, None]
        with torch.no_grad():
            logits = self.shape.logits(self.theta, rows)[0, 0]
        if not logits.isfinite().all():
            raise StoreError("the policy's parameters are so large that it gives no probabilities")
        return torch.softmax(logits.double(), dim=-1).numpy()

    def module(self) -> nn.Sequential:
        """The policy as a plain torch module from rows, [..., D], to the logits of the actions, [..., A].

        A row is what `gymnasium.spaces.flatten(space, observation)` gives, in the type of the parameters: the
        numbers of an observation, or the one-hot code of a state, so that `torch.eye(S)` stands for all states of
        a finite world. The module shares no memory with anything and can be trained on.
        """
        return torch_module(self.shape, self.theta, self.moments)


def load_policy(
    path: str | Path, arm: str | None = None, seed: int | None = None, number: int | None = None
) -> StoredPolicy:
    """The policy of a run in a finished folder.

    Args:
        path: the run folder.
        arm: None: there is only one.
        seed: None: there is only one.
        number: of a family, which of its worlds; None: there is only one, or it is no family.
    Raises:
        StoreError: the folder is not finished, the run failed, its policy is damaged or has another shape, or its
            world comes from a module that is not imported: a stranger's folder must not run code that it names.
        ConfigError: the folder's config cannot be read, or its world cannot be made.
        ValueError: there is no such run; the message names the valid ones.
    """
    path = Path(path)
    folder = RunFolder(path)
    if not folder.has_begun:
        raise folder.not_a_run_folder()
    if not folder.is_finished:
        raise StoreError(f"{path}: the training is not finished; go on with python train.py --resume")
    config = folder.read_config()
    arm, seed, number = _chosen(config, arm, seed, number)
    _check_not_failed(folder, config, arm, seed, number)
    if (module := unimported_module(config.environment)) is not None:
        raise StoreError(
            f"{path}: its world would import and run the module {module!r}; --import {module} allows it"
        )
    world = make_world(config.environment.of_world(number))
    shape = policy_shape(config.agent_of(arm), world)
    wanted: dict[str, tuple[int, ...]] = dict(zip(shape.labels, shape.shapes, strict=True))
    if config.environment.normalize_observations:
        wanted |= dict.fromkeys(MOMENTS, (world.inputs,))
    file = f"policies/{arm}.safetensors"
    folder.check(file, 2 * config.runs_per_arm * sum(8 * prod(sizes) + LABEL_BYTES for sizes in wanted.values()))
    tensors = _read(path / file, member_path(seed, number), wanted)
    moments = [tensors[name] for name in MOMENTS if name in wanted]
    return StoredPolicy(
        world,
        shape,
        shape.join([tensors[label][None] for label in shape.labels]),
        (moments[0], moments[1]) if moments else None,
    )


def _chosen(config: Config, arm: str | None, seed: int | None, number: int | None) -> tuple[str, int, int | None]:
    """The run that is meant; where there is only one arm, seed or world it need not be named."""
    arms, seeds, worlds = list(config.arms), config.training.seed_list, config.environment.world_list
    if arm is None and len(arms) > 1:
        raise ValueError(f"--arm: which one? valid are {', '.join(arms)}")
    if seed is None and len(seeds) > 1:
        raise ValueError(f"--seed: which one? valid are {spans(seeds)}")
    arm, seed = arms[0] if arm is None else arm, seeds[0] if seed is None else seed
    check_name(arm, arms, "arm")
    if seed not in seeds:
        raise ValueError(f"unknown seed {seed}; valid are {spans(seeds)}")
    known = tuple(world for world in worlds if world is not None)
    if number is None and len(known) > 1:
        raise ValueError(f"--world: which one? valid are {spans(known)}")
    if number is not None and number not in known:
        valid = f"valid are {spans(known)}" if known else "this is no family of worlds: leave --world out"
        raise ValueError(f"unknown world {number}; {valid}")
    return arm, seed, worlds[0] if number is None else number


def _check_not_failed(folder: RunFolder, config: Config, arm: str, seed: int, number: int | None) -> None:
    """A run that overflowed was frozen and left a uniform policy, which is nobody's result."""
    place = list(zip(*runs_of(config), strict=True)).index((arm, seed, number)) % config.runs_per_arm
    if read_runs(folder, config)[arm]["failed"][place]:
        run = f"seed {seed}" if number is None else f"world {number}, seed {seed}"
        raise StoreError(f"{folder.path}: the run of arm {arm}, {run} failed and has no policy")


def _read(file: Path, run: str, wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of a run, whose names, shapes and types are checked before they are read."""
    try:
        with safe_open(file, framework="pt") as stored:
            names = {name.removeprefix(f"{run}/") for name in stored.keys() if name.startswith(f"{run}/")}  # noqa: SIM118
            if names != wanted.keys():
                found = ", ".join(sorted(names)) or "nothing"
                raise StoreError(f"{file}: {run} should have {', '.join(sorted(wanted))}, has {found}")
            return {name: _tensor(file, stored, f"{run}/{name}", shape) for name, shape in wanted.items()}
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{file}: cannot be read: {error}") from None


def _tensor(file: Path, stored: Any, name: str, shape: tuple[int, ...]) -> Tensor:
    about = stored.get_slice(name)
    if (found := tuple(about.get_shape())) != shape:
        raise StoreError(f"{file}: {name} should have the shape {shape}, has {found}")
    if about.get_dtype() in ("F32", "F64"):
        tensor: Tensor = stored.get_tensor(name)
        positive = not name.endswith(f"/{MOMENTS[1]}") or bool((tensor > 0).all())
        if tensor.isfinite().all() and positive:
            return tensor
    raise StoreError(f"{file}: {name} should hold finite numbers of single or double precision")
