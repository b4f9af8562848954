"""The whole argument: every experiment of the plan, every claim judged together, one report.

python -m experiments.argument            writes runs/argument/report.html and one run folder an experiment
python -m experiments.argument --quick    the same in a few seconds, with too few seeds to conclude anything

What is done and unchanged is not trained again.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from experiments.argument_page import argument_page, count, headline
from experiments.claims import Comparison, decide
from experiments.config import Config, ConfigError, load_config, one_line
from experiments.console import verdict_table
from experiments.figures import pictures
from experiments.map_slider import map_slider
from experiments.markup import Html
from experiments.plan import PLAN
from experiments.plotting import Picture
from experiments.report import report, write_figures
from experiments.results import Results, read_results
from experiments.session import Options, run
from experiments.sources import digest
from experiments.store import RunFolder, StoreError, config_text
from experiments.summary import comparisons, provenance

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
# What a stored result depends on: the training, how its tables and moments are written, and its estimates.
TRAINED_BY = ("experiments.training", "experiments.parts", "experiments.snapshots", "experiments.summary")
QUICK_SEEDS, QUICK_UPDATES = 6, 12  # how many seeds, and which part of the updates


class Done(NamedTuple):
    """An experiment that has been trained and drawn."""

    results: Results
    drawn: list[Picture]
    maps: Html | None
    trained: bool  # now; False: it was there already


def configs(quick: bool) -> list[Config]:
    """The configs of the plan, in its order.

    Raises:
        ConfigError: one of them is missing or wrong.
    """
    names = [entry.name for part in PLAN for entry in part.entries]
    found = [load_config(CONFIGS / f"{name}.toml") for name in names]
    return [quickly(config) for config in found] if quick else found


def quickly(config: Config) -> Config:
    """The same experiment with so few seeds and updates that it takes no time and shows nothing but its shape."""
    training = config.training
    few = {
        "seeds": training.seed_list[:QUICK_SEEDS],
        "updates": max(2, training.updates // QUICK_UPDATES),
    }
    return config.model_copy(update={"training": training.model_copy(update=few)})


def prepare(config: Config, path: Path) -> Done:
    """Train an experiment, unless it is done and unchanged, and draw it."""
    folder, source = RunFolder(path), digest(*TRAINED_BY)
    mark = path / "source.txt"
    same = folder.has_begun and config_text(folder.read_config()) == config_text(config)
    same = same and mark.exists() and mark.read_text() == source
    trained = not (same and folder.is_finished)
    if trained:
        path.mkdir(parents=True, exist_ok=True)
        if not same:
            folder.write("source.txt", source)
        options = Options(path, resume=same, overwrite=not same, log_steps=0, tensorboard=False)
        run(config, options, lambda record: None, lambda line: None)
    results = read_results(path)
    drawn, maps = pictures(results), map_slider(results)
    write_figures(folder, drawn)
    folder.write("report.html", report(results, drawn, maps))
    return Done(results, drawn, maps, trained)


def prepare_all(found: Sequence[Config], out: Path, workers: int, console: Console) -> dict[str, Done]:
    """All experiments, the longest first, so many at a time."""
    done: dict[str, Done] = {}
    with ProcessPoolExecutor(workers) as pool:
        jobs = {pool.submit(prepare, config, out / config.name): config for config in sorted(found, key=_size)}
        try:
            for job in as_completed(jobs):
                name = jobs[job].name
                done[name] = job.result()
                how = f"{done[name].results.summary['wall_seconds']:.1f} s"
                line = how if done[name].trained else f"unchanged ({how} when it was trained)"
                console.print(f"{len(done):>3}/{len(jobs)}  {name:<24} {line}", markup=False)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {config.name: done[config.name] for config in found}


def _size(config: Config) -> float:
    """About how long it takes, negative: what takes longest comes first."""
    training, runs = config.training, len(config.arms) * len(config.training.seed_list)
    return -training.updates * (10 + runs * (1 + training.episodes_per_update / 16))


def judged(done: dict[str, Done]) -> list[dict[str, Any]]:
    """All claims of all experiments, corrected together; each names its experiment."""
    pairs: list[tuple[str, Comparison]] = [
        (name, comparison)
        for name, found in done.items()
        for comparison in comparisons(found.results.config, found.results.runs)
    ]
    verdicts = decide([comparison for _, comparison in pairs])
    return [{"experiment": name, **asdict(v)} for (name, _), v in zip(pairs, verdicts, strict=True)]


def summary_of(done: dict[str, Done], quick: bool, seconds: float) -> dict[str, Any]:
    """What summary.json of the argument holds."""
    claims = judged(done)
    steps = sum(found.results.summary["env_steps"] for found in done.values())
    training = sum(found.results.summary["wall_seconds"] for found in done.values())
    return {
        "quick": quick,
        "source": digest(*TRAINED_BY),
        "verdicts": count(claims),
        "headline": {picture.name: picture.alt for picture in headline(done)},
        "claims": claims,
        "experiments": {
            name: {key: found.results.summary[key] for key in ("arms", "env_steps", "wall_seconds")}
            for name, found in done.items()
        },
        **provenance(training, steps),
        "command_seconds": round(seconds, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.argument",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="few seeds and updates: the shape, no conclusions")
    parser.add_argument(
        "--out", type=Path, help="folder (default: runs/argument, with --quick runs/argument_quick)"
    )
    parser.add_argument(
        "--workers", type=int, default=_cores(), metavar="N", help="processes (default: one a core)"
    )
    options = parser.parse_args(arguments)
    out = options.out or Path("runs") / ("argument_quick" if options.quick else "argument")
    console, began = Console(highlight=False), time.monotonic()
    try:
        done = prepare_all(configs(options.quick), out, max(1, options.workers), console)
    except (ConfigError, StoreError) as error:
        print(f"experiments.argument: {one_line(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"experiments.argument: {error.filename or out}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("experiments.argument: stopped; the same command goes on where it was", file=sys.stderr)
        return 130
    summary = summary_of(done, options.quick, time.monotonic() - began)
    folder = RunFolder(out)
    folder.write("summary.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    folder.write("report.html", argument_page(done, summary))
    console.print(verdict_table(summary["claims"]))
    console.print(f"{summary['command_seconds']} s; report: {out / 'report.html'}", markup=False)
    return 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
