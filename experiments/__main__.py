"""The program `entropy-exploration`: train.py, or the command that its first word names.

entropy-exploration bandit                 as python train.py bandit
entropy-exploration report runs/bandit     as python -m experiments.report runs/bandit
"""

import sys
from importlib import import_module
from typing import NoReturn

from experiments.config.commands import command_words
from experiments.session.command import begin, leave


def main() -> NoReturn:
    """Run the command of the command line; ends the process."""
    # Begun before what takes long is imported: Ctrl-C is heard from there on.
    if sys.argv[1:2] and sys.argv[1] in command_words():
        module = f"experiments.{sys.argv.pop(1)}"
        begin(module)
    else:
        module = "train"
        begin("train.py", module)
    leave(import_module(module).main)


if __name__ == "__main__":
    main()
