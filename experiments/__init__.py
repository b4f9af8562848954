"""Configs, training and results.

from experiments import load_config, load_policy, train
result = train(load_config("configs/two_rooms.toml"))   # in memory, no files
result.updates                                          # the table of updates.parquet
load_policy("runs/two_rooms", "with_entropy", 3003)     # of a run folder, to act or as a torch module

Nothing slow is imported before it is used: a command has to handle Ctrl-C before it begins slow imports.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from experiments.config.commands import is_our_program
from experiments.config.shadows import check_names
from experiments.config.version import __version__

if TYPE_CHECKING:
    from experiments.config.loading import load_config
    from experiments.config.schema import Config, ConfigError
    from experiments.session.in_memory import Result
    from experiments.storage.policies import load_policy
    from experiments.training.simulated.simulators import SimulatorError

if not is_our_program():  # our own programs look for themselves, and say it in one line without a traceback
    check_names("agents", "envs")

# NumPy's matrix products are small here, and threads that wait for each other take ten times as long. OpenBLAS
# reads the variable when it is loaded, so nothing changes if NumPy is loaded already or the variable is set.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__all__ = ["Config", "ConfigError", "SimulatorError", "__version__", "load_config", "load_policy", "train"]

_MODULES = {
    "Config": "config.schema",
    "ConfigError": "config.schema",
    "SimulatorError": "training.simulated.simulators",
    "load_config": "config.loading",
    "load_policy": "storage.policies",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"experiments.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def train(config: "Config") -> "Result":
    """Train every run of a config in memory; nothing is written.

    Returns:
        the tables of updates.parquet, steps.parquet and runs.parquet (Arrow tables), and the summary.
    Raises:
        ConfigError: the config does not fit its world.
        SimulatorError: (a RuntimeError) the environment raised while it was stepped, or did not show or pay what
            it declares; the message names arm, seed and step.
    """
    from experiments.session.in_memory import train_in_memory  # imports torch: only when something is trained

    return train_in_memory(config)
