"""Configs, training and results.

from experiments import load_config, load_policy, train
result = train(load_config("configs/two_rooms.toml"))   # in memory, no files
result.updates                                          # the table of updates.parquet
load_policy("runs/two_rooms", "with_entropy", 3003)     # of a run folder, to act or as a torch module

Nothing is imported before it is used: a command has to handle Ctrl-C before it begins slow imports.
"""

import os
from typing import TYPE_CHECKING, Any

from experiments.config.version import __version__

if TYPE_CHECKING:
    from experiments.config.loading import load_config
    from experiments.config.schema import Config, ConfigError
    from experiments.session.in_memory import Result
    from experiments.storage.policies import load_policy

# NumPy's matrix products are small here, and threads that wait for each other take ten times as long. OpenBLAS
# reads the variable when it is loaded, so nothing changes if NumPy is loaded already or the variable is set.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__all__ = ["Config", "ConfigError", "__version__", "load_config", "load_policy", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from experiments.config import loading, shadows

        shadows.check_names("agents", "envs")
        if name == "load_policy":
            from experiments.storage.policies import load_policy

            return load_policy
        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def train(config: "Config") -> "Result":
    """Train every run of a config in memory; nothing is written.

    Returns:
        the tables of updates.parquet, steps.parquet and runs.parquet (Arrow tables), and the summary.
    Raises:
        ConfigError: the config does not fit its world.
        SimulatorError: (`experiments.training.simulated.simulators`, a RuntimeError) the environment raised while
            it was stepped, or did not show or pay what it declares; the message names arm, seed and step.
        Shadowed: (an ImportError) a module of yours hides one of ours.
    """
    from experiments.config.shadows import check_names

    check_names("agents", "envs")
    from experiments.session.in_memory import train_in_memory  # imports torch: only when something is trained

    return train_in_memory(config)
