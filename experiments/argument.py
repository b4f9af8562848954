"""The whole argument: every experiment of the plan, every claim judged together, one report.

python -m experiments.argument            writes runs/argument/report.html and one run folder per experiment
python -m experiments.argument --quick    the same in about a minute, with too few seeds to conclude anything
python -m experiments.argument -v         names every experiment as it is done, and every claim with its verdict

Experiments that are finished and have not changed since are not trained again.
"""

from experiments.session.command import begin, command, fail, leave

if __name__ == "__main__":
    begin("experiments.argument")  # before anything else: Ctrl-C is heard from here on

import json
import platform
import re
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from experiments.analysis.claims import Comparison, decide
from experiments.analysis.summary import comparisons, in_json, provenance
from experiments.config.commands import CONFIGS
from experiments.config.failures import Failure
from experiments.config.loading import load_config
from experiments.config.plan import PLAN
from experiments.config.schema import Config, Range
from experiments.figures.showing import Showing
from experiments.pages.argument_page import argument_page, count, headline
from experiments.pages.training_page import Drawn, write_pages
from experiments.session import command_line
from experiments.session.compiling import compile_ahead
from experiments.session.console import Screen, tally_lines, verdict_table
from experiments.session.engines import Engine, add_engine, check_engine, opened
from experiments.session.judging import judge_again
from experiments.session.processes import Ended
from experiments.session.remote import folder_of_task, working_folder
from experiments.session.run import Options, holds, run
from experiments.session.waiting import Preparing, Waiting
from experiments.storage.owned_folder import MARK, OwnedFolder
from experiments.storage.results import Results, read_results
from experiments.storage.run_folder import ARGUMENT, RunFolder, StoreError
from experiments.storage.sources import TRAINING, digest
from experiments.storage.tree import link
from experiments.training.loop import Training
from experiments.training.numerics import arithmetic

QUICK_SEEDS, QUICK_UPDATES = 6, 12  # the number of seeds, and the divisor of the updates


class Done(NamedTuple):
    """An experiment that has been trained and drawn."""

    results: Results
    drawn: Drawn
    trained: bool  # True: it was trained now; False: it had been before
    not_shown: dict[str, str]  # what could not be drawn, and why


def configs(quick: bool) -> list[Config]:
    """The configs of the plan, in order.

    Raises:
        ConfigError: one of them is missing or wrong.
    """
    names = [entry.name for part in PLAN for entry in part.entries]
    found = [load_config(CONFIGS / f"{name}.toml") for name in names]
    return [quickly(config) for config in found] if quick else found


def quickly(config: Config) -> Config:
    """The same experiment with so few seeds and updates that it takes almost no time and proves nothing."""
    training, environment = config.training, config.environment
    few = {"seeds": training.seed_list[:QUICK_SEEDS], **_shortened(training.model_dump())}
    changed: dict[str, Any] = {
        "training": training.model_copy(update=few),
        "arms": {arm: own | _shortened(own) for arm, own in config.arms.items()},
    }
    if environment.worlds is not None:
        worlds = Range(first=environment.world_list[0] or 0, count=min(QUICK_SEEDS, len(environment.world_list)))
        changed["environment"] = environment.model_copy(update={"worlds": worlds})
    return config.model_copy(update=changed)


def _shortened(settings: Mapping[str, Any]) -> dict[str, int]:
    """The keys of a section that say how long it is trained."""
    lengths = {key: settings.get(key) for key in ("updates", "max_env_steps")}
    return {key: max(2, length // QUICK_UPDATES) for key, length in lengths.items() if length is not None}


class ArgumentFolder(OwnedFolder):
    """`runs/argument`: the page of all experiments and its numbers, and a run folder per experiment."""

    KIND = "argument"
    OWN = re.compile(r"summary\.json|report\.html")

    def _maker_by_content(self) -> str | None:
        """Our command, if the folder holds only run folders that it made, and their page."""
        names = [name for name in self.files() if not self.is_own(name)]
        made = [RunFolder(self.path / name).maker() for name in names if (self.path / name).is_dir()]
        return ARGUMENT if len(made) == len(names) > 0 and set(made) == {ARGUMENT} else None


class Unfinished(Failure, RuntimeError):
    """Some experiments failed; the reasons have been printed."""

    status = 1


def prepare(config: Config, path: Path) -> Done:
    """Train an experiment, unless it is finished and unchanged, judge it, and draw it."""
    folder, source = RunFolder(path), digest(TRAINING)
    folder.check_owner(ARGUMENT)
    same = holds(folder, config) and folder.source() == source
    trained = not (same and folder.is_finished)
    if trained:
        options = Options(
            path, resume=same, overwrite=not same, log_steps=0, tensorboard=False, command=ARGUMENT, source=source
        )
        run(config, options, lambda record: None, lambda line: None)
    judge_again(path)
    results, showing = read_results(path), Showing()
    drawn = write_pages(path, results, showing)
    failed = {f"{config.name}: {what}": why for what, why in showing.failed.items()}
    return Done(results, drawn, trained, failed)


def _prepare(experiment: tuple[Config, Path | str]) -> Done:
    config, place = experiment
    if isinstance(place, str):
        with folder_of_task(place, "experiments.argument") as path:
            return prepare(config, path)
    if not (place.parent / MARK).exists():  # else results would stay behind on the machine that made them
        raise StoreError(f"{place.parent}: is not there on {platform.node()}: machines have to share it")
    return prepare(config, place)


def prepare_all(
    found: Sequence[Config], out: Path, engine: Engine, screen: Screen, verbose: bool, url: str | None = None
) -> dict[str, Done]:
    """Prepare all experiments, the longest first.

    Args:
        found: their configs.
        out: the folder of the argument.
        engine: where they are trained.
        screen: where it is shown.
        verbose: whether each has a line.
        url: of the folder in a store, if the machines that train cannot reach the one here.
    Raises:
        StoreError: one of their folders belongs to somebody else; nothing has been done.
        Unfinished: some failed; the others are finished.
    """
    for path in (out / config.name for config in found):
        if path.is_symlink():
            raise StoreError(link(path))
        RunFolder(path).check_owner(ARGUMENT)
    with closing(Training(found[0])) as training:
        compile_ahead(training, screen.say, Preparing(screen))  # once, before there are processes
    done: dict[str, Done] = {}
    places = {config.name: f"{url}/{config.name}" if url else out / config.name for config in found}
    experiments = [(config, places[config.name]) for config in sorted(found, key=_size)]
    with (
        Waiting(screen, "training", len(found), "experiments", alone=False) as line,
        closing(engine.each(_prepare, experiments, lambda one: one[0].name, line.move)) as answers,
    ):
        for (config, _), answer in answers:
            line.advance()
            if isinstance(answer, Ended):
                fail("experiments.argument", f"{config.name}: {answer.why}", status=1)
                continue
            done[config.name] = answer
            if verbose:
                how = f"{answer.results.summary['wall_seconds']:.1f} s"
                how = how if answer.trained else f"unchanged ({how} when it was trained)"
                screen.say(f"{len(done):>3}/{len(found)}  {config.name:<24} {how}")
    if missing := len(found) - len(done):
        raise Unfinished(f"{missing} of {len(found)} experiments failed; the same command tries them again")
    return {config.name: done[config.name] for config in found}


def _size(config: Config) -> float:
    """Roughly how long it takes, negative, so that the longest come first."""
    trainings, runs = [config.training_of(arm) for arm in config.arms], config.runs_per_arm
    return -sum(t.updates * (10 / len(trainings) + runs * (1 + t.episodes_per_update / 16)) for t in trainings)


def judged(done: dict[str, Done]) -> list[dict[str, Any]]:
    """All claims of all experiments, corrected together; each names its experiment."""
    pairs: list[tuple[str, Comparison]] = [
        (name, comparison)
        for name, found in done.items()
        for comparison in comparisons(found.results.config, found.results.runs)
    ]
    verdicts = decide([comparison for _, comparison in pairs])
    return [{"experiment": name, **asdict(v)} for (name, _), v in zip(pairs, verdicts, strict=True)]


def distinct_runs(found: Sequence[Config]) -> int:
    """The number of runs, each counted once: equal agents that are trained alike, in the same world and with the
    same seed, are one run, whichever experiments it serves."""
    return len(
        {
            (
                config.environment.of_world(world).model_dump_json(),
                config.agent_of(arm).model_dump_json(),
                config.training_of(arm).model_dump_json(exclude={"seeds"}),
                seed,
            )
            for config in found
            for arm in config.arms
            for world in config.environment.world_list
            for seed in config.training.seed_list
        }
    )


def summary_of(done: dict[str, Done], quick: bool, seconds: float) -> dict[str, Any]:
    """The content of the argument's summary.json."""
    claims = judged(done)
    steps = sum(found.results.summary["env_steps"] for found in done.values())
    training = sum(found.results.summary["wall_seconds"] for found in done.values())
    return {
        "quick": quick,
        "source": digest(),
        "runs": distinct_runs([found.results.config for found in done.values()]),
        "verdicts": count(claims),
        "headline": {picture.name: picture.alt for picture in headline(done)},
        "claims": claims,
        "experiments": {
            name: {key: found.results.summary[key] for key in ("arms", "env_steps", "wall_seconds")}
            for name, found in done.items()
        },
        **provenance(training, steps, arithmetic(with_torch=True)),
        "command_seconds": round(seconds, 1),
    }


def show(summary: Mapping[str, Any], screen: Screen, verbose: bool) -> None:
    """Print the tally and the claims that came out otherwise than expected; `verbose`: all of them."""
    screen.say(*tally_lines(summary["verdicts"]))
    if summary["quick"]:
        screen.say("--quick: with so few seeds and updates none of these verdicts means anything")
    surprises = [claim for claim in summary["claims"] if claim["limit"] is (claim["verdict"] == "supported")]
    title, shown = "claims that came out otherwise than expected", [] if summary["quick"] else surprises
    if verbose:
        title, shown = "claims, judged together", summary["claims"]
    if shown:
        screen.print(verdict_table(f"{len(shown)} {title}", shown))


@command("experiments.argument", stopped="stopped; the same command continues where it stopped")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = command_line.Parser("experiments.argument", __doc__)
    parser.add_argument("--quick", action="store_true", help="few seeds and updates: a trial without conclusions")
    parser.add_argument("-v", "--verbose", action="store_true", help="name every experiment and every claim")
    parser.add_argument(
        "--out",
        type=command_line.run_folder,
        help="folder, or its URL (default: runs/argument, with --quick runs/argument_quick)",
    )
    parser.add_argument(
        "--workers",
        type=command_line.count,
        metavar="N",
        help="experiments at once (default: one per core)",
    )
    add_engine(parser)
    options = parser.parse_args(arguments)
    check_engine(options)
    place = options.out or Path("runs") / ("argument_quick" if options.quick else "argument")
    screen, found = Screen(), configs(options.quick)
    # On Ray each task writes its own folder to the store, from the machine where it runs.
    url = place if isinstance(place, str) and options.engine == "ray" else None

    def check(folder: Path) -> None:
        ArgumentFolder(folder).check_owner(ARGUMENT)

    with working_folder(place, "experiments.argument", screen, check, has_folders=url is None) as out:
        check(out)
        showing = _argue(found, out, url, options, screen)
    showing.check()
    return int(screen.is_lost)


def _argue(found: Sequence[Config], out: Path, url: str | None, options: Namespace, screen: Screen) -> Showing:
    """Train and judge all experiments, and write the page; returns what could not be drawn."""
    folder, showing, began = ArgumentFolder(out), Showing(), time.monotonic()
    with opened(options, screen.say) as engine, folder.locked():
        folder.mark(ARGUMENT)
        done = prepare_all(found, out.absolute(), engine, screen, options.verbose, url)
        for prepared in done.values():
            showing.failed |= prepared.not_shown
        with screen.waiting("judging all claims together"):
            summary = summary_of(done, options.quick, time.monotonic() - began)
        folder.write("summary.json", json.dumps(in_json(summary), indent=1, allow_nan=False) + "\n")
        showing.attempt("verdicts", lambda: show(summary, screen, options.verbose))
        with screen.waiting("writing the page"):
            page = showing.attempt("report.html", lambda: argument_page(done, summary))
        if page is not None:
            folder.write("report.html", page)
        screen.say(f"{summary['command_seconds']} s")
        if page is not None:
            screen.link("report", (out / "report.html").resolve().as_uri())
    return showing


if __name__ == "__main__":
    leave(main)
