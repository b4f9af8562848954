"""Other people's worlds: they are trained on as they declare themselves, and no run depends on its neighbours."""

import inspect
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import gymnasium
import numpy as np
import pytest
import tomli_w
import torch
from gymnasium.spaces import Box, Dict, Discrete

import train as script
from envs import planning
from envs.finite_mdp import FiniteMDP
from envs.tabular import TabularEnv
from experiments import play, train
from experiments.config.loading import load_config
from experiments.config.schema import ConfigError, Environment
from experiments.session import run as session
from experiments.session.in_memory import train_in_memory
from experiments.session.members import WorkerFailed
from experiments.session.workers import Workers
from experiments.speed import simulators
from experiments.storage.run_folder import RunFolder, config_text
from experiments.training.loop import Training
from experiments.training.records import joined
from experiments.training.simulated.simulators import SimulatorError
from experiments.training.spaces import converter
from experiments.training.worlds import make_world, time_limit
from tests.experiments.comparisons import comparison
from tests.experiments.strange_worlds import FLAGS, REWARDS, STATES, Strange, strange

STATE = {"declares": "states"}
LIMITED = """
import gymnasium
from tests.experiments.strange_worlds import Strange

gymnasium.register("Limited-v0", entry_point=Strange, max_episode_steps=7)
"""


def raising(error: BaseException) -> Callable[..., NoReturn]:
    """A function that raises it."""

    def raises(*_: object, **__: object) -> NoReturn:
        raise error

    return raises


def trained(config: Any, seeds: Sequence[int] | None = None) -> dict[str, np.ndarray]:
    """The columns of every update and of the end, [U, R] and [R]."""
    training = Training(config, seeds)
    columns = {f"updates.{name}": column for name, column in training.advance().columns.items()}
    columns |= training.final()
    training.close()
    return columns


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, column in one.items():
        np.testing.assert_array_equal(other[name], column, err_msg=name)


class TestWhatIsDeclared:
    """Converted where no number changes but by rounding, else refused in one line that names both."""

    @pytest.mark.parametrize(
        ("declares", "shows"),
        [
            ("float32", "float64"), ("float32", "float16"), ("float64", "float32"), ("float32", "int8"),
            ("float32", "bool"), ("float32", "list"), ("uint8", "int64"), ("uint8", "bool"), ("int64", "uint8"),
            ("int8", "int64"), ("float64", "longdouble"), ("uint8", "uint8"),
        ],
    )  # fmt: skip
    def test_numbers_that_stay_what_they_are_are_trained_on(self, declares: str, shows: str) -> None:
        plain = trained(strange(declares=declares, shows=declares))
        assert_same(plain, trained(strange(declares=declares, shows=shows)))
        assert_same(plain, trained(strange(declares=declares, shows=shows, late=True)))

    @pytest.mark.parametrize(
        ("kwargs", "said"),
        [
            ({"declares": "uint8", "shows": "float64", "scale": 0.9}, ["uint8", "float64 values, as in 0.9"]),
            ({"declares": "uint8", "shows": "float64"}, ["uint8", "float64 values"]),
            ({"declares": "int64", "shows": "float32"}, ["int64", "float32 values"]),
            ({"declares": "float32", "shows": "complex128"}, ["float32", "complex128 values"]),
            ({"declares": "float32", "shows": "str"}, ["float32", "<U32 values"]),
            ({"declares": "int8", "shows": "int64", "scale": 300}, ["int8", "shows 300, which int8 cannot hold"]),
            ({"declares": "uint8", "shows": "int64", "scale": -1}, ["uint8", "shows -1, which uint8 cannot hold"]),
            ({"shows": "short"}, ["(3,)", "shows the shape (2,)"]),
            ({"shows": "deep"}, ["(3,)", "shows the shape (1, 3)"]),
        ],
        ids=str,
    )
    def test_others_are_refused_before_training_and_stop_it_later(
        self, kwargs: dict[str, Any], said: list[str]
    ) -> None:
        with pytest.raises(ConfigError) as early:
            Training(strange(**kwargs))
        with pytest.raises(SimulatorError) as late:
            trained(strange(late=True, **kwargs))
        assert str(early.value).startswith("environment: Strange-v0 declares Box(")
        assert str(late.value).startswith("Strange-v0 failed at step 1 of an episode (arm without, seed 0, ")
        for message in (str(early.value), str(late.value)):
            assert "\n" not in message
            assert all(part in message for part in said)

    @pytest.mark.parametrize("scale", [101.0, -0.5, np.nan, np.inf])
    def test_the_first_observations_lie_in_the_declared_range(self, scale: float) -> None:
        with pytest.raises(ConfigError, match=rf"declares Box\(0.0, 100.0.* and shows {scale}"):
            Training(strange(scale=scale))

    @pytest.mark.parametrize(
        ("declared", "shown"),
        [
            (Box(-np.inf, np.inf, (2,), np.float32), np.array([0.0, 1e300])),
            (Box(-np.inf, np.inf, (2,), np.float32), [0.0, 1e300]),
            (Box(-np.inf, np.inf, (), np.float32), -1e300),
            (Box(-np.inf, np.inf, (2,), np.float16), np.array([0, 70_000])),
            (Box(-np.inf, np.inf, (2,), np.float64), np.array([0, 1e308], np.longdouble) * 10),
            (Dict(a=Discrete(2), b=Box(-np.inf, np.inf, (1,), np.float32)), {"a": 1, "b": np.array([1e39])}),
            (Box(-np.inf, np.inf, (2,), np.float32), np.array([0.0, np.inf], np.float32)),
        ],
        ids=str,
    )
    def test_the_first_observations_are_finite_in_the_declared_type(self, declared: Any, shown: Any) -> None:
        class Huge(gymnasium.Env[Any, Any]):
            observation_space, action_space = declared, Discrete(2)

            def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
                return shown, {}

            def step(self, action: Any) -> Any:
                return shown, 1.0, True, False, {}

        gymnasium.register("Huge-v0", entry_point=Huge, max_episode_steps=5)
        try:
            with pytest.raises(ConfigError, match=r"^environment: Huge-v0 .* shows a number that is infinite"):
                make_world(Environment(id="Huge-v0"))
        finally:
            del gymnasium.registry["Huge-v0"]

    def test_later_ones_may_leave_it_for_no_number_is_changed_by_that(self) -> None:
        """CartPole's own do; so do those of many physical worlds."""
        env = gymnasium.make("CartPole-v1")
        convert = converter(env.observation_space)  # type: ignore[arg-type]
        outside = np.array([9.0, 0.0, 1.0, 0.0], np.float32)
        np.testing.assert_array_equal(convert(outside), outside)

    @pytest.mark.parametrize("shows", ["int", "int32", "uint8", "0-d", "one", "states"])
    @pytest.mark.parametrize("first_state", [0, 5])
    def test_states_of_every_kind_of_integer_are_one_hot_codes_from_the_first(
        self, shows: str, first_state: int
    ) -> None:
        agent = {"policy": "tabular"}
        plain = trained(strange(agent, **STATE, shows="states"))
        assert_same(plain, trained(strange(agent, **STATE, shows=shows, first_state=first_state)))

    @pytest.mark.parametrize("shows", sorted(STATES.keys() - {"int", "int32", "uint8", "0-d", "one", "states"}))
    def test_what_is_no_state_is_refused(self, shows: str) -> None:
        with pytest.raises(ConfigError, match=r"^environment: Strange-v0 declares Discrete\(3\) and shows "):
            Training(strange(**STATE, shows=shows))
        with pytest.raises(SimulatorError, match=r"declares Discrete\(3\) and shows "):
            trained(strange(**STATE, shows=shows, late=True))

    @pytest.mark.parametrize("state", [-2, 3, 2**62])
    def test_a_state_outside_the_space_is_refused(self, state: int) -> None:
        with pytest.raises(ValueError, match=rf"declares Discrete\(4, start=-1\) and shows state {state}$"):
            converter(Discrete(4, start=-1))(state)

    def test_a_single_number_may_come_in_every_shape(self) -> None:
        for shape in ((), (1,), (1, 1)):
            convert = converter(Box(0, 1, shape, np.float32))
            for seen in (0.5, np.float64(0.5), np.array([0.5]), [[0.5]]):
                assert convert(seen).shape == shape
                assert convert(seen).dtype == np.float32

    def test_lists_of_uneven_lengths_are_refused(self) -> None:
        with pytest.raises(ValueError, match="shows list of uneven lengths"):
            converter(Box(0, 1, (2, 2), np.float32))([[0, 1], [0]])

    @pytest.mark.parametrize("pays", ["int", "bool", "float32", "int8", "0-d", "one"])
    def test_rewards_of_every_kind_are_numbers(self, pays: str) -> None:
        assert_same(trained(strange()), trained(strange(pays=pays)))

    @pytest.mark.parametrize(
        "pays", sorted(REWARDS.keys() - {"float", "int", "bool", "float32", "int8", "0-d", "one"})
    )
    def test_what_is_no_number_is_no_reward(self, pays: str) -> None:
        with pytest.raises(ConfigError, match=r"^environment: Strange-v0 (pays|reward must be one number)"):
            Training(strange(pays=pays))
        if pays in ("nan", "infinite"):  # happens to a run, and stops it alone
            assert trained(strange(pays=pays, late=True))["failed"].all()
            return
        with pytest.raises(SimulatorError, match=r"at step 1 .*reward must be one number, not "):
            trained(strange(pays=pays, late=True))

    @pytest.mark.parametrize("ends", ["bool_", "0-d", "int", "one"])
    def test_flags_of_every_kind_are_true_or_false(self, ends: str) -> None:
        assert_same(trained(strange()), trained(strange(ends=ends)))

    @pytest.mark.parametrize("ends", sorted(FLAGS.keys() - {"bool", "bool_", "0-d", "int", "one"}))
    def test_what_is_neither_true_nor_false_is_no_flag(self, ends: str) -> None:
        with pytest.raises(ConfigError, match=r"^environment: Strange-v0 terminated must be true or false, not "):
            Training(strange(ends=ends))
        with pytest.raises(SimulatorError, match="terminated must be true or false, not "):
            trained(strange(ends=ends, late=True))

    def test_actions_may_be_numbered_from_anywhere(self) -> None:
        assert_same(trained(strange()), trained(strange(first_action=1)))
        assert_same(trained(strange()), trained(strange(first_action=-7)))

    @pytest.mark.parametrize(
        ("returned", "said"),
        [
            ({"reset": np.zeros(2, np.float32)}, r"reset must return \(observation, info\), returns ndarray"),
            ({"step": (np.zeros(2, np.float32), 1.0, True, {})}, r"step must return .*, returns tuple of 4"),
            ({"step": None}, r"step must return .*, returns NoneType"),
        ],
    )
    def test_what_is_no_gymnasium_interface_is_refused(self, returned: dict[str, Any], said: str) -> None:
        class Old(gymnasium.Env[Any, Any]):
            observation_space = Box(0, 1, (2,), np.float32)
            action_space = Discrete(2)

            def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
                return returned.get("reset", (np.zeros(2, np.float32), {}))

            def step(self, action: Any) -> Any:
                return returned["step"]

        gymnasium.register("Old-v0", entry_point=Old, max_episode_steps=5)
        try:
            with pytest.raises(ConfigError, match=f"^environment: Old-v0 {said}"):
                make_world(Environment(id="Old-v0"))
        finally:
            del gymnasium.registry["Old-v0"]

    @pytest.mark.parametrize("exits", [False, True])
    @pytest.mark.parametrize("breaks", ["making", "reset", "step"])
    def test_a_world_that_raises_at_once_is_refused_in_one_line(self, breaks: str, exits: bool) -> None:
        with pytest.raises(
            ConfigError, match=r"^environment.* Strange-v0 .*no such device|device lost$"
        ) as caught:
            Training(strange(breaks=breaks, exits=exits))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("workers", [1, 2])
    @pytest.mark.parametrize("exits", [False, True])
    @pytest.mark.parametrize("breaks", ["reset", "step"])
    def test_a_world_that_raises_later_ends_training_in_one_line(
        self, breaks: str, exits: bool, workers: int, tmp_path: Path
    ) -> None:
        config, options = strange(breaks=breaks, exits=exits, lasts=4), session.Options(tmp_path, workers=workers)
        with pytest.raises(WorkerFailed, match=rf"Strange-v0 failed at {breaks}.*device lost"):
            session.run(config, options, lambda _: None, lambda _: None)

    @pytest.mark.parametrize("breaks", ["making", "reset", "step"])
    def test_a_world_that_ends_the_program_is_a_line_of_play(self, breaks: str, tmp_path: Path) -> None:
        session.run(strange(), session.Options(tmp_path), lambda _: None, lambda _: None)
        policy = play.load_policy(tmp_path, "with", 1)
        world = replace(policy.world, environment=strange(breaks=breaks, exits=True).environment)
        with pytest.raises(play.PlayError, match=r"^Strange-v0: SystemExit: "):
            list(play.episode(policy._replace(world=world), None, 7, False))

    def test_a_module_that_ends_the_program_is_a_line_of_play(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "leaving.py").write_text("raise SystemExit(3)")
        monkeypatch.chdir(tmp_path)
        assert play.main([str(tmp_path), "--import", "leaving"]) == 2
        assert capsys.readouterr().err == "experiments.play: --import leaving: SystemExit: 3\n"

    @pytest.mark.parametrize("name", ["action_space", "observation_space", "spec"])
    @pytest.mark.parametrize("raises", [AttributeError("no\nsuch thing"), RuntimeError("not\nconnected")])
    def test_what_cannot_be_read_is_refused_in_one_line(
        self, name: str, raises: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Strange, name, property(raising(raises), lambda *_: None))
        with pytest.raises(
            ConfigError, match=r"^environment.* Strange-v0 .*(no such thing|not connected)"
        ) as caught:
            Training(strange())
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("metadata", [None, {"render_fps": "fast"}, {"render_modes": 3}])
    def test_metadata_that_cannot_be_read_are_a_line_of_play(
        self,
        metadata: Any,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        session.run(strange(), session.Options(tmp_path), lambda _: None, lambda _: None)
        monkeypatch.setattr(Strange, "metadata", property(lambda _: metadata))
        assert play.main([str(tmp_path), "--arm", "with", "--seed", "1"]) == 2
        assert re.fullmatch(r"experiments.play: Strange-v0: .*\n", capsys.readouterr().err)

    def test_the_time_limit_of_a_world_whose_module_is_not_imported_yet_is_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "limited.py").write_text(LIMITED)
        monkeypatch.chdir(tmp_path)
        assert time_limit(Environment(id="limited:Limited-v0")) == 7

    def test_observations_that_no_policy_could_see_are_refused_with_their_bytes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tests.experiments.strange_worlds.Strange.observation_space", Discrete(10**12))
        said = r"an observation of 1,000,000,000,000 numbers would take 8,000,000,000,000 bytes; at most"
        with pytest.raises(ConfigError, match=said):
            Training(strange())
        monkeypatch.setattr("tests.experiments.strange_worlds.Strange.action_space", Discrete(10**12))
        with pytest.raises(ConfigError, match=r"would take 8,000,000,000,000 bytes"):
            Training(strange())


class TestKeysThatTwoPlacesName:
    def test_are_all_that_gymnasium_takes_itself(self) -> None:
        """A new one would have to be thought about."""
        assert list(inspect.signature(gymnasium.make).parameters) == [
            "id", "max_episode_steps", "disable_env_checker", "kwargs",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("kwargs", "beside"),
        [
            ({"max_episode_steps": 7}, {}),
            ({"max_episode_steps": 7}, {"max_episode_steps": 7}),
            ({"disable_env_checker": True}, {"max_episode_steps": 7}),
            ({"id": "FourAction/Grid-v0"}, {"max_episode_steps": 7}),
        ],
    )
    @pytest.mark.parametrize("tables", [True, False])
    def test_are_one_if_they_are_equal(self, kwargs: dict[str, Any], beside: dict[str, Any], tables: bool) -> None:
        given = {"id": "FourAction/Grid-v0", "kwargs": {"map": ["S.G"], **kwargs}, "tables": tables, **beside}
        environment = Environment.model_validate(given)
        assert environment.max_episode_steps == 7
        assert environment.kwargs == {"map": ["S.G"]}
        world = make_world(environment)
        assert world.time_limit == 7
        assert world.make().spec.max_episode_steps == 7  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("kwargs", "said"),
        [
            ({"max_episode_steps": 8}, "kwargs.max_episode_steps = 8 contradicts max_episode_steps = 7"),
            ({"max_episode_steps": 7.0}, "kwargs.max_episode_steps = 7.0 contradicts max_episode_steps = 7"),
            ({"disable_env_checker": False}, "kwargs.disable_env_checker = False contradicts"),
            (
                {"id": "FourAction/Trap-v0"},
                "kwargs.id = 'FourAction/Trap-v0' contradicts id = 'FourAction/Grid-v0'",
            ),
            ({"render_mode": "human"}, 'kwargs.render_mode = "human" would open a window'),
        ],
    )
    def test_are_refused_in_one_line_if_not(self, kwargs: dict[str, Any], said: str) -> None:
        table = strange().model_dump(exclude_none=True)
        table["environment"] = {"id": "FourAction/Grid-v0", "max_episode_steps": 7, "kwargs": kwargs}
        with pytest.raises(ConfigError) as caught:
            load_config(table)
        assert str(caught.value).startswith(f"config: environment: {said}")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("limit", [0, -1, "7", True])
    def test_keep_their_type_and_range_wherever_they_stand(self, limit: Any) -> None:
        table = strange().model_dump(exclude_none=True)
        table["environment"] = {"id": "FourAction/Grid-v0", "kwargs": {"max_episode_steps": limit}}
        with pytest.raises(ConfigError, match=r"environment\.max_episode_steps: "):
            load_config(table)

    def test_a_render_mode_of_the_config_is_kept_and_play_shows_what_it_can(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Worlds that show pictures of themselves need one to train."""
        config = strange(render_mode="rgb_array")
        session.run(config, session.Options(tmp_path), lambda _: None, lambda _: None)
        words = [str(tmp_path), "--arm", "with", "--seed", "1"]
        assert play.main(words) == 0
        assert play.main([*words, "--gif", str(tmp_path / "episode.gif")]) == 0
        capsys.readouterr()
        assert play.main([*words, "--window"]) == 2
        said = (
            "experiments.play: environment.kwargs.render_mode is 'rgb_array' in the config; this needs 'human'\n"
        )
        assert capsys.readouterr().err == said


GLOBAL = ["numpy", "random", "torch", "mixed", "space"]


class TestGeneratorsThatAllCodeShares:
    @pytest.mark.parametrize("draws", GLOBAL)
    def test_a_run_has_its_own_numbers_alone_among_others_and_again(self, draws: str) -> None:
        config = strange(draws=draws)
        together = trained(config)
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        assert_same(together, trained(config))
        for place, seed in enumerate(config.training.seed_list):
            for name, column in trained(config, [seed]).items():
                runs = 1 if name.startswith("updates.") else 0  # the axis
                expected = np.take(together[name], [place, 3 + place], axis=runs)
                np.testing.assert_array_equal(column, expected, err_msg=name)

    @pytest.mark.parametrize("draws", GLOBAL)
    def test_runs_do_not_share_numbers_and_arms_of_a_seed_do(self, draws: str) -> None:
        returns = trained(strange({"learning_rate": 1e-9}, draws=draws, steps=5))["updates.return_mean"]
        np.testing.assert_array_equal(returns[:, :3], returns[:, 3:])
        assert len({column.tobytes() for column in returns[:, :3].T}) == 3

    @pytest.mark.parametrize("draws", GLOBAL)
    def test_the_number_of_processes_changes_nothing(self, draws: str) -> None:
        config = strange(draws=draws)
        one, two, three = (self.in_processes(config, number) for number in (1, 2, 3))
        assert_same(one, two)
        assert_same(one, three)

    @staticmethod
    def in_processes(config: Any, number: int) -> dict[str, np.ndarray]:
        training = Training(config)
        with Workers(training, number) as workers:
            records = joined([block.records for block in workers.blocks(lambda _: False)])
            final = workers.final()
        training.close()
        return records.columns | final

    @pytest.mark.parametrize("draws", GLOBAL)
    def test_a_training_that_was_stopped_goes_on_with_the_same_numbers(self, draws: str) -> None:
        config = strange(draws=draws)
        whole, stopped, resumed = Training(config), Training(config), Training(config)
        expected = whole.advance().columns
        stopped.advance(2)
        resumed.load({name: array.copy() for name, array in stopped.state().items()})
        assert_same({name: column[2:] for name, column in expected.items()}, resumed.advance().columns)
        assert_same(whole.final(), resumed.final())

    @pytest.mark.parametrize("draws", ["np_random", *GLOBAL])
    def test_training_leaves_them_as_they_were(self, draws: str) -> None:
        def states() -> list[bytes]:
            numpy = np.random.get_state()[1]  # noqa: NPY002
            return [str(random.getstate()).encode(), numpy.tobytes(), bytes(torch.get_rng_state().tolist())]

        before = states()
        trained(strange(draws=draws))
        with pytest.raises(SimulatorError):
            trained(strange(draws=draws, pays="text", late=True))
        assert states() == before

    def test_a_constructor_that_draws_gives_each_environment_its_own_numbers(self) -> None:
        made: list[float] = []

        class Drawn(gymnasium.Env[Any, Any]):
            observation_space = Discrete(1)
            action_space = Discrete(2)

            def __init__(self) -> None:
                self._paid = random.random()
                made.append(self._paid)

            def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
                return 0, {}

            def step(self, action: Any) -> Any:
                return 0, self._paid, True, False, {}

        gymnasium.register("Drawn-v0", entry_point=Drawn, max_episode_steps=5)
        table = strange({"policy": "tabular"}).model_dump(exclude_none=True)
        config = load_config({**table, "environment": {"id": "Drawn-v0"}})
        together = trained(config)
        looked_at, *numbers = made
        assert numbers[:6] == numbers[6:]  # two arms
        assert len({looked_at, *numbers}) == 7  # 3 seeds x 2 episodes
        alone = trained(config, [1])
        np.testing.assert_array_equal(alone["updates.return_mean"], together["updates.return_mean"][:, [1, 4]])

    @pytest.mark.parametrize("draws", ["mixed", "space"])
    def test_an_episode_that_is_watched_is_the_same_again(self, draws: str, tmp_path: Path) -> None:
        session.run(strange(draws=draws), session.Options(tmp_path), lambda _: None, lambda _: None)
        policy = play.load_policy(tmp_path, "with", 1)
        first, again = (list(play.episode(policy, None, 7, False)) for _ in range(2))
        assert first == again


class TestAWorldThatCannotBeRepeated:
    def test_is_named_in_a_line_and_trained_in(self, tmp_path: Path) -> None:
        said: list[str] = []
        session.run(strange(draws="count"), session.Options(tmp_path), lambda _: None, said.append)
        assert sum("self.np_random" in line for line in said) == 1

    @pytest.mark.parametrize("draws", ["np_random", *GLOBAL])
    @pytest.mark.parametrize("declares", ["float32", "states"])
    def test_is_no_world_with_generators_that_can_be_seeded(self, draws: str, declares: str) -> None:
        assert make_world(strange(draws=draws, declares=declares, shows=declares).environment).is_repeatable

    @pytest.mark.parametrize(
        "id", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "Blackjack-v1", "FrozenLake-v1", "LunarLander-v3"]
    )
    def test_is_none_of_gymnasiums(self, id: str) -> None:
        if id.startswith("Lunar"):
            pytest.importorskip("Box2D")
        world = make_world(Environment(id=id, tables=False, max_episode_steps=9, normalize_observations=False))
        assert world.is_repeatable

    def test_may_refuse_to_be_reset_before_its_end(self) -> None:
        assert make_world(strange(breaks="reset", lasts=2).environment).is_repeatable


class TestEverySimulatorIsClosed:
    """Counted by the environments themselves, in all processes."""

    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        return tmp_path / "log"

    def assert_closed(self, log: Path, least: int) -> None:
        lines = log.read_text().splitlines()
        assert lines.count("made") == lines.count("closed") >= least

    def test_that_was_only_looked_at(self, log: Path) -> None:
        make_world(strange(log=str(log)).environment)
        self.assert_closed(log, 1)
        with pytest.raises(ConfigError):
            make_world(strange(log=str(log), pays="text").environment)
        self.assert_closed(log, 2)

    @pytest.mark.parametrize("workers", [1, 2])
    def test_that_was_trained_in_and_played(self, log: Path, tmp_path: Path, workers: int) -> None:
        options = session.Options(tmp_path / "run", workers=workers)
        session.run(strange(log=str(log)), options, lambda _: None, lambda _: None)
        self.assert_closed(log, 1 + 2 * 3 * 2)
        before = log.read_text().count("made")
        assert play.main([str(tmp_path / "run"), "--arm", "with", "--seed", "1"]) == 0
        self.assert_closed(log, before + 3)

    def test_that_was_trained_in_without_a_folder(self, log: Path) -> None:
        train_in_memory(strange(log=str(log)))
        self.assert_closed(log, 1 + 2 * 3 * 2)

    @pytest.mark.parametrize("workers", [1, 2])
    def test_whose_training_failed(self, log: Path, tmp_path: Path, workers: int) -> None:
        options = session.Options(tmp_path / "run", workers=workers)
        with pytest.raises(WorkerFailed):
            session.run(strange(log=str(log), late=True, pays="text"), options, lambda _: None, lambda _: None)
        self.assert_closed(log, 1 + 2)

    @pytest.mark.parametrize("workers", [1, 2])
    def test_whose_training_was_interrupted(self, log: Path, tmp_path: Path, workers: int) -> None:
        def interrupt(_: object) -> None:
            raise KeyboardInterrupt

        options = session.Options(tmp_path / "run", workers=workers)
        with pytest.raises(KeyboardInterrupt):
            session.run(strange(log=str(log)), options, interrupt, lambda _: None)
        self.assert_closed(log, 1 + 2)

    def test_of_which_one_could_not_be_made(self, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        training = Training(strange(log=str(log)))
        made = [0]
        make = type(training.world).make

        def fails(world: Any, **kwargs: Any) -> Any:
            made[0] += 1
            if made[0] > 4:
                raise OSError("too many devices")
            return make(world, **kwargs)

        monkeypatch.setattr(type(training.world), "make", fails)
        with pytest.raises(
            SimulatorError, match=r"failed at the making of .*seed 2, environment 0.*too many devices"
        ):
            training.advance(1)
        training.close()
        self.assert_closed(log, 1 + 4)

    def test_that_was_measured(self, log: Path) -> None:
        simulators.stepping_speeds(strange(log=str(log)), 1, steps=20)
        self.assert_closed(log, 1 + 1 + 2 + 1 + 2 * 3 * 2)

    @pytest.mark.parametrize("exits", [False, True])
    def test_and_one_that_cannot_be_closed_spoils_no_result(self, exits: bool) -> None:
        assert_same(trained(strange()), trained(strange(breaks="close", exits=exits)))


MAP, TURNED = "G...S...g\n", "g...S...G\n"


class TestAMapInAFile:
    """The file is read with the config; once training has begun, it is the run folder that says what the world
    is."""

    @pytest.fixture
    def config(self, tmp_path: Path) -> Any:
        (tmp_path / "map.txt").write_text(MAP)
        return self.read(tmp_path)

    def read(self, tmp_path: Path) -> Any:
        table = strange({"policy": "tabular"}).model_dump(exclude_none=True)
        kwargs = {"map": str(tmp_path / "map.txt"), "goals": {"G": 1.0, "g": 0.2}}
        return load_config({**table, "environment": {"id": "FourAction/Grid-v0", "kwargs": kwargs}})

    def run(self, config: Any, folder: Path, **options: Any) -> Any:
        return session.run(config, session.Options(folder, **options), lambda _: None, lambda _: None)

    @pytest.mark.parametrize("tables", [True, False])
    def test_is_stored_by_its_lines(self, config: Any, tmp_path: Path, tables: bool) -> None:
        config = config.model_copy(
            update={"environment": config.environment.model_copy(update={"tables": tables})}
        )
        self.run(config, tmp_path / "run")
        stored = RunFolder(tmp_path / "run").read_config()
        assert stored.environment.kwargs["map"] == ["G...S...g"]
        assert stored.model_copy(update={"environment": config.environment}) == config

    def test_that_changes_makes_another_config(self, config: Any, tmp_path: Path) -> None:
        self.run(config, tmp_path / "run")
        (tmp_path / "map.txt").write_text(TURNED)
        with pytest.raises(ConfigError, match=r"holds a different config; go on with its config\.toml"):
            self.run(self.read(tmp_path), tmp_path / "run", resume=True)
        (tmp_path / "map.txt").write_text(f"\n{MAP}\n")  # another file, the same lines
        self.run(self.read(tmp_path), tmp_path / "run", resume=True)

    def test_that_is_gone_is_known_to_the_run_folder(
        self, config: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.run(config, tmp_path / "run")
        table = config.model_dump(exclude_none=True)
        table["environment"]["kwargs"]["map"] = str(tmp_path / "map.txt")
        (tmp_path / "mine.toml").write_text(tomli_w.dumps(table))
        (tmp_path / "map.txt").unlink()
        assert script.main([str(tmp_path / "mine.toml"), "--out", str(tmp_path / "run"), "--resume"]) == 2
        stored = tmp_path / "run" / "config.toml"
        assert capsys.readouterr().err.endswith(f"; {stored} is what the training began with\n")
        assert script.main([str(stored), "--out", str(tmp_path / "run"), "--resume"]) == 0

    @pytest.mark.parametrize("change", ["turned", "removed"])
    def test_is_not_read_again(self, config: Any, tmp_path: Path, change: str) -> None:
        self.run(config, tmp_path / "run")
        if change == "turned":
            (tmp_path / "map.txt").write_text(TURNED)
        else:
            (tmp_path / "map.txt").unlink()
        world = play.load_policy(tmp_path / "run", "with", 1).world
        assert world.mdp is not None
        assert world.mdp.drawing is not None
        assert world.mdp.drawing.goals == {(0, 0): 1.0, (0, 8): 0.2}
        stored = RunFolder(tmp_path / "run").read_config()
        assert config_text(Training(stored).config) == config_text(stored)
        self.run(stored, tmp_path / "run", resume=True)

    @pytest.mark.parametrize("workers", [1, 2])
    def test_that_changes_while_training_begins_is_one_world_to_all_processes(
        self, config: Any, tmp_path: Path, workers: int
    ) -> None:
        training = Training(config)
        (tmp_path / "map.txt").write_text(TURNED)
        with Workers(training, workers) as members:
            list(members.blocks(lambda _: False))
            rewards = members.final()["final_return"]
        (tmp_path / "map.txt").write_text(MAP)
        expected = trained(config)["final_return"]
        np.testing.assert_array_equal(rewards, expected)


@pytest.mark.parametrize(
    "agent", [{}, {"gradient": "exact"}, {"gradient": "exact", "horizon": "infinite"}], ids=str
)
def test_a_world_whose_rewards_never_end_has_no_best_actions_without_a_discount(
    agent: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "MAX_SWEEPS", 100)
    with monkeypatch.context() as patched:
        patched.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))
        gymnasium.register("Paid-v0", entry_point=Paid, max_episode_steps=5)
        world = {"id": "Paid-v0"}
        with pytest.raises(ConfigError, match=r"^agent.discount: Paid-v0 has no best actions at 1, .* below 1$"):
            Training(comparison(world, agent))
        weighted = {"discount_weighting": True} if "horizon" in agent else {}
        assert len(train(comparison(world, {"discount": 0.9, **agent, **weighted})).runs) == 6


class Paid(TabularEnv):
    """Pays for every step, and no step ends it."""

    def __init__(self, render_mode: str | None = None) -> None:
        shape = (1, 4, 1)
        super().__init__(
            FiniteMDP(
                next_state=np.zeros(shape, np.int64),
                probability=np.ones(shape),
                reward=np.ones(shape),
                terminated=np.zeros(shape, bool),
                start=np.ones(1),
            ),
            render_mode,
        )
