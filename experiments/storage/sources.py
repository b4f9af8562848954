"""Which code a result came from: digests of all sources on which numbers depend."""

import hashlib
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The code that trains runs and writes their tables.
TRAINING = ("agents", "envs", "experiments/config", "experiments/training", "experiments/storage")
JUDGING = ("experiments/analysis",)  # the code that makes estimates and verdicts of the tables


@lru_cache
def digest(folders: tuple[str, ...] = TRAINING + JUDGING) -> str:
    """Sixteen hexadecimal digits that change when one of the files in these folders changes."""
    state = hashlib.sha256()
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        state.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()[:16]
