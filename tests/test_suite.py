"""What holds for every test: no processor's rounding decides whether it passes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
# Comparisons of floating-point numbers that have no absolute tolerance, unless they are given one by this name.
ABSOLUTE = {"assert_allclose": "atol", "isclose": "abs_tol"}


def relative_comparisons(text: str) -> Iterator[int]:
    """Lines with a relative tolerance alone: where 0 is expected, any rounding is a difference."""
    tree = ast.parse(text)
    needed = dict(ABSOLUTE)
    for node in ast.walk(tree):
        match node:
            case ast.Assign([ast.Name(short)], ast.Attribute(attr=name)) if name in ABSOLUTE:
                needed[short] = ABSOLUTE[name]  # close = np.testing.assert_allclose
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(ast.Name("np" | "torch"), "isclose")):
                pass  # its own default is 1e-8
            case ast.Call(ast.Attribute(attr=name) | ast.Name(name)) if name in needed:
                said = {keyword.arg for keyword in node.keywords}  # None: **tolerances, which are not looked into
                if not {needed[name], None} & said:
                    yield node.lineno


def test_every_comparison_of_floating_point_numbers_says_its_absolute_tolerance() -> None:
    """`atol=0` may be said, where no expected number is near 0."""
    found = {path: list(relative_comparisons(path.read_text())) for path in ROOT.rglob("*.py")}
    assert [f"{path.relative_to(ROOT.parent)}:{line}" for path in sorted(found) for line in found[path]] == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("np.testing.assert_allclose(x, 0, rtol=1e-9)", [1]),
        ("close = np.testing.assert_allclose\nclose(x, 0)\nclose(x, 0, atol=1e-12)\nclose(x, 0, **both)", [2]),
        ("assert math.isclose(x, 0)\nassert isclose(x, 0, abs_tol=1e-12)\nassert np.isclose(x, 0)", [1]),
    ],
)
def test_a_relative_tolerance_alone_is_found(text: str, lines: list[int]) -> None:
    assert list(relative_comparisons(text)) == lines
