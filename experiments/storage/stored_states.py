"""What the numbers of a checkpoint may be: those that a training can come to, so that it can go on from them.

The numbers that an agent learns are free: where they overflow, the run fails and is named. Counts and moments of
time are not, for they are added to, indexed with and reported.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.training.loop import Training


def check_values(training: Training, state: Mapping[str, NDArray[Any]], update: int) -> None:
    """Whether the arrays of a state, known to have the right shapes and types, are those of a training.

    Args:
        training: with the state's config.
        state: of a share of its seeds.
        update: how many updates it has done.
    Raises:
        ValueError: names the array that is not.
    """
    config = training.config
    episodes = update * config.most_episodes // config.training.updates
    ends = {
        "failed_update|progress.(first_optimal|collapsed_since)": (-1, update - 1),
        "progress.first_success": (-1, episodes * training.world.time_limit),
        "progress.env_steps": (0, episodes * training.world.time_limit),
        "progress.episodes": (0, episodes),
        "controlled": (0, np.inf),
        "learner.optimizer.step": (0, update),
        "learning.(previous_)?visits": (0, np.inf),
        "learning.previous_log_pi": (-np.inf, 1e-6),
        "learning.observations.(number|squares)": (0, np.inf),
    }
    for name, array in state.items():
        for pattern, (low, high) in ends.items():
            if re.fullmatch(rf"batch_\d+\.({pattern})", name) and not _between(array, low, high):
                raise ValueError(f"{name} holds what no training comes to")


def _between(array: NDArray[Any], low: float, high: float) -> bool:
    """Of a single number this includes that it is one; in an array, a failed run's may be none."""
    if array.ndim == 0:
        return bool(low <= array <= high)
    return not ((array < low) | (array > high)).any()
