"""What training tells TensorBoard is what its tables say."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from experiments import Config
from experiments.analysis.estimates import iqm_interval, wilson_interval
from experiments.config.measures import TAGS
from experiments.figures.showing import Showing
from experiments.session import run as session
from experiments.storage.run_folder import RunFolder
from experiments.tensorboard import sink
from experiments.tensorboard.aggregates import POINTS, grid
from experiments.tensorboard.hparams_tab import hyperparameters
from experiments.tensorboard.images_tab import moments
from experiments.tensorboard.links import FEATURED_TAGS, groups, runs_in_order_of_colour
from experiments.tensorboard.sink import BoardSink
from experiments.training.loop import Training
from experiments.training.records import snapshot_updates
from tests.experiments import small_training
from tests.experiments.board_reading import Curve, histograms, images, points, scalars, texts
from tests.experiments.comparisons import BANDIT, BOTH_ARMS, MLP, TABLE, TWO_ROOMS, comparison
from tests.experiments.small_training import points as by_tag

SEEDS, UPDATES = [5, 3, 8, 11], 120  # more updates than points of a curve
ARMS = list(BOTH_ARMS)
STATES = 51 - 2  # of the two rooms, in which somebody acts: the goals end an episode


def train(config: Config, out: Path, **options: Any) -> Mapping[str, Any]:
    return session.run(config, session.Options(out, **options), lambda record: None, lambda line: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training. Its goals are easy, so that some runs have solved it."""
    out = tmp_path_factory.mktemp("board")
    world = TWO_ROOMS | {"max_episode_steps": 20, "solved_return": 0.15}
    train(comparison(world, seeds=SEEDS, updates=UPDATES), out)
    return out


def logs(folder: Path, run: str = "") -> Path:
    return folder / "tensorboard" / run


def table(folder: Path, name: str, arm: str, seed: int | None = None) -> dict[str, np.ndarray]:
    rows = pq.read_table(folder / name)
    rows = rows.filter(pc.equal(rows["arm"].cast("string"), arm))
    if seed is not None:
        rows = rows.filter(pc.equal(rows["seed"], seed))
    return {column: np.array(rows[column].to_pylist()) for column in rows.column_names}


def every_run() -> list[tuple[str, int]]:
    return [(arm, seed) for arm in ARMS for seed in SEEDS]


def assert_curve(curve: Curve, steps: np.ndarray, values: np.ndarray) -> None:
    np.testing.assert_array_equal(curve.steps, steps)
    np.testing.assert_array_equal(curve.values, values.astype(np.float32))


def test_runs_are_the_seeds_the_arms_and_the_root(folder: Path) -> None:
    found = {str(path.parent.relative_to(logs(folder))) for path in logs(folder).rglob("events*")}
    assert found == {".", *(f"aggregate/{arm}" for arm in ARMS), *(f"{arm}/seed_{k}" for arm, k in every_run())}


def begun(folder: Path, run: str) -> float:
    return next(iter(EventFileLoader(str(next(logs(folder, run).glob("events*")))).Load())).wall_time


def test_tensorboard_colours_the_arms_as_every_picture_does(tmp_path: Path) -> None:
    """It hands out its colours, orange and blue to begin with, in the order of the runs' first events."""
    turned = dict(reversed(BOTH_ARMS.items()))
    for out, arms in (("one", BOTH_ARMS), ("other", turned)):
        train(comparison(arms=arms), tmp_path / out)
        runs = [str(p.parent.relative_to(logs(tmp_path / out))) for p in logs(tmp_path / out).rglob("events*")]
        ordered = sorted(runs, key=lambda run: begun(tmp_path / out, run))
        assert ordered[:2] == ["aggregate/without_entropy", "aggregate/with_entropy"]
        shades = time_series_colours(ordered, groups("with_entropy"))
        assert (
            {run: shades[run] for run in ordered[2:]}
            == {  # the run "." has no curves
                run: "pink" if run == "." else "light blue" if run.startswith("with_") else "amber"
                for run in ordered[2:]
            }
        )
        assert shades["aggregate/with_entropy"] == "light blue"


TIME_SERIES = ("slate", "light blue", "pink", "amber", "purple", "light green", "orange")


def time_series_colours(ordered: Sequence[str], pattern: str) -> dict[str, str]:
    """As TensorBoard gives them: a colour for each text that is captured, in the order of the runs."""
    captured = {run: re.match(pattern, run)[1] for run in ordered}  # type: ignore[index]
    places = list(dict.fromkeys(captured.values()))
    return {run: TIME_SERIES[places.index(text) % len(TIME_SERIES)] for run, text in captured.items()}


@pytest.mark.parametrize("number", range(2, 6))
def test_no_two_of_several_arms_share_a_colour(number: int) -> None:
    arms = ["without", *(f"with_{k}" for k in range(1, number))]
    runs = [f"{arm}/seed_{seed}" for arm in sorted(arms) for seed in range(3)]
    ordered = runs_in_order_of_colour(arms, runs)
    assert sorted(ordered) == sorted([".", *runs, *(f"aggregate/{arm}" for arm in arms)])
    shades = time_series_colours(ordered, groups("with_1"))
    of_arm = {arm: {shades[run] for run in runs if run.startswith(f"{arm}/")} for arm in arms}
    assert all(len(of) == 1 for of in of_arm.values())
    assert of_arm["without"] == {"amber"}
    assert of_arm["with_1"] == {"light blue"}
    assert len(set.union(*of_arm.values())) == number
    assert ordered[:number] == [f"aggregate/{arm}" for arm in arms]  # Custom Scalars has seven colours, too


def test_maps_have_the_colour_of_their_arm(folder: Path) -> None:
    for arm, (channel, other) in {"without_entropy": (0, 2), "with_entropy": (2, 0)}.items():
        png = images(logs(folder, f"aggregate/{arm}"))["visit_map/mean"][UPDATES - 1]
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int)
        assert (pixels[..., channel] - pixels[..., other]).sum() > 0  # red outweighs blue in orange


def test_the_first_seeds_have_their_steps_in_a_tag_of_their_own(folder: Path) -> None:
    """TensorBoard loads a tag of all runs at once, hidden or not."""
    for arm, seed in every_run():
        found = scalars(logs(folder, f"{arm}/seed_{seed}"))
        if seed in SEEDS[:2]:
            assert_curve(found["featured/entropy_bits"], *found["step/entropy_bits"])
            for tag, column in FEATURED_TAGS.items():
                (of_all,) = [tag for tag, name in TAGS.items() if name == column]
                assert_curve(found[tag], *found[of_all])
        else:
            assert not any(tag.startswith("featured/") for tag in found)


@pytest.mark.parametrize("most", [5, 1])
def test_of_too_many_runs_the_first_seeds_of_each_arm_have_files_of_their_own(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "MAX_RUNS", most)
    _, told = small_training.train(tmp_path / "run", comparison(BANDIT, seeds=SEEDS, updates=4))
    shown = SEEDS[: max(1, most // 2)]
    (note,) = told
    assert f"{2 * len(shown)} of {2 * len(SEEDS)} runs, the first seeds of each arm;" in note
    for arm in ARMS:
        runs = sorted(path.name for path in logs(tmp_path / "run", arm).iterdir())
        assert runs == sorted(f"seed_{seed}" for seed in shown)
        losses = table(tmp_path / "run", "updates.parquet", arm)["loss"].reshape(4, len(SEEDS))
        found = scalars(logs(tmp_path / "run", f"aggregate/{arm}"))["loss/total"]
        assert_curve(found, np.arange(4), losses.mean(1))  # of all seeds


def test_where_every_run_has_a_file_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert small_training.train(tmp_path / "run", comparison(BANDIT, seeds=SEEDS, updates=4))[1] == []


def test_every_step_of_every_run(folder: Path) -> None:
    for arm, seed in every_run():
        rows = table(folder, "steps.parquet", arm, seed)
        curve = scalars(logs(folder, f"{arm}/seed_{seed}"))["step/entropy_bits"]
        assert_curve(curve, rows["env_step"], rows["entropy_nats"] / np.log(2))


def test_every_update_of_every_run(folder: Path) -> None:
    for arm, seed in every_run():
        rows, found = table(folder, "updates.parquet", arm, seed), scalars(logs(folder, f"{arm}/seed_{seed}"))
        for tag, column in TAGS.items():
            assert_curve(found[tag], rows["update"], rows[column])
        for action in range(4):
            start = rows["start_policy"][:, action]
            assert_curve(found[f"policy/start_probability_{action}"], rows["update"], start)


def test_bands_are_those_of_the_seeds_on_one_grid(folder: Path) -> None:
    on_grid = sorted(grid(UPDATES))
    for arm in ARMS:
        found, rows = scalars(logs(folder, f"aggregate/{arm}")), table(folder, "updates.parquet", arm)
        for column in ("entropy_bits", "return_mean", "state_coverage"):
            values = np.array([rows[column][rows["update"] == update] for update in on_grid], float)
            middle = stats.trim_mean(values, 0.25, axis=1)
            assert_curve(found[f"band/{column}/iqm"], np.array(on_grid), middle)
            band = iqm_interval(values.T)
            assert_curve(found[f"band/{column}/low"], np.array(on_grid), band.low)
            assert_curve(found[f"band/{column}/high"], np.array(on_grid), band.high)
        solved = np.array([rows["solved"][rows["update"] == update].sum() for update in on_grid])
        band = wilson_interval(solved, len(SEEDS))
        assert solved[-1] > 0  # else the fraction could be anything
        assert_curve(found["band/solved/fraction"], np.array(on_grid), solved / len(SEEDS))
        assert_curve(found["band/solved/low"], np.array(on_grid), band.low)
        assert_curve(found["band/solved/high"], np.array(on_grid), band.high)


def test_loss_terms_of_an_arm_add_up(folder: Path) -> None:
    found = scalars(logs(folder, "aggregate/with_entropy"))
    coefficient = found["loss/entropy_coef"].values
    np.testing.assert_array_equal(coefficient, np.float32(BOTH_ARMS["with_entropy"]["entropy_coef"]))
    sums = found["loss/policy"].values + coefficient * found["loss/negative_entropy"].values
    np.testing.assert_allclose(found["loss/total"].values, sums, rtol=1e-5, atol=1e-5)
    rows = table(folder, "updates.parquet", "with_entropy")
    last = rows["negative_entropy"][rows["update"] == UPDATES - 1].mean()
    assert found["loss/negative_entropy"].values[-1] == pytest.approx(last, rel=1e-6)


@given(st.integers(1, 10_000))
@settings(deadline=None, max_examples=50)
def test_grid_and_moments_have_the_first_update_and_the_last(updates: int) -> None:
    assert {0, updates - 1} <= grid(updates) <= set(range(updates))
    assert len(grid(updates)) == min(updates, POINTS)
    assert {0, updates - 1} <= moments(updates) <= set(snapshot_updates(updates))


def test_pictures_of_each_arm_at_moments_of_training(folder: Path) -> None:
    for arm in ARMS:
        found = images(logs(folder, f"aggregate/{arm}"))
        assert set(found) == {f"{kind}_map/{of}" for kind in ("policy", "visit") for of in ("mean", "seed_5")}
        for pictures in found.values():
            assert sorted(pictures) == sorted(moments(UPDATES))
            assert {Image.open(io.BytesIO(png)).format for png in pictures.values()} == {"PNG"}
            assert pictures[0] != pictures[UPDATES - 1]
        assert found["policy_map/mean"][UPDATES - 1] != found["policy_map/seed_5"][UPDATES - 1]


def test_histograms_count_every_action_of_every_state_of_every_seed(folder: Path) -> None:
    for arm in ARMS:
        found, rows = histograms(logs(folder, f"aggregate/{arm}")), table(folder, "updates.parquet", arm)
        assert sorted(found["policy/action_probabilities"]) == sorted(moments(UPDATES))
        for bins in found["policy/action_probabilities"].values():
            assert (bins[0, 0], bins[-1, 1], bins[:, 2].sum()) == (0, 1, len(SEEDS) * STATES * 4)
        for update, bins in found["policy/start_probabilities"].items():
            start = np.concatenate(rows["start_policy"][rows["update"] == update])
            np.testing.assert_array_equal(bins[:, 2], np.histogram(start, len(bins), (0, 1))[0])


def test_each_run_ends_with_what_it_came_to(folder: Path) -> None:
    for arm, seed in every_run():
        (row,) = zip(*table(folder, "runs.parquet", arm, seed).values(), strict=True)
        of = dict(zip(table(folder, "runs.parquet", arm, seed), row, strict=True))
        finals = {t: c for t, c in scalars(logs(folder, f"{arm}/seed_{seed}")).items() if t.startswith("final/")}
        first = of["first_success_env_step"]
        assert {tag: (curve.steps.tolist(), curve.values.tolist()) for tag, curve in finals.items()} == {
            f"final/{name}": ([UPDATES], [np.float32(value)])
            for name, value in {
                "return": of["final_return"],
                "succeeds": of["succeeds"],
                "solved": of["solved"],
                "entropy_bits": of["final_entropy_bits"],
                "state_coverage": of["state_coverage"],
                "first_success_env_step": UPDATES * 4 * 20 if first is None else first,
            }.items()
        }


def test_a_run_that_never_succeeds_counts_with_the_budget(tmp_path: Path) -> None:
    train(comparison(TWO_ROOMS | {"max_episode_steps": 5}), tmp_path)  # the far goal is further away
    rows = table(tmp_path, "runs.parquet", "with_entropy", 0)
    assert rows["first_success_env_step"].tolist() == [None]
    assert rows["env_steps"] < 4 * 4 * 5  # some episodes ended at the near goal
    found = scalars(logs(tmp_path, "with_entropy/seed_0"))
    assert found["final/first_success_env_step"].values.tolist() == [4 * 4 * 5]


def test_guide_says_question_verdict_and_config(folder: Path) -> None:
    found = texts(logs(folder))
    assert list(found) == ["guide/1_question", "guide/3_how_to_read", "guide/4_config", "guide/2_verdict"]
    assert "a comparison that takes no time" in found["guide/1_question"]
    assert "entropy_coef = 0.1" in found["guide/1_question"]
    assert (folder / "config.toml").read_text() in found["guide/4_config"]
    assert "| final return |" in found["guide/2_verdict"].replace("solved greedily", "")


@pytest.mark.parametrize("every", [3, 0])
def test_each_kth_step_or_none(every: int, tmp_path: Path) -> None:
    train(comparison(), tmp_path, log_steps=every)
    found = scalars(logs(tmp_path, "with_entropy/seed_1"))
    rows = table(tmp_path, "steps.parquet", "with_entropy", 1)
    if every:
        assert set(rows["t"] % every) == {0}
        assert_curve(found["step/entropy_bits"], rows["env_step"], rows["entropy_nats"] / np.log(2))
    else:
        assert "step/entropy_bits" not in found
    assert len(found["policy/entropy_bits"].steps) == 4


def test_exact_runs_have_neither_steps_nor_coverage_nor_intervals(tmp_path: Path) -> None:
    train(comparison(BANDIT, TABLE | {"gradient": "exact"}, episodes=1), tmp_path)
    found = scalars(logs(tmp_path, "with_entropy/seed_0"))
    assert "step/entropy_bits" not in found
    assert "explore/state_coverage" not in found
    arm = scalars(logs(tmp_path, "aggregate/with_entropy"))
    assert "band/state_coverage/iqm" not in arm
    for ends in (("band/solved/low", "band/solved/high"), ("band/entropy_bits/low", "band/entropy_bits/high")):
        assert arm[ends[0]].values.tolist() == arm[ends[1]].values.tolist()
    assert not images(logs(tmp_path, "aggregate/with_entropy"))  # a bandit is no grid
    bins = histograms(logs(tmp_path, "aggregate/with_entropy"))["policy/action_probabilities"][0]
    assert bins[:, 2].sum() == 3 * 4


def test_exact_runs_that_differ_keep_their_interval(tmp_path: Path) -> None:
    config = comparison(agent=MLP | {"gradient": "exact", "initialization": "torch"})
    train(config, tmp_path)
    arm = scalars(logs(tmp_path, "aggregate/with_entropy"))
    assert (arm["band/solved/low"].values < arm["band/solved/high"].values).all()


def test_a_simulator_has_no_coverage_and_no_pictures(tmp_path: Path) -> None:
    pole = {"id": "CartPole-v1", "max_episode_steps": 10, "solved_return": 8.0}
    train(comparison(pole, MLP, updates=3), tmp_path)
    found = scalars(logs(tmp_path, "with_entropy/seed_0"))
    assert not {"explore/state_coverage", "policy/cross_entropy_to_optimal"} & set(found)
    assert len(found["step/entropy_bits"].steps) == len(
        table(tmp_path, "steps.parquet", "with_entropy", 0)["env_step"]
    )
    aggregate = logs(tmp_path, "aggregate/with_entropy")
    assert not images(aggregate)
    assert list(histograms(aggregate)) == ["policy/start_probabilities"]


def test_without_a_goal_nothing_says_solved(tmp_path: Path) -> None:
    train(comparison({key: value for key, value in TWO_ROOMS.items() if key != "solved_return"}), tmp_path)
    for run in ("aggregate/with_entropy", "with_entropy/seed_0"):
        tags = scalars(logs(tmp_path, run))
        assert tags
        assert not [tag for tag in tags if "solved" in tag or "succe" in tag]


def test_a_failed_run_stops_and_counts_as_not_solved(tmp_path: Path) -> None:
    world = BANDIT | {
        "kwargs": {"rewards": [0.0, 0.0, 0.0, 1e300]},
        "solved_return": 0.0,
    }  # until frozen, all have
    arms = {"wild": {"learning_rate": 1e300}, "tame": {}}  # the first reward is beyond all numbers
    train(comparison(world, TABLE, arms, seeds=6, updates=5, episodes=1), tmp_path)
    failed = table(tmp_path, "runs.parquet", "wild")["failed_update"]
    assert 0 < sum(update is not None for update in failed) < len(failed)
    for seed, update in enumerate(failed):
        found = scalars(logs(tmp_path, f"wild/seed_{seed}"))
        assert found["policy/entropy_bits"].steps[-1] == (4 if update is None else update)
        assert ("final/return" in found) == (update is None)
        for reading in ("final/succeeds", "final/solved"):
            assert found[reading].values.tolist() == [float(update is None)]
    arm = scalars(logs(tmp_path, "aggregate/wild"))
    going = [sum(update is None or update >= step for update in failed) for step in range(5)]
    assert_curve(arm["band/solved/fraction"], np.arange(5), np.array(going) / 6)
    assert len(scalars(logs(tmp_path, "tame/seed_0"))["policy/entropy_bits"].steps) == 5


def test_hyperparameters_are_what_differs_and_of_one_type() -> None:
    linear = {"schedule": "linear", "start": 0.1, "end": 0.0, "fraction": 0.8}
    arms = {"number": {"entropy_coef": 0.1}, "schedule": {"entropy_coef": linear, "hidden_sizes": [8]}}
    assert hyperparameters(comparison(arms=arms)) == {
        "number": {"entropy_coef": "0.1", "hidden_sizes": "[16, 16]"},
        "schedule": {"entropy_coef": "linear(0.1, 0, 0.8)", "hidden_sizes": "[8]"},
    }
    assert hyperparameters(comparison(arms={"only": {}})) == {"only": {"entropy_coef": 0.0}}


def test_one_point_a_step_and_none_goes_back(folder: Path) -> None:
    for run in (*(f"{arm}/seed_{k}" for arm, k in every_run()), *(f"aggregate/{arm}" for arm in ARMS), ""):
        last: dict[str, int] = {}
        for step, value in points(logs(folder, run)):
            assert step > last.get(value.tag, -1)
            last[value.tag] = step


@pytest.mark.parametrize("every", [1, 2])
def test_points_do_not_depend_on_when_they_are_written(every: int, tmp_path: Path) -> None:
    """Also those of a run that fails: in its last update some numbers are finite and others are not."""
    world = BANDIT | {"kwargs": {"rewards": [0.0, 0.0, 0.0, 1e300]}}
    config = comparison(world, TABLE, {"wild": {"learning_rate": 1e300}}, seeds=4, updates=8, episodes=1)

    def written(folder: Path, every: int) -> dict[str, Any]:
        folder.mkdir()
        training = Training(config)
        sink = BoardSink(RunFolder(folder), training, 1, Showing())
        for update in range(8):
            sink.write(training.advance(1))
            if (update + 1) % every == 0:
                sink.flush()
        sink.flush()
        assert 0 < training.final()["failed_update"].max() < 7
        files = (folder / "tensorboard").rglob("events*")
        return {str(path.relative_to(folder)): by_tag(path) for path in files}

    at_the_end, in_between = written(tmp_path / "once", 100), written(tmp_path / "often", every)
    assert in_between == at_the_end
    assert "loss/total" in at_the_end["tensorboard/wild/seed_0/events.out.tfevents.0000000000"]
