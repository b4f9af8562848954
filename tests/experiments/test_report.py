"""The report of a training: its numbers are the summary's, and nothing gets into it that was not asked for."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from experiments.figures.pictures import DRAWINGS, Drawing
from experiments.figures.style import style
from experiments.pages.training_page import write_report
from experiments.report import main
from experiments.storage.results import read_results
from experiments.storage.run_folder import RunFolder
from tests.experiments.report_folder import EVIL, Page, trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    found = trained(tmp_path_factory.mktemp("report") / "run")
    write_report(found.path)
    return found


@pytest.fixture(scope="module")
def text(folder: RunFolder) -> str:
    return (folder.path / "report.html").read_text(encoding="utf-8")


def numbers_in(value: Any) -> Iterator[float | None]:
    """Every number (or missing one) in a summary, however deep."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers_in(inner)
    elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield value


def test_every_number_of_the_page_is_one_of_the_summary(folder: RunFolder, text: str) -> None:
    known = {json.dumps(number) for number in numbers_in(folder.read_summary())}
    shown = Page(text).numbers
    assert len(shown) > 100
    assert {value for value, _ in shown} <= known


def test_what_is_shown_is_the_number_rounded(text: str) -> None:
    for value, shown in Page(text).numbers:
        number = json.loads(value)
        if number is None:
            assert shown in ("never", "unbounded")
        else:
            written = float(shown.replace(",", ""))
            assert written == pytest.approx(number, abs=0.0051, rel=0.06)
            assert (abs(written) < 1e-12) == (abs(number) < 1e-12)  # nothing that is there is shown as nothing


def test_every_estimate_and_every_verdict_is_on_the_page(folder: RunFolder, text: str) -> None:
    shown = Counter(value for value, _ in Page(text).numbers)
    summary = folder.read_summary()
    for arm in summary["arms"].values():
        for name in ("solved", "final_return", "final_entropy_bits", "state_coverage", "regret"):
            entry = arm["measures"][name]
            assert all(shown[json.dumps(entry[end])] for end in ("estimate", "low", "high"))
    for claim in summary["claims"]:
        assert shown[json.dumps(claim["effect"])]
        assert shown[json.dumps(claim["p_adjusted"])]
    (entropy,) = [claim for claim in summary["claims"] if claim["measure"] == "final_entropy_bits"]
    assert len(entropy["improvement"]) == 3
    assert all(shown[json.dumps(end)] for end in entropy["improvement"])


def test_names_and_statements_are_text_and_never_markup(text: str) -> None:
    parsed = Page(text)
    assert parsed.tags.count("script") == 1  # its own
    assert EVIL not in text
    assert "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;" in text
    assert not [a for a in parsed.attributes if any(name.startswith("on") for name in a)]


def test_the_page_needs_no_network_and_runs_its_own_script_only(text: str) -> None:
    parsed = Page(text)
    (policy,) = [m["content"] for m in parsed.named("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert all(str(image["src"]).startswith("data:") for image in parsed.named("img"))
    assert all(str(image["href"]).startswith("data:image/webp;") for image in parsed.named("image"))
    assert not {"link", "iframe", "object", "form"} & set(parsed.tags)
    assert not [a for a in parsed.attributes if "style" in a]  # the policy would not let it through


def test_every_picture_is_said_in_words(folder: RunFolder, text: str) -> None:
    images, maps = Page(text).named("img"), Page(text).named("svg")
    assert len(images) > 4
    assert len(maps) == 8  # policy and visits of two arms, of all runs and of one
    assert all(len(str(image["alt"])) > 20 for image in images)
    for found in maps:
        words = json.loads(str(found["data-words"]))
        assert found["aria-label"] == words[-1]
        assert len(words) == 21
        assert min(map(len, words)) > 20
    entropy = [str(image["alt"]) for image in images if "entropy along the path" in str(image["alt"])]
    assert "without_entropy from 2.00 to" in entropy[0]  # a table begins uniform: log2 4 bits


def test_figures_are_files_too(folder: RunFolder) -> None:
    names = {path.stem for path in (folder.path / "figures").glob("*.svg")}
    assert {"entropy_bits", "solved", "state_coverage", "final_return", "return_profile"} <= names
    for path in (folder.path / "figures").glob("*.svg"):
        assert ElementTree.fromstring(path.read_text(encoding="utf-8")).tag.endswith("svg")


def test_drawing_again_gives_the_same_page(folder: RunFolder, text: str) -> None:
    assert main([str(folder.path)]) == 0
    assert (folder.path / "report.html").read_text(encoding="utf-8") == text


def test_a_folder_without_results_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nothing")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "there is no finished training" in error


def test_a_damaged_table_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = trained(tmp_path / "run", claims=[])
    place = damaged.path / "runs.parquet"
    place.write_bytes(place.read_bytes()[:-1])
    assert main([str(damaged.path)]) == 2
    assert "runs.parquet: damaged" in capsys.readouterr().err
    assert not (damaged.path / "report.html").exists()


# Changes of the small comparison, and some of the pictures that they have.
KINDS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "bandit": (
        {"environment": {"id": "FourAction/Bandit-v0", "max_episode_steps": 1}},
        {"entropy_bits", "final_return", "optimal_action_probability"},
    ),
    "exact": ({"agent": {"policy": "tabular", "gradient": "exact"}}, {"entropy_bits", "solved"}),
    "doses": (
        {
            "arms": {f"entropy_{i}": {"entropy_coef": 0.01 * i} for i in range(7)},
            "claims": [
                {
                    "statement": "s",
                    "measure": "solved",
                    "expect": "inverted_u(entropy_0, entropy_3, entropy_6)",
                }
            ],
        },
        {"dose_succeeds", "dose_solved", "dose_final_return", "dose_final_entropy_bits", "dose_state_coverage"},
    ),
    "many arms": (
        {"arms": {f"arm_{i}": {"entropy_coef": 0.0, "learning_rate": 0.01 + i / 100} for i in range(7)}},
        {"succeeds_by_arm"},
    ),
    "simulator": (
        {
            "environment": {"id": "CartPole-v1", "max_episode_steps": 20, "solved_return": 15.0},
            "agent": {"policy": "mlp", "hidden_sizes": [8]},
        },
        {"entropy_bits", "solved", "final_return", "first_success"},
    ),
    "family": (
        {
            "environment": {
                "id": "FourAction/Maze-v0",
                "worlds": {"first": 40, "count": 2},
                "max_episode_steps": 20,
                "solved_return": 0.1,
            }
        },
        {"by_world"},
    ),
}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """A training of each kind, with its report."""
    found: dict[str, RunFolder] = {}
    for kind, (changes, _) in KINDS.items():
        short = {"seeds": 3, "updates": 4, "episodes_per_update": 2}
        found[kind] = trained(
            tmp_path_factory.mktemp("kind") / "run", **{"claims": [], "training": short} | changes
        )
        write_report(found[kind].path)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_worlds_and_arms_of_every_kind_have_their_pictures(kind: str, kinds: dict[str, RunFolder]) -> None:
    assert KINDS[kind][1] <= {path.stem for path in (kinds[kind].path / "figures").glob("*.svg")}


@pytest.mark.parametrize("draw", DRAWINGS, ids=lambda draw: draw.__name__)
def test_the_folder_knows_every_picture_as_its_own(draw: Drawing, kinds: dict[str, RunFolder]) -> None:
    """So that --overwrite takes them all away: none stays that is of another training."""
    with style():
        names = {picture.name for folder in kinds.values() for picture in draw(read_results(folder.path))}
    assert names  # some kind has it
    assert [name for name in names if not RunFolder(Path()).is_own(f"figures/{name}.svg")] == []


@pytest.mark.parametrize(("world", "arrows"), [("TwoRooms", True), ("DeepSea", False)])
def test_the_legend_promises_arrows_only_where_actions_have_a_direction(
    tmp_path: Path, world: str, arrows: bool
) -> None:
    environment = {"id": f"FourAction/{world}-v0", "max_episode_steps": 20}
    training = {"seeds": 2, "updates": 2, "episodes_per_update": 2}
    place = write_report(trained(tmp_path / "run", environment=environment, training=training, claims=[]).path)
    assert ("an arrow per action" in place.read_text(encoding="utf-8")) == arrows
    assert ("no arrows" in place.read_text(encoding="utf-8")) != arrows
