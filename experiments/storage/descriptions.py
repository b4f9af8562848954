"""What files say of themselves, so that they can be read, and matched with their config, outside their folder."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from agents.policy import PolicyShape
from experiments.config.schema import Config
from experiments.config.version import __version__
from experiments.training.simulated.observations import CLIP


def origin(config: str | bytes) -> dict[str, str]:
    """Metadata of a table or of parameters: SHA-256 of config.toml, as `sha256sum` prints it, and our version.

    Args:
        config: the content of config.toml.
    """
    content = config.encode() if isinstance(config, str) else config
    return {"config_sha256": hashlib.sha256(content).hexdigest(), "version": __version__}


def stamped(table: pa.Table, origin: Mapping[str, str]) -> pa.Table:
    """The table with its origin beside its other metadata."""
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **origin})


def policies_of(config: Config, arm: str, inputs: Mapping[int | None, int]) -> dict[str, Any]:
    """What a file of an arm's policies says of itself: all that another program needs in order to use them.

    Args:
        config: of the training.
        arm: whose policies they are.
        inputs: D by the number of the world, in a family; else that of the only world, None.
    """
    agent = config.agent_of(arm)
    shape = PolicyShape(1, agent.hidden_sizes if agent.policy == "mlp" else None, 1)
    about: dict[str, Any] = {
        "arm": arm,
        "seeds": config.training.seed_list,
        "layers": shape.labels,
        "activation": "tanh" if agent.policy == "mlp" and agent.hidden_sizes else None,
        "weights": "[inputs, outputs], the transpose of torch.nn.Linear's",
        "inputs": next(iter(inputs.values())) if None in inputs else {str(k): d for k, d in inputs.items()},
        "outputs": "logits of a softmax",
    }
    if config.environment.normalize_observations:
        about["rows"] = f"clip((observation - observation_mean) / observation_deviation, -{CLIP:g}, {CLIP:g})"
    return about
