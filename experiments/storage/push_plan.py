"""In which order the files of a folder go to a store, so that the store holds a whole folder at any moment."""

from collections.abc import Mapping
from itertools import groupby
from typing import NamedTuple

from experiments.storage.owned_folder import MARK
from experiments.storage.run_folder import SOURCE, SUMMARY, SUMS, RunFolder
from experiments.storage.sweep_folder import SweepFolder

Version = list[int]  # of a file: size, time of the last change, inode
DATA, CHECKPOINT = 1, 2
RANKS = {MARK: 0, SUMS: 3, SUMMARY: 4}


class Plan(NamedTuple):
    """What is done, in this order."""

    withdrawn: list[str]  # objects that would vouch for others that they do not belong to
    written: list[list[str]]  # groups, each complete before the next begins
    removed: list[str]


def plan(here: Mapping[str, Version], there: Mapping[str, Version | None]) -> Plan:
    """How a store becomes equal to a folder. Between any two steps it holds the folder before, the new one, or one
    that a command has left that was killed in between.

    Args:
        here: the files of the folder.
        there: those of the store, as the folder had them when they were written; None: writing one began, and
            nobody knows whether it ended.
    """
    changed = {name for name in here if there.get(name) != here[name]}
    gone = {name for name in there if name not in here}
    touched = {name for name in changed if there.get(name) is not None} | gone
    begun_anew = {folder_of(name) for name in touched if _is_of_whole_training(name)}
    begun_anew = {folder for folder in begun_anew if folder + SUMMARY not in here}
    withdrawn = {name for name in touched if rank(name) == RANKS[SUMMARY]}
    withdrawn |= {name for name in gone if rank(name) >= CHECKPOINT and folder_of(name) in begun_anew}
    written = sorted(changed, key=lambda name: (rank(name), name))
    return Plan(
        sorted(withdrawn, key=lambda name: (-rank(name), name)),
        [list(group) for _, group in groupby(written, rank)],
        sorted(gone - withdrawn, key=lambda name: (-rank(name), name)),
    )


def rank(name: str) -> int:
    """A file's place in the order: the mark first, and what vouches for other files after them."""
    own = name.removeprefix(folder_of(name))
    return RANKS.get(own, CHECKPOINT if own.startswith("checkpoint/") else DATA)


def is_ours(name: str) -> bool:
    """Whether a run folder, a sweep or an argument has a file of this name."""
    own = name.removeprefix(folder_of(name))
    leads_out = not all(part.strip(".") for part in name.split("/"))
    return not leads_out and (own == MARK or _is_at_top(own))


def folder_of(name: str) -> str:
    """The run folder within a sweep or an argument to which a file belongs, as in judged/; else ""."""
    first, slash, rest = name.partition("/")
    is_within = not _is_at_top(name) and (rest == MARK or RunFolder.OWN.fullmatch(rest))
    return first + slash if is_within else ""


def _is_at_top(name: str) -> bool:
    return any(kind.OWN.fullmatch(name) for kind in (RunFolder, SweepFolder))


def _is_of_whole_training(name: str) -> bool:
    """Whether a file, once written, stays as it is until its training has ended or another begins."""
    own = name.removeprefix(folder_of(name))
    return own in ("config.toml", SOURCE) or own.startswith("parts/")
