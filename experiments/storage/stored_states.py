"""Checks the numbers of a checkpoint: a training must be able to reach them, so that it can resume from them.

The numbers that an agent learns may have any value: where they overflow, the run fails and is reported. Counts and
times may not, because they are added to, used as indices and reported.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.training.loop import Training


def check_values(training: Training, state: Mapping[str, NDArray[Any]], update: int) -> None:
    """Check the values of a state, whose arrays are known to have the right shapes and types.

    Args:
        training: a training with the state's config.
        state: the state of a share of its seeds.
        update: the number of updates done.
    Raises:
        ValueError: the message names the array with an impossible value.
    """
    config = training.config
    episodes = update * max(config.training_of(arm).episodes_per_update for arm in config.arms)
    ends = {
        "failed_update|progress.(first_optimal|collapsed_since)": (-1, update - 1),
        "progress.first_success": (-1, episodes * training.world.time_limit),
        "progress.env_steps": (0, episodes * training.world.time_limit),
        "progress.episodes": (0, episodes),
        "controlled": (0, np.inf),
        "learner.steps": (0, update),
        "learning.(previous_)?visits": (0, np.inf),
        "learning.previous_log_pi": (-np.inf, 1e-6),
        "learning.observations.(number|squares)": (0, np.inf),
    }
    for name, array in state.items():
        for pattern, (low, high) in ends.items():
            if re.fullmatch(rf"batch_\d+\.({pattern})", name) and not _between(array, low, high):
                raise ValueError(f"{name} holds values that no training can reach")


def _between(array: NDArray[Any], low: float, high: float) -> bool:
    """Whether all values lie in a range. A single number must not be NaN; in an array, a failed run's may be."""
    if array.ndim == 0:
        return bool(low <= array <= high)
    return not ((array < low) | (array > high)).any()
