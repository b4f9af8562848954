"""Make the small run folder that every later version has to read: python tests/experiments/stored_folder.py

To be run once a format, with the program that defines it. Event files are TensorBoard's own and stay out.
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.session import run as session
from experiments.storage.run_folder import FORMAT
from tests.experiments.small_training import small_config

FOLDER = Path(__file__).resolve().parents[1] / "data" / f"format_{FORMAT}"
OVERRIDES = ("training.updates=2", "training.episodes_per_update=1", "agent.hidden_sizes=[4]", "name='stored'")


def main() -> None:
    """Train it anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    options = session.Options(FOLDER, tensorboard=False)
    session.run(small_config(*OVERRIDES), options, lambda _: None, print)
    (FOLDER / ".lock").unlink()


if __name__ == "__main__":
    main()
