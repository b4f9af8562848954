"""How a notebook shows a finished training: verdicts, curves over training, a table of the arms."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from markupsafe import Markup

from experiments.analysis.wording import measure_text, plain, verdict_text, worth_showing
from experiments.config.measures import RUN_MEASURES
from experiments.config.schema import Config
from experiments.figures.curves import entropy, solved
from experiments.figures.style import Picture, style
from experiments.session.result_tables import ROWS
from experiments.storage.results import Results, curves_of, ends_of, moments_of
from experiments.storage.stored_rows import UpdateRows
from experiments.training.records import runs_of

FRAME = Markup("<div><p><b>{}</b></p>{}<div>{}</div>{}</div>")
CLAIM = Markup("<p><b>{}</b>: {}<br><small>{}</small></p>")
IMAGE = Markup('<img src="data:image/svg+xml;base64,{}" alt="{}" style="width: 27em; max-width: 100%">')
TABLE = Markup("<table><thead><tr><th></th>{}</tr></thead><tbody>{}</tbody></table>")
ROW, HEAD, CELL = Markup("<tr><th>{}</th>{}</tr>"), Markup("<th>{}</th>"), Markup("<td>{}</td>")


def shown(config: Config, updates: pa.Table, runs: pa.Table, summary: Mapping[str, Any]) -> str:
    """A training as HTML; everything in it is escaped.

    Args:
        config: what was trained.
        updates, runs: the tables of updates.parquet and runs.parquet.
        summary: its estimates and verdicts.
    """
    claims = [CLAIM.format(c["verdict"], c["statement"], plain(verdict_text(c))) for c in summary["claims"]]
    at, reader = moments_of(config), UpdateRows(runs_of(config), config.most_updates)
    curves = curves_of(config, updates.to_batches(), reader, at)
    ends = ends_of(config, reader, runs["failed"].to_numpy())
    results = Results(config, summary, {}, at, curves, None, ends)
    with style():
        pictures = [picture for draw in (entropy, solved) for picture in draw(results)]
    images = map(_image, pictures)
    return str(FRAME.format(config.description, _joined(claims), _joined(images), _table(summary["arms"])))


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
