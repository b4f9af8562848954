"""How a notebook shows a finished training: verdicts, curves over training, a table of the arms."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from experiments.analysis.wording import measure_text, plain, verdict_text, worth_showing
from experiments.config.measures import RUN_MEASURES
from experiments.config.schema import Config
from experiments.figures.curves import entropy, solved
from experiments.figures.style import Picture, style
from experiments.session.result_tables import ROWS
from experiments.storage.results import CURVES, Results, moments_of

FRAME = Markup("<div><p><b>{}</b></p>{}<div>{}</div>{}</div>")
CLAIM = Markup("<p><b>{}</b>: {}<br><small>{}</small></p>")
IMAGE = Markup('<img src="data:image/svg+xml;base64,{}" alt="{}" style="width: 27em; max-width: 100%">')
TABLE = Markup("<table><thead><tr><th></th>{}</tr></thead><tbody>{}</tbody></table>")
ROW, HEAD, CELL = Markup("<tr><th>{}</th>{}</tr>"), Markup("<th>{}</th>"), Markup("<td>{}</td>")


def shown(config: Config, updates: pa.Table, summary: Mapping[str, Any]) -> str:
    """A training as HTML; everything in it is escaped.

    Args:
        config: what was trained.
        updates: the table of updates.parquet.
        summary: its estimates and verdicts.
    """
    claims = [CLAIM.format(c["verdict"], c["statement"], plain(verdict_text(c))) for c in summary["claims"]]
    at = moments_of(config)
    results = Results(config, summary, {}, at, _curves(config, updates, at), None, _ends(config, updates, summary))
    with style():
        pictures = [picture for draw in (entropy, solved) for picture in draw(results)]
    images = map(_image, pictures)
    return str(FRAME.format(config.description, _joined(claims), _joined(images), _table(summary["arms"])))


def _curves(config: Config, updates: pa.Table, at: np.ndarray[Any, Any]) -> dict[str, dict[str, Any]]:
    """Arm -> column -> [n, K] at the updates `at`, [K]; NaN where a run has failed."""
    seeds = {seed: i for i, seed in enumerate(config.training.seed_list)}
    drawn = updates.filter(pc.is_in(updates["update"], pa.array(at)))
    run = [seeds[seed] for seed in drawn["seed"].to_pylist()]
    moment, arm = np.searchsorted(at, drawn["update"].to_numpy()), np.array(drawn["arm"].to_pylist())
    found: dict[str, dict[str, Any]] = {name: {} for name in config.arms}
    for column in CURVES:
        values = np.array(drawn[column].to_pylist(), float)  # None becomes NaN
        for name, curves in found.items():
            rows = arm == name
            curves[column] = np.full((len(seeds), len(at)), np.nan)
            curves[column][np.array(run)[rows], moment[rows]] = values[rows]
    return found


def _ends(config: Config, updates: pa.Table, summary: Mapping[str, Any]) -> dict[str, int]:
    """Arm -> the updates after which the first of its runs that did not fail had made all of its own."""
    made = {arm: [config.training_of(arm).updates] for arm in config.arms}
    failed = {(run["arm"], run.get("world"), run["seed"]) for run in summary["failed_runs"]}
    keys = [name for name in ("arm", "world", "seed") if name in updates.column_names]
    for run in updates.group_by(keys).aggregate([("update", "max")]).to_pylist():
        if (run["arm"], run.get("world"), run["seed"]) not in failed:
            made[run["arm"]].append(run["update_max"] + 1)
    return {arm: min(numbers) for arm, numbers in made.items()}


def _image(picture: Picture) -> Markup:
    return IMAGE.format(b64encode(picture.svg).decode(), picture.alt)


def _table(arms: Mapping[str, Mapping[str, Any]]) -> Markup:
    rows = [
        ROW.format(
            RUN_MEASURES[name].heading,
            _joined(CELL.format(plain(measure_text(name, arm["measures"].get(name)))) for arm in arms.values()),
        )
        for name in worth_showing(arms.values(), ROWS)
    ]
    return TABLE.format(_joined(HEAD.format(arm) for arm in arms), _joined(rows))


def _joined(parts: Any) -> Markup:
    return Markup("\n").join(parts)
