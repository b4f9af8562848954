"""Pages from templates: all values are escaped, and a missing name is an error.

A page needs no network, and nothing can get in: its content security policy names the digests of its one style
sheet and its one script, so a browser executes nothing else and fetches nothing.
"""

import gzip
import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from experiments.analysis import wording
from experiments.analysis.wording import Piece
from experiments.config.measures import RUN_MEASURES
from experiments.config.mistakes import spans
from experiments.pages import tables
from experiments.storage.run_folder import config_text

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """A whole page."""
    style, script = (Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    return environment().get_template(template).render(values, style=style, script=script)


@cache
def environment() -> Environment:
    """The environment of all templates, with the names that they share."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(config_text=config_text, data_uri=data_uri, digest=_digest, marked=marked, whole=_whole)
    found.filters["packed"] = _packed
    found.globals.update(RUN_MEASURES=RUN_MEASURES, spans=spans, tables=tables, wording=wording)
    return found


def marked(pieces: Iterable[Piece]) -> Markup:
    """Pieces as HTML, in which each number keeps its full value for programs."""
    return Markup("").join(map(_marked, pieces))


def _marked(piece: Piece) -> str:
    if isinstance(piece, wording.Number):
        return Markup('<data value="{}">{}</data>').format(json.dumps(piece.value), piece.text)
    return ",\u00a0" if piece == ", " else piece  # an interval stays on one line


def _whole(number: int) -> Markup:
    return marked([wording.whole(number)])


def data_uri(content: bytes, kind: str) -> str:
    """The content of a file as an address."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def _packed(content: bytes) -> str:
    """Compressed for the page's script to unpack: an eighth of the length of an address."""
    return b64encode(gzip.compress(content, mtime=0)).decode()


def _digest(content: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
