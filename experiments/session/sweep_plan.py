"""What a sweep would train: how many runs and steps, about how long, and how much it would keep."""

import heapq
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress

from experiments.config.schema import Config, ConfigError
from experiments.config.sweeps import Cell, Sweep
from experiments.config.tuning import judged, settings_of
from experiments.session.compiling import compile_ahead
from experiments.session.surroundings import plain_arithmetic
from experiments.storage.sweep_folder import settings_text
from experiments.training.loop import Training
from experiments.training.worlds import time_limit

BYTES_OF_RUN = 300  # in the tables, about
SHOWN, PROBED = 5, 5  # cells


def plan_lines(sweep: Sweep, cells: Sequence[Cell], cores: int, notify: Callable[[str], None]) -> list[str]:
    """The plan in words.

    Args:
        sweep: what is asked.
        cells: its trainings; a tuning's judged comparison comes on top.
        cores: how many of them are trained at a time.
        notify: told when something is compiled first.
    """
    configs = [cell.config for cell in cells]
    if sweep.judge is not None:
        configs.append(judged(sweep, {arm: settings_of(sweep, arm)[0] for arm in configs[0].arms}))
    runs, steps = sum(len(c.arms) * c.runs_per_arm for c in configs), sum(map(most_steps, configs))
    probed = configs[:: -(-len(configs) // PROBED)]
    tried = [(seconds, most_steps(c)) for c in probed if (seconds := _seconds(c, notify)) is not None]
    pace = sum(seconds for seconds, _ in tried) / max(1, sum(steps for _, steps in tried))
    time_needed = "for a time that no setting tried tells"
    if tried:
        whole, shared = (makespan([pace * most_steps(c) for c in configs], number) / 60 for number in (1, cores))
        time_needed = f"about {whole:,.1f} minutes of one core or {shared:,.1f} of {cores:,}"
    lines = [f"{number:>5}  {settings_text(cell.settings)}" for number, cell in enumerate(cells[:SHOWN])]
    if len(cells) > SHOWN:
        lines.append(f"       ... and {len(cells) - SHOWN:,} more")
    return [
        *lines,
        f"{len(configs):,} trainings, {runs:,} runs, at most {steps:,} environment steps, {time_needed}, "
        f"about {runs * BYTES_OF_RUN / 1e6:.1f} MB",
    ]


def makespan(lengths: Iterable[float], cores: int) -> float:
    """When the last of some tasks ends if each in turn begins as soon as a core is free, as with every engine."""
    free = [0.0] * cores  # from when on
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def most_steps(config: Config) -> int:
    """Environment steps of a training in which no episode ends by itself."""
    limit = time_limit(config.environment)
    return config.runs_per_arm * sum(config.most_steps(arm, limit) for arm in config.arms)


def _seconds(config: Config, notify: Callable[[str], None]) -> float | None:
    """About how long one core trains it: measured with a few updates, which nobody keeps. None: its world refuses
    it."""
    updates = config.most_updates
    warm, measured = min(2, updates - 1), min(4, max(updates - 2, 1))
    with suppress(ConfigError), plain_arithmetic(), closing(Training(config)) as training:
        compile_ahead(training, notify)
        if warm:
            training.advance(warm)
        began = time.process_time()
        training.advance(measured)
        return (time.process_time() - began) / measured * _mean_updates(config)
    return None


def _mean_updates(config: Config) -> float:
    """The updates of the arms, each as often as it plays episodes in an update: some arms may end early."""
    arms = [config.training_of(arm) for arm in config.arms]
    return sum(a.updates * a.episodes_per_update for a in arms) / sum(a.episodes_per_update for a in arms)
