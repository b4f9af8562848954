"""Sweeps: many trainings that differ in some keys of one config, in one table; and equal tuning of the arms.

python -m experiments.sweep fair_mazes                       configs/sweeps/fair_mazes.toml, into runs/fair_mazes
python -m experiments.sweep configs/sweeps/fair_mazes.toml --dry-run      what it would train, and how long
python -m experiments.sweep fair_mazes --resume              go on after Ctrl-C or a kill; finished trainings stay
python -m experiments.sweep two_rooms agent.learning_rate=grid:0.003,0.01,0.03   one experiment at three values
"""

from experiments.session.command import begin, command, fail, leave

if __name__ == "__main__":
    begin("experiments.sweep")  # before anything else: Ctrl-C is heard from here on

import argparse
import json
import signal
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from experiments.analysis.settings import Effect, comparison, effect_in
from experiments.analysis.summary import versions
from experiments.analysis.tuning import choose, scores
from experiments.config.failures import Failure
from experiments.config.measures import RUN_MEASURES
from experiments.config.schema import Config, ConfigError
from experiments.config.sweep_files import load_sweep, sweep_text
from experiments.config.sweeps import Cell, Settings, Sweep, Tuning, cells
from experiments.config.tuning import judged, settings_of, tries
from experiments.figures.showing import Showing
from experiments.pages.sweep_page import Swept, sweep_page
from experiments.session import command_line
from experiments.session.cells import train_cells
from experiments.session.compiling import compile_ahead
from experiments.session.console import Screen, progress
from experiments.session.engines import Engine, add_engine, check_engine, opened
from experiments.session.judging import judge_again
from experiments.session.remote import working_folder
from experiments.session.run import Options, holds, run
from experiments.session.surroundings import plain_arithmetic
from experiments.session.sweep_plan import plan_lines
from experiments.session.waiting import Preparing, Waiting
from experiments.storage.run_folder import RunFolder, StoreError
from experiments.storage.sources import TRAINING, digest
from experiments.storage.sweep_folder import (
    JUDGED,
    PAGE,
    SUMMARY,
    SWEEP,
    SWEEP_FILE,
    SweepFolder,
    settings_text,
)
from experiments.training.initial import check_claims, check_has_measure
from experiments.training.loop import Training
from experiments.training.worlds import make_world


class Unfinished(Failure, RuntimeError):
    """Some trainings failed; the reasons have been printed."""

    status = 1


class Place(NamedTuple):
    """The folder of a sweep, and how to train it."""

    folder: SweepFolder
    engine: Engine
    screen: Screen


def train_all(sweep: Sweep, found: Sequence[Cell], place: Place) -> list[Cell]:
    """Train the cells that are not finished yet.

    Returns:
        all cells but the random settings that their world refuses: they are named, and left out.
    Raises:
        Unfinished: some failed; the others are finished.
    """
    folder, screen = place.folder, place.screen
    missing = [cell for cell in found if folder.read_cell(cell.config) is None]
    _compile_one_of([cell.config for cell in missing], screen)
    if len(missing) < len(found):
        screen.say(f"{len(found) - len(missing)} of {len(found)} trainings are done")
    refused, failed, number = set[int](), 0, len(found) - len(missing)
    with (
        Waiting(screen, "training", len(missing), "settings", alone=False) as line,
        closing(train_cells(missing, folder, place.engine, line.move)) as trained,
    ):
        for cell, failure in trained:
            line.advance()
            if failure is not None:
                left_out = failure.refused and bool(sweep.sample) and sweep.tuning is None
                refused |= {id(cell)} if left_out else set()
                failed += not left_out
                why = f"{failure.why}{'; left out' if left_out else ''}"
                fail(SWEEP, f"{settings_text(cell.settings)}: {why}", status=1)
                continue
            number += 1
            screen.say(f"{number:>5}/{len(found)}  {settings_text(cell.settings)}")
    if failed or len(refused) == len(found):
        raise Unfinished(f"{failed or len(refused)} of {len(found)} trainings failed; --resume tries them again")
    return [cell for cell in found if id(cell) not in refused]


def _compile_one_of(configs: Sequence[Config], screen: Screen) -> None:
    """Compile what training needs, once, before there are processes; configs that are refused are passed over."""
    for config in configs:
        with suppress(ConfigError), plain_arithmetic(), closing(Training(config)) as training:
            compile_ahead(training, screen.say, Preparing(screen))
            return


def judge(sweep: Sweep, chosen: Mapping[str, Settings], place: Place) -> Mapping[str, Any]:
    """Train the comparison of the settings that the arms chose, in its own run folder, unless it is there
    already."""
    config, path, source = judged(sweep, chosen), place.folder.path / JUDGED, digest(TRAINING)
    inner = RunFolder(path)
    inner.check_owner(SWEEP)
    same = holds(inner, config) and inner.source() == source
    options = Options(
        path, resume=same, overwrite=not same, workers=place.engine.cores, elsewhere=place.engine.share,
        log_steps=0, tensorboard=False, command=SWEEP, source=source,
    )  # fmt: skip
    place.screen.say(f"judging on fresh {'seeds' if config.environment.worlds is None else 'worlds'}")
    with progress(place.screen, config) as bar:
        run(config, options, bar, lambda line: None, watch=bar)
    judge_again(path)
    return inner.read_summary()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = command_line.Parser(SWEEP, __doc__)
    top.add_argument(
        "sweep", type=command_line.place, help="TOML file, or the name of one in configs/sweeps/; or a config"
    )
    top.add_argument(
        "values", nargs="*", help="what varies: dotted.key=grid:value,value or dotted.key=log:low,high,number"
    )
    top.add_argument("--out", type=command_line.run_folder, help="folder, or its URL (default: runs/<name>)")
    top.add_argument("--dry-run", action="store_true", help="say what it would train and how long; write nothing")
    top.add_argument("--resume", action="store_true", help="go on: trainings that are done stay")
    top.add_argument("--overwrite", action="store_true", help="replace the results in the folder")
    top.add_argument(
        "--workers", type=command_line.count, default=None, metavar="N",
        help="trainings at once (default: one per core); changes no number",
    )  # fmt: skip
    add_engine(top)
    return top


@command(SWEEP, stopped="stopped; go on with --resume")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options, screen = parser().parse_intermixed_args(arguments), Screen()
    check_engine(options)
    sweep = load_sweep(options.sweep, options.values)
    found = cells(sweep) if sweep.tuning is None else tries(sweep)
    if sweep.tuning is not None:
        _check_measures(sweep, sweep.tuning)
    if options.dry_run:
        try:
            with screen.waiting("trying a few settings"):
                lines = plan_lines(sweep, found, options.workers or command_line.available_cores(), screen.say)
        except KeyboardInterrupt:  # there is nothing to go on with
            return fail(SWEEP, "stopped", 128 + signal.SIGINT)
        screen.say(*lines)
        return int(screen.is_lost)
    place = options.out or Path("runs") / sweep.name
    text = sweep_text(sweep)

    def check(folder: Path) -> None:
        _check_folder(SweepFolder(folder), text, options)

    with working_folder(place, SWEEP, screen, check) as out:
        check(out)
        showing = _sweep_into(SweepFolder(out), sweep, found, options, screen)
        screen.say(f"results: {place}")
    showing.check()
    return int(screen.is_lost)


def _check_measures(sweep: Sweep, tuning: Tuning) -> None:
    """Check that the world has the measures to choose and to judge by, before anything is tried.

    Raises:
        ConfigError: it lacks one.
    """
    config = sweep.config()
    world = make_world(config.environment.of_world(config.environment.world_list[0]))
    check_has_measure(tuning.choose_by, world, "tuning.choose_by")
    check_claims(config, world)


def _sweep_into(
    folder: SweepFolder, sweep: Sweep, found: Sequence[Cell], options: argparse.Namespace, screen: Screen
) -> Showing:
    """Train what is not there yet, and write what came out; returns what could not be drawn."""
    text = sweep_text(sweep)
    with opened(options, screen.say) as engine, folder.locked():
        _check_folder(folder, text, options)
        folder.mark(SWEEP)
        if options.overwrite:
            folder.clear()
        folder.write(SWEEP_FILE, text)
        found_out, showing = swept(sweep, found, Place(folder, engine, screen)), Showing()
        folder.write(SUMMARY, json.dumps(found_out.summary, indent=1, allow_nan=False) + "\n")
        page = sweep_page(found_out, showing)
        if page is not None:
            folder.write(PAGE, page)
    return showing


def _check_folder(folder: SweepFolder, text: str, options: argparse.Namespace) -> None:
    """Check that these options can be followed there.

    Raises:
        StoreError: they cannot.
    """
    folder.check_owner(SWEEP)
    if options.resume and options.overwrite:
        raise StoreError("--resume continues and --overwrite starts again: give only one of them")
    has_begun = (folder.path / SWEEP_FILE).exists()
    if options.resume:
        if not folder.path.exists() or (folder.holds_anything and not has_begun):
            raise StoreError(f"{folder.path}: nothing to resume there; leave out --resume to start")
        ours = text.encode()
        if has_begun and folder.read(SWEEP_FILE, len(ours) + 1) != ours:
            raise StoreError(f"{folder.path}: holds a different sweep; replace it with --overwrite, or use --out")
    elif has_begun and not options.overwrite:
        raise StoreError(
            f"{folder.path} holds results; go on with --resume, replace it with --overwrite, or use --out"
        )


def swept(sweep: Sweep, planned: Sequence[Cell], place: Place) -> Swept:
    """Train everything that is missing; returns what summary.json holds and the page shows.

    The tables of the cells are read one after the other: all of them need not fit into memory.
    """
    found = train_all(sweep, planned, place)
    place.folder.write_runs(found)
    first, measure = found[0].config, measure_of(sweep, found[0].config)
    env_steps, seconds = 0, 0.0
    tries: list[dict[str, float]] = []
    effects: list[Effect] = []
    for settings, config in found:
        done = place.folder.finished(config)
        env_steps, seconds = env_steps + done.env_steps, seconds + done.seconds
        if sweep.tuning is not None:
            tries.append(scores(measure, config, done.runs))
        elif len(config.arms) == 2:
            effects.append(effect_in(measure, settings, config, done.runs))
    summary: dict[str, Any] = {
        "name": sweep.name,
        "description": sweep.description,
        "source": digest(),
        "versions": versions(),
        "trainings": len(found),
        "refused": len(planned) - len(found),
        "runs": sum(len(cell.config.arms) * cell.config.runs_per_arm for cell in found),
        "env_steps": env_steps,
        "core_seconds": round(seconds, 1),
    }
    if sweep.tuning is not None:
        tried = {arm: settings_of(sweep, arm) for arm in first.arms}
        return Swept(sweep, summary | _tuned(sweep, choose(measure, tries), place), (), tried)
    if effects:
        summary["comparison"] = comparison(measure, list(first.arms), effects)
    return Swept(sweep, summary, effects, {})


def measure_of(sweep: Sweep, config: Config) -> str:
    """The measure that settings are compared by: a tuning names it. Otherwise it is that of the first claim whose
    measure could choose between settings, or else the return."""
    if sweep.tuning is not None:
        return sweep.tuning.choose_by
    measures = [RUN_MEASURES.get(claim.measure) for claim in config.claims]
    for claim, measure in zip(config.claims, measures, strict=True):
        if measure is not None and measure.kind != "time" and measure.failed_as != "missing":
            return claim.measure
    return "final_return"


def _tuned(sweep: Sweep, arms: dict[str, dict[str, Any]], place: Place) -> dict[str, Any]:
    """Each arm's scores and choice, and the verdicts on what they chose."""
    for arm, its in arms.items():
        its["settings"] = settings_of(sweep, arm)[its["chosen"]]
        place.screen.say(f"{arm}: {settings_text(its['settings'])}")
    judged_by = judge(sweep, {arm: its["settings"] for arm, its in arms.items()}, place)
    place.screen.results(judged_by)
    for claim in judged_by["claims"]:
        place.screen.verdict(claim)
    return {"tuned": arms, "judged": judged_by["arms"], "claims": judged_by["claims"]}


if __name__ == "__main__":
    leave(main)
