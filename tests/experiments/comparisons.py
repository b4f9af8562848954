"""Small comparisons for tests, and their results run by run."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from experiments import Config, load_config, train

CONFIGS = Path(__file__).parents[2] / "configs"
TWO_ROOMS = {"id": "FourAction/TwoRooms-v0", "max_episode_steps": 50, "solved_return": 0.95}
BANDIT = {
    "id": "FourAction/Bandit-v0",
    "kwargs": {"rewards": [0.8, 1.0, 0.4, 0.2]},
    "max_episode_steps": 1,
    "solved_return": 0.95,
}
NOISY_BANDIT = {"id": "FourAction/Bandit-v0", "kwargs": {"reward_std": 0.5}, "solved_return": 0.95}
SLIPPERY_LAKE = {"id": "FrozenLake-v1", "max_episode_steps": 40, "solved_return": 0.5}
# Two starts; wherever an episode goes, it is paid nothing.
UNPAID = {
    "id": "FourAction/Grid-v0",
    "kwargs": {"map": ["S..S", "....", "...G"], "goals": {"G": 0.0}},
    "max_episode_steps": 20,
}
SURE_POLICY = [0.9, 0.05, 0.025, 0.025]
TABLE = {"policy": "tabular", "optimizer": "sgd", "learning_rate": 0.2}
MLP = {"policy": "mlp", "hidden_sizes": [16, 16], "optimizer": "adam", "learning_rate": 0.01, "discount": 0.97}
BOTH_ARMS = {"without_entropy": {"entropy_coef": 0.0}, "with_entropy": {"entropy_coef": 0.1}}

Values = dict[str, NDArray[Any]]


def comparison(
    environment: Mapping[str, Any] = TWO_ROOMS,
    agent: Mapping[str, Any] = MLP,
    arms: Mapping[str, Mapping[str, Any]] = BOTH_ARMS,
    seeds: int | list[int] = 3,
    updates: int = 4,
    episodes: int = 4,
) -> Config:
    return load_config(
        {
            "name": "small",
            "description": "a comparison that takes no time",
            "environment": dict(environment),
            "agent": dict(agent),
            "training": {"seeds": seeds, "updates": updates, "episodes_per_update": episodes},
            "arms": {name: dict(differences) for name, differences in arms.items()},
        }
    )


def run_by_run(config: Config) -> dict[tuple[str, int], Values]:
    """Train; everything the three tables say of each run, columns named "updates.loss", "steps.live", ..."""
    result = train(config)
    tables = {"updates": result.updates, "steps": result.steps, "runs": result.runs}
    found: dict[tuple[str, int], Values] = {}
    for arm in config.arms:
        for seed in config.training.seed_list:
            values: Values = {}
            for kind, table in tables.items():
                chosen = table.filter((pc.field("arm") == arm) & (pc.field("seed") == seed))
                for name in chosen.column_names:
                    if name not in ("arm", "seed"):
                        values[f"{kind}.{name}"] = np.array(chosen[name].to_pylist())
            found[arm, seed] = values
    return found


def assert_same(first: Values, second: Values, but: Collection[str] = ()) -> None:
    """Bit for bit, in every column but those."""
    assert first.keys() == second.keys()
    for name in first.keys() - set(but):
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
