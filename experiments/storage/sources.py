"""Which code a result came from: a digest of all sources on which numbers depend."""

import hashlib
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The code that trains runs, writes their tables and computes estimates.
NUMBERS = (
    "agents",
    "envs",
    "experiments/config",
    "experiments/training",
    "experiments/analysis",
    "experiments/storage",
)


@lru_cache
def digest() -> str:
    """Sixteen hexadecimal digits that change when one of these files changes."""
    state = hashlib.sha256()
    for path in sorted(path for folder in NUMBERS for path in (ROOT / folder).rglob("*.py")):
        state.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()[:16]
