"""Watching a stored policy: it is the trained one, it acts by its probabilities, and mistakes take one line."""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from PIL import Image

from experiments.config.schema import Config
from experiments.play import Move, episode, main
from experiments.session import run as session
from experiments.storage.policies import load_policy
from experiments.storage.run_folder import RunFolder
from tests.experiments.comparisons import BANDIT, MLP, SLIPPERY_LAKE, SURE_POLICY, TABLE, TWO_ROOMS, comparison

os.environ["SDL_VIDEODRIVER"] = "dummy"  # no window opens in a test: SDL draws into memory

ROOT = Path(__file__).parents[2]
CARTPOLE = {"id": "CartPole-v1", "max_episode_steps": 30, "normalize_observations": True}


def trained(config: Config, folder: Path) -> Path:
    session.run(config, session.Options(folder), lambda record: None, lambda line: None)
    return folder


@pytest.fixture(scope="module")
def two_rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(
        comparison(TWO_ROOMS, MLP, seeds=[3, 4, 9], updates=30), tmp_path_factory.mktemp("runs") / "two_rooms"
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(comparison(SLIPPERY_LAKE, TABLE), tmp_path_factory.mktemp("runs") / "lake")


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(comparison(CARTPOLE, MLP, seeds=2), tmp_path_factory.mktemp("runs") / "cartpole")


@pytest.fixture
def damaged(two_rooms: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    shutil.copytree(two_rooms, tmp_path / "copy")
    return tmp_path / "copy"


def summed_anew(folder: Path) -> None:
    """The folder again as if a training had ended with what is in it now."""
    RunFolder(folder).write_summary(json.loads((folder / "summary.json").read_text()))


class TestTheStoredPolicyIsTheTrainedOne:
    @pytest.mark.parametrize("world", ["two_rooms", "lake"])
    def test_at_the_start_it_is_what_the_table_of_runs_says(
        self, world: str, request: pytest.FixtureRequest
    ) -> None:
        folder: Path = request.getfixturevalue(world)
        start = {"two_rooms": 21, "lake": 0}[world]
        for run in RunFolder(folder).read_table("runs.parquet").to_pylist():
            policy = load_policy(folder, run["arm"], run["seed"])
            np.testing.assert_allclose(policy.probabilities(np.int64(start)), run["start_policy"], atol=1e-6)

    def test_in_a_simulator_it_sees_observations_normalised_as_in_training(self, cartpole: Path) -> None:
        """Against the network written out by hand."""
        stored = safetensors.numpy.load((cartpole / "policies" / "with_entropy.safetensors").read_bytes())
        layers = {name.removeprefix("seed_1/"): a for name, a in stored.items() if name.startswith("seed_1/")}
        observation = np.array([0.02, -0.7, 3.0, 1e6], np.float32)
        row = np.clip((observation - layers["observation_mean"]) / layers["observation_deviation"], -10, 10)
        for layer in range(3):
            row = np.tanh(row) if layer else row
            row = row @ layers[f"weight_{layer}"] + layers[f"bias_{layer}"]
        expected = np.exp(row) / np.exp(row).sum()
        found = load_policy(cartpole, "with_entropy", 1).probabilities(observation)
        np.testing.assert_allclose(found, expected, atol=1e-6)


class TestAnEpisode:
    def test_actions_are_drawn_by_their_probabilities(self, tmp_path: Path) -> None:
        agent = {**TABLE, "initial_policy": SURE_POLICY, "learning_rate": 1e-9}
        arms: Mapping[str, Mapping[str, Any]] = {"only": {}}
        folder = trained(comparison(BANDIT, agent, arms, seeds=1, updates=1), tmp_path / "bandit")
        policy = load_policy(folder, None, None)
        number = 1000
        actions = [list(episode(policy, None, seed, greedy=False))[1].action for seed in range(number)]
        expected = number * np.array(SURE_POLICY)
        found = np.bincount(np.array(actions, dtype=np.int64), minlength=4)
        chi_squared = ((found - expected) ** 2 / expected).sum()
        assert chi_squared < 16.27  # 99.9 %, 3 degrees of freedom

    def test_greedily_the_most_probable_action_is_taken(self, two_rooms: Path) -> None:
        policy = load_policy(two_rooms, "with_entropy", 3)
        moves = list(episode(policy, None, 0, greedy=True))
        state = np.int64(21)
        for move in moves[1:]:
            probabilities = policy.probabilities(state)
            assert move.action == probabilities.argmax()
            assert move.probability == probabilities.max()
            assert move.entropy_bits == pytest.approx(-(probabilities * np.log2(probabilities)).sum())
            assert policy.world.mdp is not None
            state = policy.world.mdp.next_state[state, move.action, 0]

    def test_it_is_a_function_of_its_seed(self, lake: Path) -> None:
        policy = load_policy(lake, "with_entropy", 0)

        def played(seed: int) -> list[Move]:
            return list(episode(policy, "ansi", seed, greedy=False))

        assert played(5) == played(5)
        assert len({str(played(seed)) for seed in range(5)}) > 1

    def test_rewards_add_up_and_the_limit_is_told_from_the_end(self, tmp_path: Path) -> None:
        grid = {"id": "FourAction/Grid-v0", "max_episode_steps": 12, "solved_return": 1.0}
        folder = trained(comparison(grid, TABLE, seeds=1, updates=1), tmp_path / "grid")
        policy = load_policy(folder, "without_entropy", 0)
        endings = set()
        for seed in range(100):
            _, *moves = episode(policy, None, seed, greedy=False)
            assert moves[-1].total == pytest.approx(sum(move.reward for move in moves))
            assert [move.ending for move in moves[:-1]] == [""] * (len(moves) - 1)
            assert (moves[-1].ending == "ended") == (moves[-1].reward > 0)  # only the goal ends it, and it pays
            assert moves[-1].ending == "ended" or len(moves) == 12
            endings.add(moves[-1].ending)
        assert endings == {"ended", "cut off by the time limit"}


class TestTheTerminal:
    def test_shows_the_map_and_every_step_in_numbers(
        self, two_rooms: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([str(two_rooms), "--arm", "with_entropy", "--seed", "9", "--episode-seed", "2"]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith("with_entropy, FourAction/TwoRooms-v0, episode seed 2\n")
        steps = re.findall(
            r"^step (\d+): action [0-3], probability 0\.\d{3}, entropy [0-2]\.\d{3} bits, reward ([\d.]+)$",
            shown,
            re.MULTILINE,
        )
        assert [int(number) for number, _ in steps] == list(range(1, len(steps) + 1))
        assert shown.count("@") == len(steps) + 1  # the map before the first step, and after each
        total = sum(float(reward) for _, reward in steps)
        assert re.search(
            rf"^(ended|cut off by the time limit) after {len(steps)} steps, return {total:g}$", shown, 8
        )

    def test_a_world_that_draws_no_text_shows_its_numbers(
        self, cartpole: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([str(cartpole), "--arm", "with_entropy", "--seed", "0"]) == 0
        assert re.match(
            r"with_entropy, CartPole-v1, episode seed 0\nstep 1: action [01], ", capsys.readouterr().out
        )


class TestPictures:
    def test_two_episodes_side_by_side(self, two_rooms: Path, tmp_path: Path) -> None:
        file, arms = tmp_path / "two.gif", ["without_entropy", "with_entropy"]
        policies = [load_policy(two_rooms, arm, 3) for arm in arms]

        def lengths_of(seed: int) -> list[int]:
            return [len(list(episode(policy, None, seed, greedy=False))) for policy in policies]

        episode_seed = next(seed for seed in range(20) if len(set(lengths_of(seed))) == 2)
        lengths = lengths_of(episode_seed)
        arguments = [str(two_rooms), "--arm", *arms, "--seed", "3", "--episode-seed", str(episode_seed)]
        assert main([*arguments, "--gif", str(file)]) == 0
        with Image.open(file) as image:
            assert (image.format, image.info["loop"]) == ("GIF", 0)
            width = image.width
            assert width == 2 * 360 + 3 * 12
            frames = []
            for frame in range(image.n_frames):  # type: ignore[attr-defined]
                image.seek(frame)
                frames.append((np.asarray(image.convert("RGB")), image.info["duration"]))
        assert sum(duration for _, duration in frames) == 250 * (max(lengths) - 1) + 2000
        short, long = np.argsort(lengths)
        half = [slice(0, width // 2), slice(width // 2, width)]
        after = frames[lengths[short] :]
        last = frames[lengths[short] - 1][0]
        assert all((pixels[:, half[short]] == last[:, half[short]]).all() for pixels, _ in after)
        assert all((pixels[:, half[long]] != last[:, half[long]]).any() for pixels, _ in after)

    def test_a_simulator_that_draws_faster_than_needed_leaves_pictures_out(
        self, cartpole: Path, tmp_path: Path
    ) -> None:
        """CartPole draws 50 pictures a second; every second one (25) is what 20 rounds to."""
        file = tmp_path / "pole.gif"
        assert main([str(cartpole), "--arm", "with_entropy", "--seed", "0", "--gif", str(file)]) == 0
        moves = len(list(episode(load_policy(cartpole, "with_entropy", 0), None, 0, greedy=False)))
        with Image.open(file) as image:
            assert image.n_frames == len(range(0, moves - 1, 2)) + 1  # type: ignore[attr-defined]
            assert image.info["duration"] == 40

    def test_without_an_arm_every_arm_plays_an_episode(
        self, two_rooms: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([str(two_rooms), "--seed", "3"]) == 0
        everybody = capsys.readouterr().out
        assert main([str(two_rooms), "--arm", "without_entropy", "with_entropy", "--seed", "3"]) == 0
        assert everybody == capsys.readouterr().out

    def test_in_a_terminal_the_arms_play_side_by_side_and_in_place(
        self, two_rooms: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "120")
        assert main([str(two_rooms), "--seed", "3"]) == 0
        plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", capsys.readouterr().out)
        beside = re.findall(r"without_entropy\s+with_entropy", plain)
        (longest,) = [max(int(steps) for steps in re.findall(r"after (\d+) steps", plain))]
        assert len(beside) >= longest + 1  # a picture per step, and one of the start
        assert re.search(
            r"^without_entropy: (ended|cut off).*\nwith_entropy: (ended|cut off)", plain, re.MULTILINE
        )

    def test_a_window(self, lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([str(lake), "--arm", "without_entropy", "--seed", "0", "--window"]) == 0
        assert "step 1: " in capsys.readouterr().out

    def test_the_picture_of_the_readme_is_small(self) -> None:
        file = ROOT / "docs" / "two_rooms.gif"
        assert file.stat().st_size < 300_000
        with Image.open(file) as image:
            assert image.n_frames > 2  # type: ignore[attr-defined]


class TestMistakesTakeOneLine:
    def refused(self, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
        """What is said; the exit status is 2 and nothing else is shown."""
        assert main([str(argument) for argument in arguments]) == 2
        shown = capsys.readouterr()
        assert shown.err.count("\n") == 1
        return shown.err

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--arm", "with_entrpy", "--seed", "3"], "unknown arm 'with_entrpy'; did you mean 'with_entropy'?"),
            (["--arm", "with_entropy", "--seed", "5"], "unknown seed 5; valid are 3 to 4, 9"),
            (["--arm", "with_entropy"], "--seed: which one? valid are 3 to 4, 9"),
        ],
    )
    def test_a_run_that_does_not_exist(
        self, two_rooms: Path, arguments: Sequence[str], says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.refused(capsys, two_rooms, *arguments) == f"experiments.play: {says}\n"

    def test_no_run_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for folder in (tmp_path, tmp_path / "nowhere"):
            said = self.refused(capsys, folder, "--arm", "with_entropy", "--seed", "3")
            assert f"{folder}: not a run folder" in said

    def test_an_unfinished_training(self, damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (damaged / "summary.json").unlink()
        said = self.refused(capsys, damaged, "--arm", "with_entropy", "--seed", "3")
        assert "not finished; go on with python train.py --resume" in said

    def test_another_network_than_the_config_says(self, damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
        config = (damaged / "config.toml").read_text()
        assert "    16,\n    16,\n" in config
        (damaged / "config.toml").write_text(config.replace("    16,\n    16,\n", "    16,\n    20,\n"))
        summed_anew(damaged)
        said = self.refused(capsys, damaged, "--arm", "with_entropy", "--seed", "3")
        assert re.search(
            r"with_entropy\.safetensors: seed_3/\w+ should have the shape \(.*20.*\), has \(.*\)", said
        )
        (damaged / "config.toml").write_text(config.replace("    16,\n    16,\n", "    16,\n"))
        summed_anew(damaged)
        said = self.refused(capsys, damaged, "--arm", "with_entropy", "--seed", "3")
        assert "should have bias_0, bias_1, weight_0, weight_1, has bias_0, bias_1, bias_2," in said

    def test_a_file_that_is_not_what_training_wrote(
        self, damaged: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = damaged / "policies" / "with_entropy.safetensors"
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        said = self.refused(capsys, damaged, "--arm", "with_entropy", "--seed", "3")
        assert f"{file}: damaged" in said
        file.unlink()
        said = self.refused(capsys, damaged, "--arm", "with_entropy", "--seed", "3")
        assert f"{file}: No such file or directory" in said

    @pytest.mark.parametrize(
        ("harm", "says"),
        [
            ("no safetensors", "cannot be read"),
            ("no numbers", "seed_3/bias_0 should hold finite numbers"),
            (
                "another seed",
                "seed_3 should have bias_0, bias_1, bias_2, weight_0, weight_1, weight_2, has nothing",
            ),
        ],
    )
    def test_a_stranger_s_file(
        self, damaged: Path, harm: str, says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Its sum is right, its content is not."""
        file = damaged / "policies" / "with_entropy.safetensors"
        tensors = safetensors.numpy.load(file.read_bytes())
        tensors["seed_3/bias_0"] = np.full_like(tensors["seed_3/bias_0"], np.nan)
        others = {name: array for name, array in tensors.items() if not name.startswith("seed_3/")}
        content = {
            "no safetensors": b"\x80\x04N.",  # a pickle of None
            "no numbers": safetensors.numpy.save(tensors),
            "another seed": safetensors.numpy.save(others),
        }[harm]
        file.write_bytes(content)
        summed_anew(damaged)
        assert says in self.refused(capsys, damaged, "--arm", "with_entropy", "--seed", "3")

    def test_a_failed_run_has_no_policy(self, damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
        runs = pq.read_table(damaged / "runs.parquet")
        failed = pa.array([True] * len(runs))
        pq.write_table(
            runs.set_column(runs.schema.get_field_index("failed"), "failed", failed), damaged / "runs.parquet"
        )
        summed_anew(damaged)
        said = self.refused(capsys, damaged, "--arm", "with_entropy", "--seed", "3")
        assert "arm with_entropy, seed 3 failed and has no policy" in said

    def test_a_file_that_cannot_be_written(
        self, two_rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "nowhere" / "episode.gif"
        said = self.refused(capsys, two_rooms, "--arm", "with_entropy", "--seed", "3", "--gif", file)
        assert said == f"experiments.play: {file}: No such file or directory\n"

    def test_a_world_without_pictures(
        self, damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("envs.tabular.TabularEnv.metadata", {"render_modes": ["ansi"], "render_fps": 4})
        file = tmp_path / "episode.gif"
        said = self.refused(capsys, damaged, "--arm", "with_entropy", "--seed", "3", "--gif", file)
        assert "has no render mode 'rgb_array'; it has ansi" in said
        assert not file.exists()

    def test_a_world_that_fails(
        self, cartpole: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = type(gymnasium.make("CartPole-v1").unwrapped)
        step, left = world.step, 0

        def fails(env: Any, action: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise RuntimeError("the pole\nbroke")
            return step(env, action)

        monkeypatch.setattr(world, "step", fails)
        said = self.refused(capsys, cartpole, "--arm", "with_entropy", "--seed", "0")
        first = "environment: CartPole-v1 fails in its first step"
        assert said == f"experiments.play: {first}: RuntimeError: the pole broke\n"
        left = 2  # one to look at it, one of the episode
        said = self.refused(capsys, cartpole, "--arm", "with_entropy", "--seed", "0")
        assert said == "experiments.play: CartPole-v1: RuntimeError: the pole broke\n"

    @pytest.mark.parametrize("wrong", ["-1", "1.5", "first"])
    def test_an_episode_seed_is_a_whole_number(
        self, wrong: str, two_rooms: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit, match="2"):
            main([str(two_rooms), "--episode-seed", wrong])
        assert f"needs a whole number, 0 or more, not '{wrong}'" in capsys.readouterr().err
