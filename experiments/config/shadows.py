"""Our top-level names are common words: where a user's own `envs/` hides ours, one line has to say so."""

from importlib.util import find_spec
from pathlib import Path

from experiments.config.commands import ROOT
from experiments.config.failures import Failure


class Shadowed(Failure, ImportError):
    """Something of the user's would be imported in place of ours; the message names both."""


def check_names(*names: str) -> None:
    """Look where Python would find modules of ours; nothing is imported.

    Raises:
        Shadowed: it would find somebody else's.
    """
    for name in names:
        spec = find_spec(name)
        if spec is None:
            continue
        found = Path(spec.origin or next(iter(spec.submodule_search_locations or ())))
        found = found.parent if found.name == "__init__.py" else found
        ours = ROOT / ("train.py" if name == "train" else name)
        if found.resolve() != ours:
            raise Shadowed(
                f"{found} hides {ours}, which is needed under the same name: rename it, or start in another folder"
            )
