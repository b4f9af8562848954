"""The source distribution and the wheel: built, installed into an environment of their own, and used elsewhere.

The environment sees the packages that we stand on where they are installed already, and nothing else of this one.
"""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

import experiments
from experiments.config.commands import CONFIGS, ROOT, command_words

pytestmark = pytest.mark.slow
NOT_OURS = ignore_patterns(
    ".git",
    ".venv",
    ".venv-*",
    "runs",
    "build",
    "dist",
    "*.egg-info",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    "mutants",
)
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
HELP_OF_ALL = """
import sys
from contextlib import suppress
from importlib import import_module
for word in sys.argv[1:]:
    with suppress(SystemExit):
        import_module(f"experiments.{word}").main(["--help"])
"""


class Installed(NamedTuple):
    """The program in its own environment."""

    sdist: Path
    wheel: Path
    packages: Path  # where the wheel was unpacked
    bin: Path
    folder: Path  # an empty one

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """One of its programs, in the empty folder."""
        return _run([str(self.bin / program), *words], self.folder)


def _run(words: Sequence[str], folder: Path, seconds: int = 250) -> subprocess.CompletedProcess[str]:
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(words, cwd=folder, env=settings, capture_output=True, text=True, timeout=seconds)


def _built(kind: str, source: Path, out: Path) -> Path:
    out.mkdir()
    done = _run([sys.executable, "-c", BUILD, f"build_{kind}", str(out)], source)
    assert done.returncode == 0, done.stderr
    (found,) = out.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """From a copy of the sources to the source distribution, from there to the wheel, and into an environment."""
    place = tmp_path_factory.mktemp("installed")
    copytree(ROOT, place / "source", ignore=NOT_OURS)
    sdist = _built("sdist", place / "source", place / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(place, filter="data")
    wheel = _built("wheel", place / sdist.name.removesuffix(".tar.gz"), place / "wheel")
    venv.create(place / "venv")
    python = place / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    done = _run([*pip, "install", "--no-deps", "--no-index", str(wheel)], place)
    assert done.returncode == 0, done.stderr
    (packages,) = (place / "venv" / "lib").glob("python*/site-packages")
    (packages / "what_we_stand_on.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (place / "empty").mkdir()
    return Installed(sdist, wheel, packages, python.parent, place / "empty")


def test_the_source_distribution_has_everything_that_builds_tests_and_documents(installed: Installed) -> None:
    with tarfile.open(installed.sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    copied = installed.folder.parent / "source"
    sources = {path.relative_to(copied).as_posix() for path in copied.rglob("*") if path.is_file()}
    left_out = {name for name in sources - held if ".egg-info/" not in name}
    assert left_out <= {".gitignore", "uv.lock"}


def test_the_wheel_has_every_module_config_and_template(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    ours = [path for room in ("agents", "envs", "experiments") for path in (ROOT / room).rglob("*")]
    wanted = {p.relative_to(ROOT).as_posix() for p in ours if p.is_file() and "__pycache__" not in p.parts}
    configs = {f"experiments/configs/{path.relative_to(CONFIGS).as_posix()}" for path in CONFIGS.rglob("*.toml")}
    assert held == wanted | configs | {"train.py", "experiments/docs/argument.json"}
    assert {f"{room}/py.typed" for room in ("agents", "envs", "experiments")} <= held


def test_nothing_of_the_checkout_is_used(installed: Installed) -> None:
    code = "import agents, envs, experiments, train; print(agents.__file__, envs.__file__, train.__file__)"
    said = installed.run("python", "-c", f"{code}; print(experiments.__version__, experiments.__file__)").stdout
    assert said.count(str(installed.packages)) == 4
    assert experiments.__version__ in said


def test_its_experiments_are_listed(installed: Installed) -> None:
    for words in (["entropy-exploration"], ["python", "-m", "train"], ["python", "-m", "experiments"]):
        done = installed.run(*words, "--list")
        assert done.returncode == 0, done.stderr
        named = {line.split()[0] for line in done.stdout.splitlines()}
        assert {f"configs/{path.name}" for path in CONFIGS.glob("*.toml")} <= named


def test_it_trains_draws_and_says_how_to_go_on(installed: Installed) -> None:
    few = ["configs/bandit.toml", "training.seeds=2", "training.updates=3", "--workers", "1"]
    few += ["environment.tables=false"]  # stepped, which compiles a tenth of what training on tables does
    done = installed.run("entropy-exploration", *few)
    assert done.returncode == 0, done.stderr
    assert (installed.folder / "runs" / "bandit" / "report.html").exists()
    again = installed.run("entropy-exploration", *few)
    assert again.returncode == 2
    assert again.stderr.startswith("entropy-exploration: ")
    assert installed.run("entropy-exploration", "report", "runs/bandit").returncode == 0


def test_every_other_command_starts_there(installed: Installed) -> None:
    asked = installed.run("entropy-exploration", "argument", "--quik")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert asked.stderr.startswith("entropy-exploration argument: ")
    code = "from experiments.argument import configs; from experiments.explain import ARGUMENT, PAGE"
    code += "; print(len(configs(quick=False)), ARGUMENT.is_file(), PAGE)"
    planned, *page = installed.run("python", "-c", code).stdout.split()
    assert int(planned) > 20
    assert page == ["True", "explain.html"]
    done = installed.run("entropy-exploration", "report", "--help")
    assert done.stdout.startswith("usage: entropy-exploration report "), done.stderr
    done = installed.run("python", "-c", HELP_OF_ALL, *command_words())
    assert done.stdout.count("usage: ") == len(command_words()), done.stderr


MINUTES_OR_ENDLESS = ("argument", "benchmark", "explain", "look", "verify")


def commands_of_the_readme() -> list[list[str]]:
    """Those of its table, as typed with an installed program; of what takes minutes, or does not end, the help."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Commands\n")[1].split("\n\n")[0]
    typed = re.findall(r"`python (?:train\.py|-m experiments\.)(.*?)`", table)
    commands = [shlex.split(words) for words in typed]
    return [[words[0], "--help"] if words and words[0] in MINUTES_OR_ENDLESS else words for words in commands]


def test_the_readme_has_every_command_but_the_one_to_be_read() -> None:
    named = {words[0] if words else "" for words in commands_of_the_readme()}
    assert named >= {"", "--list", "--help", *command_words()} - {"textbook"}


@pytest.mark.long
def test_pip_finds_all_that_it_needs(installed: Installed) -> None:
    """Into an environment with nothing else; `TORCH_INDEX` may name an index with a smaller build of torch."""
    with TemporaryDirectory() as name:  # gigabytes, which should not stay
        place = Path(name)
        venv.create(place / "venv")
        bin_ = place / "venv" / "bin"
        pip = [sys.executable, "-m", "pip", "--python", str(bin_ / "python")]
        index = ["--extra-index-url", os.environ["TORCH_INDEX"]] if os.environ.get("TORCH_INDEX") else []
        if _run([*pip, "download", "--no-deps", "setuptools"], place).returncode:
            pytest.skip("pip reaches no index")
        words = [*pip, "install", *index, "--constraint", str(ROOT / "constraints.txt"), str(installed.wheel)]
        done = _run(words, place, 2000)
        assert done.returncode == 0, done.stderr
        (place / "empty").mkdir()
        for command in commands_of_the_readme():
            done = _run([str(bin_ / "entropy-exploration"), *command], place / "empty")
            nothing_there = "--resume" in command
            assert done.returncode == (2 if nothing_there else 0), (command, done.stderr)
