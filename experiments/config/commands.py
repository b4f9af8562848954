"""Our commands: which there are, where they are installed, and how a message writes them."""

import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "entropy-exploration"  # train.py as an installed program; the other commands are words after it
IN_WHEEL = ROOT / "experiments" / "configs"  # where setup.py puts our configs, and docs/ beside them
IS_CHECKOUT = not IN_WHEEL.is_dir()
CONFIGS, DOCS = ((ROOT if IS_CHECKOUT else IN_WHEEL.parent) / name for name in ("configs", "docs"))


def command_words() -> list[str]:
    """The commands beside train.py: every file that lies directly in `experiments/` is one."""
    return sorted(path.stem for path in (ROOT / "experiments").glob("[a-z]*.py"))


def is_our_program() -> bool:
    """Whether one of our commands is what runs here, and not a program that imports us.

    While Python looks for the module of `-m`, it says no more than that in `sys.argv`.
    """
    if sys.argv[:1] == ["-m"]:
        return any(word.partition(".")[0] == "experiments" for word in sys.orig_argv)
    return _by_script() or Path(*sys.argv[:1]).resolve() == ROOT / "train.py"


def as_typed(text: str) -> str:
    """A text that names commands as in a checkout (`python train.py`, `python -m experiments.report`), with the
    names of the program that was typed, which work where the user is.
    """
    module = rf"{SCRIPT} \1" if _by_script() else r"python -m experiments.\1"
    return re.sub(r"python -m experiments\.(\w+)", module, text).replace("python train.py", _train())


def title(command: str) -> str:
    """What stands before the messages of a command.

    Args:
        command: "train.py", or a module, as in "experiments.report".
    """
    if not _by_script():
        return command
    return SCRIPT if command == "train.py" else f"{SCRIPT} {command.rpartition('.')[2]}"


def pip_install(extra: str) -> str:
    """How an extra of ours is installed: from the checkout; beside the wheel, whose file may be gone, the packages
    that it stands for."""
    if IS_CHECKOUT:
        return f'pip install ".[{extra}]"'
    from importlib.metadata import requires  # late: it loads many modules

    needs = (need.partition(";") for need in requires(SCRIPT) or [])
    return " ".join(["pip install", *(f'"{need}"' for need, _, when in needs if f'"{extra}"' in when)])


def is_installed(package: str) -> bool:
    """Whether there is code of that name to import. A folder of that name without any, as in the current one, is
    none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def _by_script() -> bool:
    return Path(*sys.argv[:1]).stem == SCRIPT


def _train() -> str:
    if _by_script():
        return SCRIPT
    if Path(sys.argv[0]).name == "train.py":
        return f"python {shlex.quote(sys.argv[0])}"
    return "python train.py" if IS_CHECKOUT else "python -m train"
