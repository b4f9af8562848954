"""Pages from templates: whatever is put into one is escaped, and a name that is missing is an error.

A page needs no network and lets nothing in: its content security policy names the digests of its one style sheet
and its one script, so that whatever else might get into the page is not executed, and nothing is fetched from
anywhere.
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
from experiments.pages import tables
from experiments.storage.run_folder import config_text

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """A whole page."""
    style, script = (Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    return environment().get_template(template).render(values, style=style, script=script)


@cache
def environment() -> Environment:
    """What templates can use beside their own values."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(config_text=config_text, data_uri=data_uri, digest=_digest, marked=marked, whole=_whole)
    found.filters["packed"] = _packed
    found.globals.update(RUN_MEASURES=RUN_MEASURES, tables=tables, wording=wording)
    return found


def marked(pieces: Iterable[Piece]) -> Markup:
    """Text and numbers; each number with its full value for whoever computes with it."""
    return Markup("").join(map(_marked, pieces))


def _marked(piece: Piece) -> str:
    if isinstance(piece, wording.Number):
        return Markup('<data value="{}">{}</data>').format(json.dumps(piece.value), piece.text)
    return ",\u00a0" if piece == ", " else piece  # an interval stays in one line


def _whole(number: int) -> Markup:
    return marked([wording.whole(number)])


def data_uri(content: bytes, kind: str) -> str:
    """A file inside an address."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def _packed(content: bytes) -> str:
    """For the page's script to unpack: an eighth of an address's length."""
    return b64encode(gzip.compress(content, mtime=0)).decode()


def _digest(content: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
