"""The page of the text, docs/explain.html: in two languages, self-contained, from Python's own numbers.

Templates, style, scripts and words are in explain/. Each number says where it is from: a line of Python, which
stands beside it (`data-line`), a place in docs/argument.json (`data-stored`) or in a config (`data-setting`).
"""

import ast
import operator
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import FileSystemLoader
from markupsafe import Markup

from agents import information
from experiments.analysis.text_numbers import CONFIDENT, UNDECIDED, numbers
from experiments.pages.explain_data import classes, text
from experiments.pages.rendering import environment

HERE = Path(__file__).parent / "explain"
SCRIPTS = ("formulas.js", "drawing.js", "figures.js", "argument.js", "page.js")
DASH = "\N{EN DASH}"
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
REPORT = "argument.html"  # beside it in docs/
JOINT = re.compile("(?<=[)}])(?=[가-힣])")  # a browser would break the line here, between a word and its particle


class Line(NamedTuple):
    """A line of Python and what it gives."""

    code: str
    unit: str
    value: float


class Lines:
    """The lines that a section's numbers come from, kept until the section shows them."""

    def __init__(self) -> None:
        self._open: dict[str, Line] = {}

    def number(self, code: str, spec: str, unit: str = "") -> Markup:
        """What a line of Python gives, as it is printed in a text.

        Args:
            code: an expression of the functions of agents/information.py.
            spec: how the number is written.
            unit: bits, nats, times, actions, or "" for none.
        """
        self._open[code] = Line(code, unit, evaluated(code))
        return _data(self._open[code].value, spec, line=code)

    def taken(self) -> list[Line]:
        """The lines since the last time, each once."""
        lines, self._open = list(self._open.values()), {}
        return lines


def evaluated(code: str) -> float:
    """The value of a line: arithmetic, lists, and functions of agents/information.py.

    Raises:
        ValueError: it is more than that.
    """
    return float(_value(ast.parse(code, mode="eval").body))


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.List():
            return [_value(element) for element in node.elts]
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand)
        case ast.BinOp():
            return OPERATORS[type(node.op)](_value(node.left), _value(node.right))
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            return getattr(information, name)(*map(_value, node.args))
    raise ValueError(
        f"{ast.unparse(node)}: a line of the page is arithmetic on functions of agents/information.py"
    )


def explain_page(
    data: Mapping[str, Any], argument: Mapping[str, Any], configs: Mapping[str, Mapping[str, Any]]
) -> str:
    """The whole page.

    Args:
        data: what the figures draw of trained runs: `bandit`, `rooms`, `worlds` (see `explain_data`).
        argument: docs/argument.json.
        configs: by name, as plain values.
    """
    lines = Lines()
    words = tomllib.loads(_file("words.toml"))
    template = environment().overlay(loader=FileSystemLoader(HERE)).get_template("page.html")
    page = template.render(
        style=Markup(_file("page.css")),
        language=Markup(_file("language.js")),
        script=Markup("".join(map(_file, SCRIPTS))),
        data={"words": words, "text": text(), "classes": classes(), **data},
        n=lines.number,
        taken_lines=lines.taken,
        pull=_pull,
        stored=_looked_up(argument, "stored"),
        settings=lambda name, place: _looked_up(configs, "setting")(f"{name}/{place}"),
        sure=CONFIDENT,
        undecided=UNDECIDED,
        text_numbers=_text_numbers(),
        report=REPORT,
    )
    return JOINT.sub("\N{WORD JOINER}", page)


def _pull(p: float) -> str:
    """The line for dH / d theta_a = -p (log p + H) of an action of policy a that has probability p."""
    written = f"{p:g}".lstrip("0")
    return f"{written} * (information({written}) - entropy([.9, .05, .025, .025]))"


def _looked_up(tree: Mapping[str, Any], kind: str) -> Callable[[str], Markup]:
    """Prints the number at a place of nested mappings and lists, such as "a/b/0"."""

    def show(place: str) -> Markup:
        return _data(found(tree, place), "", **{kind: place})

    return show


def found(tree: Any, place: str) -> Any:
    """What nested mappings and lists have at a place, such as "a/b/0"."""
    for key in place.split("/"):
        tree = tree[int(key)] if isinstance(tree, list) else tree[key]
    return tree


def _data(value: float, spec: str, **origin: str) -> Markup:
    ((kind, place),) = origin.items()
    written = format(value, spec or "g").replace("-", "\N{MINUS SIGN}")
    return Markup('<data value="{}" data-{}="{}">{}</data>').format(value, kind, place, written)


def _text_numbers() -> list[dict[str, Any]]:
    """The table of what the text prints, in both languages."""
    translated = tomllib.loads(_file("quantities.toml"))
    return [
        {
            "en": number.quantity.strip().replace("||", "‖").replace(" - ", " \N{MINUS SIGN} "),
            "ko": translated[number.quantity.strip()],
            "printed": number.printed or DASH,
            "printed_ko": translated.get(number.printed, number.printed or DASH),
            "exact": number.exact,
            "unit": {"of 4": "actions", "": "times"}.get(number.unit, number.unit),
        }
        for number in numbers()
    ]


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
