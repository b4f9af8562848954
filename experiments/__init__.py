"""What is asked: configs, the training loop, results.

from experiments import load_config, train
result = train(load_config("configs/two_rooms.toml"))   # in memory, no files
result.updates                                          # the table of updates.parquet
"""

import os
from typing import TYPE_CHECKING

from experiments.config import Config, ConfigError, load_config

if TYPE_CHECKING:
    from experiments.session import Result

# NumPy's matrix products are small here, and threads that wait for each other take ten times as long. OpenBLAS
# asks when it is loaded: where NumPy is there already, or the variable is set, nothing changes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__all__ = ["Config", "ConfigError", "load_config", "train"]


def train(config: Config) -> "Result":
    """Train every run of a config in memory; nothing is written.

    Returns:
        the tables of updates.parquet, steps.parquet and runs.parquet (Arrow tables), and the summary.
    Raises:
        ConfigError: the config does not fit its world.
    """
    from experiments.session import train_in_memory  # imports torch: only when something is trained

    return train_in_memory(config)
