"""What is asked: configs, the training loop, results.

from experiments import load_config, train
result = train(load_config("configs/two_rooms.toml"))   # in memory, no files
result.updates                                          # the table of updates.parquet

Nothing is imported until it is asked for: a command has to hear Ctrl-C before it imports what takes long.
"""

import os
from typing import TYPE_CHECKING, Any

from experiments.config.version import __version__

if TYPE_CHECKING:
    from experiments.config.loading import load_config
    from experiments.config.schema import Config, ConfigError
    from experiments.session.run import Result

# NumPy's matrix products are small here, and threads that wait for each other take ten times as long. OpenBLAS
# asks when it is loaded: where NumPy is there already, or the variable is set, nothing changes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__all__ = ["Config", "ConfigError", "__version__", "load_config", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from experiments.config import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def train(config: "Config") -> "Result":
    """Train every run of a config in memory; nothing is written.

    Returns:
        the tables of updates.parquet, steps.parquet and runs.parquet (Arrow tables), and the summary.
    Raises:
        ConfigError: the config does not fit its world.
    """
    from experiments.session.run import train_in_memory  # imports torch: only when something is trained

    return train_in_memory(config)
