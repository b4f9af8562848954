"""Which code a result came from: a digest of the source files that modules stand on."""

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agents", "envs", "experiments")


@lru_cache
def digest(*modules: str) -> str:
    """Sixteen hexadecimal digits that change when what the modules stand on does, or any agent or world."""
    state = hashlib.sha256()
    names = {name for module in modules for name in reachable(module)}
    for name in sorted(names | {*_modules("agents"), *_modules("envs")}):
        state.update(name.encode() + b"\0" + _file_of(name).read_bytes() + b"\0")
    return state.hexdigest()[:16]


def reachable(module: str) -> set[str]:
    """The module and all modules of this project that are imported with it, directly or not."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imported(_file_of(name))
    return found


def _modules(package: str) -> list[str]:
    return [f"{package}.{path.stem}" for path in (ROOT / package).rglob("*.py")]  # worlds are imported by name


def _imported(path: Path) -> list[str]:
    names = []
    for node in ast.parse(path.read_bytes()).body:  # what functions import, they do not need to begin
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # "from package import name": a module of the package, or something in it.
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] in PACKAGES and _file_of(name).exists()]


def _file_of(module: str) -> Path:
    place = ROOT.joinpath(*module.removesuffix(".__init__").split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
