"""Make the small run folders that every later version has to know: python tests/experiments/stored_folder.py

One is finished, and has to stay readable. The other was killed, and is gone on with or refused in one line.

To be run once a format, with the program that defines it. Event files are TensorBoard's own and stay out.
"""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.storage.run_folder import FORMAT
from tests.experiments.small_training import Crash, small_config, train

DATA = Path(__file__).resolve().parents[1] / "data"
FOLDER, UNFINISHED = DATA / f"format_{FORMAT}", DATA / f"unfinished_{FORMAT}"
OVERRIDES = ("training.updates=2", "training.episodes_per_update=1", "agent.hidden_sizes=[4]", "name='stored'")


def main() -> None:
    """Train them anew."""
    for folder in (FOLDER, UNFINISHED):
        shutil.rmtree(folder, ignore_errors=True)
    train(FOLDER, small_config(*OVERRIDES), often=False, tensorboard=False)
    with suppress(Crash):
        train(UNFINISHED, small_config(*OVERRIDES), crash_at=1, tensorboard=False)
    for folder in (FOLDER, UNFINISHED):
        (folder / ".lock").unlink()


if __name__ == "__main__":
    main()
