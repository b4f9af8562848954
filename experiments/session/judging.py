"""Estimates and verdicts of a finished training anew, where the code that makes them has changed."""

from pathlib import Path

import numpy as np

from experiments.storage.results import read_runs
from experiments.storage.run_folder import SUMMARY, RunFolder
from experiments.storage.sources import JUDGING, digest
from experiments.storage.tables import TIMES
from experiments.training.records import runs_of


def judge_again(path: Path) -> bool:
    """Judge a finished folder by its stored runs, unless the same code did; nothing is trained.

    Returns:
        whether it was judged again.
    Raises:
        StoreError: the folder is damaged.
        ConfigError: its config cannot be read.
    """
    from experiments.analysis.summary import summarize

    folder = RunFolder(path)
    summary, config = folder.read_summary(), folder.read_config()
    if summary.get("judging") == digest(JUDGING):
        return False
    by_arm = read_runs(folder, config)
    first = next(iter(by_arm.values()))
    columns = {name: np.concatenate([columns[name] for columns in by_arm.values()]) for name in first}
    for name in (*TIMES, "failed_update"):  # as they come from training: -1 is never
        columns[name] = np.nan_to_num(columns[name], nan=-1.0).astype(np.int64)
    found = summarize(config, runs_of(config), columns)
    folder.remove(SUMMARY)  # the checksums are of one summary: a kill in between leaves a folder without any
    folder.write_summary({**summary, **found, "judging": digest(JUDGING)})
    return True
