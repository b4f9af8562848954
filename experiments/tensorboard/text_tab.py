"""The Text tab in Markdown: the question, the verdicts, how to read the charts, the config."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.analysis import wording
from experiments.config.measures import RUN_MEASURES
from experiments.config.schema import Config
from experiments.storage.run_folder import config_text

VERDICT = "guide/2_verdict"  # tags are shown in alphabetical order

_HOW_TO_READ = """\
Runs are called `<arm>/seed_<k>`, in a family of worlds `<arm>/world_<w>/seed_<k>`; `aggregate/<arm>` is an arm as
a whole, of all its runs. Of more than 300 runs only the first seeds of each arm have curves of their own, as many
as make 300 in all, and HParams shows their means. In a family these, and the pictures, are of its first world.

* **Time Series**: `step/entropy_bits` has one point for every step of every run: the entropy of the policy where
  the agent was, over the environment steps of the run. With four actions, 2 bits mean that all are equally likely,
  and 0 bits that one is certain. `featured/entropy_bits` has the same points for the first two seeds of each arm,
  and loads at once. Everything else is over updates. A run that settled early falls to 0 and stays there.
* **Custom Scalars**: both arms, each with a line and a band. The line is the interquartile mean over seeds, or the
  fraction of seeds. The band is its 95 % interval (bootstrap, or Wilson's for a fraction). The interquartile mean
  hides a minority below a quarter: look at the fraction solved beside it.
* **HParams**: a row per arm, with the mean over its seeds (not the interquartile mean). First success is the
  number of environment steps until an episode reached `solved_return`; a run that never did counts with all the
  steps that it might have taken.
* **Images**: policy and visits at some moments of training, for the mean over seeds and for the first seed. An
  arrow is as long as its action is probable. The more colour a cell has, the lower the entropy there; the colour
  of the mean is the mean of the seeds' entropies. Visits count from the start of training: the darker a cell, the
  more, on a logarithmic scale.
* **Histograms**: the action probabilities of all seeds in all states. Those of a sure policy pile up at 0 and 1.

With more than 40 runs, all tabs but Time Series show none until you choose some in the box on the left; begin with
`aggregate`. TensorBoard keeps 1000 points per curve unless it was started with `--samples_per_plugin`, and a curve
of `step/entropy_bits` may then lack its first step. Smoothing hides the effects that matter here: set it to 0.
"""


def pages(config: Config) -> dict[str, str]:
    """The texts that are known before training, by tag; training from the config among them repeats the runs."""
    return {
        "guide/1_question": _question(config),
        "guide/3_how_to_read": _HOW_TO_READ,
        "guide/4_config": f"```toml\n{config_text(config)}```\n",
    }


def _question(config: Config) -> str:
    """The question, the arms, and what was expected before the run."""
    arms = "\n".join(f"* **{arm}**: {_differences(config, arm)}" for arm in config.arms)
    claims = "\n".join(f"* {claim.statement}: `{claim.measure}`, `{claim.expect}`" for claim in config.claims)
    expected = f"\n\nExpected, written down before the run:\n\n{claims}" if claims else ""
    training = config.training
    return (
        f"# {config.description}\n\n`{config.environment.id}`, {_runs(config)} per arm, "
        f"{training.updates} updates of {training.episodes_per_update} episodes.\n\n{arms}{expected}\n"
    )


def _runs(config: Config) -> str:
    seeds = f"{len(config.training.seed_list)} seeds"
    worlds = config.environment.world_list
    return seeds if worlds == (None,) else f"{len(worlds)} worlds with {seeds} each"


def _differences(config: Config, arm: str) -> str:
    return ", ".join(f"`{key} = {value}`" for key, value in config.arms[arm].items()) or "the base"


def verdict(summary: Mapping[str, Any]) -> str:
    """The claims judged, and a table of the arms."""
    lines = [f"* **{claim['verdict']}**: {claim['statement']}. {_effect(claim)}" for claim in summary["claims"]]
    return "\n".join([*lines, "", *_table(summary["arms"]), ""])


def _effect(claim: Mapping[str, Any]) -> str:
    return f"`{claim['measure']}`, `{claim['expect']}`: {wording.plain(wording.verdict_text(claim))}"


def _table(arms: Mapping[str, Any]) -> Sequence[str]:
    names = wording.worth_showing(arms.values())
    rows = [
        [
            RUN_MEASURES[name].heading,
            *(wording.plain(wording.measure_text(name, arm["measures"].get(name))) for arm in arms.values()),
        ]
        for name in names
    ]
    head = ["measure (estimate and 95 % interval over seeds)", *arms]
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
