"""Learning in simulators: whole episodes, the run's own random numbers, the same numbers as the tables give."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from scipy import stats

from experiments.config.loading import load_config
from experiments.config.schema import ConfigError
from experiments.training.loop import Training
from experiments.training.randomness import Purpose, environment_seeds
from experiments.training.records import Records
from experiments.training.simulated.chunks import CHUNK
from experiments.training.simulated.simulators import PlainDiscrete, SimulatorError
from tests.experiments.replay import from_numpy

Columns = Mapping[str, NDArray[Any]]


class Countdown(gymnasium.Env[NDArray[np.float32], int]):
    """Episodes of 1 to 6 steps, drawn from the seed; each step pays its number. Intolerant of sloppy callers.

    Args:
        flaw: what happens at the third step of the episode with the seed `flawed`: "reward" or "observation"
            are not a number, "step" raises; "reset" raises at its reset.
        endless: never ends by itself.
    """

    resets: ClassVar[list[int]] = []

    def __init__(self, flaw: str = "", flawed: Sequence[int] = (), endless: bool = False, cut: int = 0) -> None:
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = Discrete(3)
        self._flaw, self._flawed, self._endless, self._cut = flaw, flawed, endless, cut
        self._left = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        assert seed is not None, "an episode without a seed of its own"
        super().reset(seed=seed)
        self.resets.append(seed)
        self._seed, self._done = seed, 0
        self._left = 10**9 if self._endless else int(self.np_random.integers(1, 7))
        self._length = self._left
        if self._breaks("reset"):
            raise OSError("no such device")
        return self._observation(), {}

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        assert self._left > 0, "stepped after the end of the episode"
        self._left -= 1
        self._done += 1
        if self._breaks("step"):
            raise OSError("device lost")
        reward = np.nan if self._breaks("reward") else float(self._done)
        observation = np.full(2, np.nan, np.float32) if self._breaks("observation") else self._observation()
        truncated = self._done == self._cut
        if truncated:
            self._left = 0
        return observation, reward, self._left == 0 and not truncated, truncated, {}

    def _observation(self) -> NDArray[np.float32]:
        return np.array([self._done, self._length % 7], np.float32)

    def _breaks(self, flaw: str) -> bool:
        return self._flaw == flaw and self._seed in self._flawed and (self._done == 3 or flaw == "reset")


gymnasium.register("Countdown-v0", entry_point=Countdown)


def config_of(
    environment: dict[str, Any],
    agent: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    arms: dict[str, Any] | None = None,
) -> Any:
    return load_config(
        {
            "name": "test",
            "description": "",
            "environment": environment,
            "agent": {"policy": "mlp", "hidden_sizes": [8], "learning_rate": 0.05, **(agent or {})},
            "training": {"seeds": 2, "episodes_per_update": 3, "updates": 3, **(training or {})},
            "arms": arms or {"without": {}, "with": {"entropy_coef": 0.1}},
        }
    )


COUNTDOWN = {"id": "Countdown-v0", "max_episode_steps": 50}
CARTPOLE = {"id": "CartPole-v1", "max_episode_steps": 60}
TWO_ROOMS = {"id": "FourAction/TwoRooms-v0", "solved_return": 0.95}


def assert_same(first: Columns, second: Columns, at: Any = ...) -> None:
    """Bit for bit; `at` picks the runs of the first."""
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name][..., at] if at is not ... else first[name], second[name], name)


# --- whole episodes -------------------------------------------------------------------------------------------


def test_environments_are_stepped_to_the_end_of_their_episodes_and_no_further() -> None:
    records = Training(config_of(COUNTDOWN)).advance()  # Countdown itself raises when stepped after an end
    got, steps = records.columns, records.steps
    assert steps is not None
    _, taken = steps.taken()
    np.testing.assert_array_equal(taken, got["episode_length"] * 3)
    np.testing.assert_array_equal(records.env_step[steps.start + steps.length - 1], got["env_steps"])
    np.testing.assert_array_equal(np.cumsum(got["episode_length"] * 3, axis=0), got["env_steps"])
    # 1 + 2 + ... + n = n (n + 1) / 2 is paid: with lengths 1 to 6 the mean return lies between 1 and 21.
    assert (got["return_mean"] >= got["episode_length"]).all()
    assert (got["truncation_rate"] == 0).all()


@pytest.mark.parametrize("environment", [{"max_episode_steps": 5}, {"max_episode_steps": 9, "kwargs": {"cut": 5}}])
def test_a_truncated_episode_pays_what_was_seen_of_it(environment: dict[str, Any]) -> None:
    kwargs = {"endless": True, **environment.get("kwargs", {})}
    got = Training(config_of({**COUNTDOWN, **environment, "kwargs": kwargs})).advance().columns
    assert (got["episode_length"] == 5).all()
    assert (got["return_mean"] == 1 + 2 + 3 + 4 + 5).all()
    assert (got["truncation_rate"] == 1).all()


def test_an_episode_that_terminates_at_the_time_limit_is_not_truncated() -> None:
    got = Training(config_of({**COUNTDOWN, "max_episode_steps": 6})).advance().columns
    assert got["episode_length"].max() > 3
    assert (got["truncation_rate"] == 0).all()


def test_every_episode_has_a_seed_of_its_own_and_arms_share_it() -> None:
    training = Training(config_of(COUNTDOWN, training={"seeds": [4, 9], "updates": 5}))
    Countdown.resets.clear()  # making the world looked at a first step
    training.advance()
    got = np.array(Countdown.resets).reshape(5, 2, 2, 3)  # updates, arms, seeds, episodes
    np.testing.assert_array_equal(got[:, 0], got[:, 1])
    assert len(np.unique(got[:, 0])) == 5 * 2 * 3
    for place, seed in enumerate([4, 9]):
        expected = [np.floor(from_numpy(seed, Purpose.ENVIRONMENT, update, (3,)) * 2**31) for update in range(5)]
        np.testing.assert_array_equal(got[:, 0, place], expected)


def test_wrappers_that_change_the_environment_stay() -> None:
    def doubled() -> gymnasium.Env[Any, Any]:
        return gymnasium.wrappers.TransformReward(Countdown(), lambda reward: 2 * reward)

    gymnasium.register("Doubled-v0", entry_point=doubled)
    plain = Training(config_of(COUNTDOWN, training={"updates": 1})).advance().columns
    wrapped = Training(config_of({**COUNTDOWN, "id": "Doubled-v0"}, training={"updates": 1})).advance().columns
    np.testing.assert_array_equal(wrapped["return_mean"], 2 * plain["return_mean"])


def test_the_quick_space_answers_as_gymnasium_does() -> None:
    space = Discrete(3, start=-1)
    values = [
        -2,
        -1,
        0,
        1,
        2,
        True,
        1.0,
        np.int64(1),
        np.int64(2),
        np.int32(0),
        np.uint8(1),
        np.array(1),
        "1",
        None,
    ]
    quick = PlainDiscrete(space)
    for value in values:
        assert quick.contains(value) == space.contains(value), value


# --- the same as the tables -----------------------------------------------------------------------------------

AGENTS = [
    {"baseline": "none"},
    {"baseline": "batch_mean", "discount": 0.9},
    {"baseline": "leave_one_out", "loss_reduction": "per_step", "normalize_advantages": True},
    {"baseline": "running_mean", "discount": 0.95, "discount_weighting": True, "max_grad_norm": 0.1},
    {"entropy_objective": "soft_return", "soft_return_offset": "uniform", "discount": 0.9},
    {"entropy_objective": "soft_return", "baseline": "leave_one_out", "optimizer": "adam"},
]


@pytest.mark.parametrize("agent", AGENTS)
def test_stepping_a_deterministic_world_gives_what_its_tables_give(agent: dict[str, Any]) -> None:
    """The same uniforms choose the same actions, so only the order of sums is different."""

    def trained(tables: bool) -> tuple[Records, Training]:
        environment = {**TWO_ROOMS, "tables": tables}
        training = Training(
            config_of(environment, {"policy": "tabular", **agent}, {"episodes_per_update": 8, "updates": 12})
        )
        return training.advance(), training

    table_records, table_training = trained(True)
    stepped_records, stepped_training = trained(False)
    tables, stepped = table_records.columns, stepped_records.columns
    assert table_training.world.mdp is not None
    assert stepped_training.world.mdp is None
    for name in ("env_steps", "episodes", "solved", "success_rate", "episode_length"):
        np.testing.assert_array_equal(tables[name], stepped[name], name)
    close = ("return_mean", "entropy_nats", "entropy_coef", "policy_loss", "negative_entropy", "loss", "grad_norm")
    for name in (*close, "start_policy", "kl_to_uniform", "effective_actions"):
        np.testing.assert_allclose(stepped[name], tables[name], rtol=1e-9, atol=1e-12, err_msg=name)
    assert table_records.steps is not None
    assert stepped_records.steps is not None
    np.testing.assert_array_equal(table_records.steps.length, stepped_records.steps.length)
    np.testing.assert_array_equal(table_records.steps.live, stepped_records.steps.live)
    np.testing.assert_array_equal(table_records.env_step, stepped_records.env_step)
    entropies = table_records.steps.entropy_nats, stepped_records.steps.entropy_nats
    np.testing.assert_allclose(*entropies, rtol=1e-9, atol=1e-12)
    end, stepped_end = table_training.final(), stepped_training.final()
    for name in ("final_return", "greedy_return", "final_entropy_bits", "start_policy", "first_success_env_step"):
        np.testing.assert_allclose(stepped_end[name], end[name], rtol=1e-9, atol=1e-12, err_msg=name)
    for name, parameters in table_training.parameters().items():
        # Adam divides by the root of the squares plus 1e-8: of a gradient that is all rounding it makes 1e-9.
        atol = 1e-9 if agent.get("optimizer") == "adam" else 1e-12
        np.testing.assert_allclose(stepped_training.parameters()[name], parameters, rtol=1e-9, atol=atol)


def test_the_gradient_of_a_network_in_chunks_is_the_gradient_of_its_table() -> None:
    training = {"episodes_per_update": 8, "updates": 1}
    tables, stepped = (
        Training(config_of({**TWO_ROOMS, "tables": tables}, training=training)).advance().columns
        for tables in (True, False)
    )
    assert tables["env_steps"].min() > 2 * CHUNK
    np.testing.assert_array_equal(tables["env_steps"], stepped["env_steps"])
    np.testing.assert_allclose(
        tables["return_mean"], stepped["return_mean"], rtol=1e-12, atol=1e-15
    )  # in another order
    for name in (
        "entropy_nats",
        "loss",
        "negative_entropy",
        "grad_norm",
    ):  # float32 has 7 digits, and losses cancel
        np.testing.assert_allclose(stepped[name], tables[name], rtol=2e-5, atol=2e-5, err_msg=name)


def test_stepping_a_random_world_gives_what_its_tables_give_on_average() -> None:
    def final_returns(tables: bool) -> NDArray[np.float64]:
        environment = {"id": "FrozenLake-v1", "kwargs": {"success_rate": 0.8}, "tables": tables}
        agent = {"policy": "tabular", "optimizer": "adam", "learning_rate": 0.3, "baseline": "leave_one_out"}
        training = {"seeds": 20, "episodes_per_update": 8, "updates": 30}
        got = Training(config_of(environment, agent, training, {"one": {}})).advance().columns
        return got["return_mean"][-10:].mean(0)

    tables, stepped = final_returns(True), final_returns(False)
    assert tables.mean() > 0.1  # it learnt: the uniform policy reaches the goal in some 2 % of its episodes
    assert abs(stats.ttest_ind(tables, stepped).statistic) < stats.t.ppf(0.9995, 38)  # 99.9 %, two-sided


def test_the_divergence_of_a_single_state_is_that_of_its_table() -> None:
    got = [
        Training(config_of({"id": "FourAction/Bandit-v0", "tables": tables}, {"policy": "tabular"}))
        .advance()
        .columns
        for tables in (True, False)
    ]
    assert (got[1]["kl_from_previous"][0] == 0).all()
    assert (got[1]["kl_from_previous"][1:] > 0).all()
    np.testing.assert_allclose(got[1]["kl_from_previous"], got[0]["kl_from_previous"], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("world", ["OneActionMatters", "ObservationMatters"])
def test_probes_are_learnt_from_what_is_shown(world: str) -> None:
    environment = {"id": f"FourAction/{world}-v0", "tables": False}
    agent = {"optimizer": "adam", "baseline": "leave_one_out", "learning_rate": 0.03}
    training = Training(config_of(environment, agent, {"episodes_per_update": 16, "updates": 80}))
    training.advance()
    best = Training(config_of({"id": f"FourAction/{world}-v0"}, agent)).world.optimal_return(1.0, 1)
    assert (training.final()["greedy_return"] == best).all()


# --- a run does not know its neighbours -----------------------------------------------------------------------

SHAPES = [
    {"hidden_sizes": [64, 64], "training": {"episodes_per_update": 16, "updates": 3}},
    {"hidden_sizes": [5], "training": {"episodes_per_update": 1, "updates": 12}},
    {"hidden_sizes": [33, 7], "optimizer": "adam", "training": {"episodes_per_update": 3, "updates": 3}},
    {"hidden_sizes": [], "baseline": "running_mean", "training": {"episodes_per_update": 2, "updates": 5}},
]


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_alone_gives_its_numbers_among_others(shape: dict[str, Any], normalize: bool) -> None:
    agent = {key: value for key, value in shape.items() if key != "training"}
    environment = {**CARTPOLE, "normalize_observations": normalize}
    config = config_of(environment, agent, {**shape["training"], "seeds": 5})
    together = Training(config)
    all_columns = together.advance().columns
    end, parameters = together.final(), together.parameters()
    for seed in (1, 4):
        alone = Training(config, seeds=[seed])
        got = alone.advance().columns
        for name, values in got.items():
            np.testing.assert_array_equal(values, all_columns[name][:, [seed, 5 + seed]], name)
        for name, layer in alone.parameters().items():
            np.testing.assert_array_equal(layer, parameters[name])
        for name, values in alone.final().items():
            np.testing.assert_array_equal(values, end[name][[seed, 5 + seed]], name)


@pytest.mark.parametrize(("hidden", "episodes"), list(product([(64, 64), (5,), (33, 7), (17,)], [1, 3, 16])))
def test_the_rows_of_a_policy_are_the_same_whoever_acts_beside_it(hidden: tuple[int, ...], episodes: int) -> None:
    learner = Training(config_of(CARTPOLE, {"hidden_sizes": hidden}, {"seeds": 9})).batches[0].learner
    learner.theta.detach().normal_(generator=torch.Generator().manual_seed(0))
    rows = torch.randn(18, episodes, 4, generator=torch.Generator().manual_seed(1))
    together = learner.log_pi(rows)
    for some in ([0], [17], [3, 4, 5], list(range(2, 18, 3))):
        torch.testing.assert_close(learner.log_pi(rows[some], torch.tensor(some)), together[some], rtol=0, atol=0)


def test_arms_of_a_seed_agree_until_the_first_gradient_step() -> None:
    got = Training(config_of(CARTPOLE, training={"updates": 2})).advance().columns
    for name in ("return_mean", "entropy_nats", "policy_loss"):
        np.testing.assert_array_equal(got[name][0, :2], got[name][0, 2:])
    assert (got["entropy_nats"][1, :2] != got["entropy_nats"][1, 2:]).all()


@pytest.mark.parametrize("id", ["CartPole-v1", "Acrobot-v1", "LunarLander-v3"])
def test_a_training_stopped_and_resumed_equals_one_that_was_not(id: str) -> None:
    if id.startswith("Lunar"):
        pytest.importorskip("Box2D")
    agent = {"optimizer": "adam", "baseline": "running_mean", "entropy_coef": 0.1}
    arms = {"one": {}, "two": {"entropy_coef": {"schedule": "target_entropy", "target_bits": 0.5, "rate": 0.1}}}
    environment = {"id": id, "normalize_observations": True, "max_episode_steps": 50}
    config = config_of(environment, agent, {"seeds": 2, "updates": 4}, arms)
    whole = Training(config)
    expected = whole.advance().columns
    stopped, resumed = Training(config), Training(config)
    stopped.advance(2)
    stopped.final()  # looking at the policies in between changes nothing
    state = {name: array.copy() for name, array in stopped.state().items()}
    resumed.load(state)
    got = resumed.advance().columns
    for name, values in got.items():
        np.testing.assert_array_equal(values, expected[name][2:], name)
    for name, values in resumed.state().items():
        np.testing.assert_array_equal(values, whole.state()[name], name)


# --- failures -------------------------------------------------------------------------------------------------


def reset_seeds(seed: int, number: int) -> list[int]:
    """Of the first `number` updates of 3 episodes."""
    return [s for u in range(number) for s in environment_seeds([seed], Purpose.ENVIRONMENT, u, 3)[0].tolist()]


@pytest.mark.parametrize("flaw", ["step", "reset"])
def test_an_error_in_a_simulator_names_the_environment_the_run_and_the_step(flaw: str) -> None:
    flawed = reset_seeds(7, 2)[3:]  # all episodes of the second update
    training = Training(
        config_of({**COUNTDOWN, "kwargs": {"flaw": flaw, "flawed": flawed}}, training={"seeds": [5, 7]})
    )
    training.advance(1)
    moment = "reset" if flaw == "reset" else "step 2"
    with pytest.raises(SimulatorError) as caught:
        training.advance()
    message = str(caught.value)
    assert message.startswith(f"Countdown-v0 failed at {moment} of an episode (arm without, seed 7, environment ")
    assert "OSError: " in message
    assert "device" in message


@pytest.mark.parametrize("flaw", ["reward", "observation"])
def test_what_is_not_finite_stops_its_run_alone(flaw: str) -> None:
    environment = {**COUNTDOWN, "kwargs": {"flaw": flaw, "flawed": reset_seeds(1, 2)[3:]}}
    config = config_of(environment, {"optimizer": "adam"}, {"seeds": 3, "updates": 5})
    training = Training(config)
    records = training.advance()
    got, end = records.columns, training.final()
    failed = np.array([False, True, False] * 2)
    np.testing.assert_array_equal(end["failed"], failed)
    np.testing.assert_array_equal(end["failed_update"], np.where(failed, 1, -1))
    np.testing.assert_array_equal(records.active, [[True] * 6] * 2 + [~failed] * 3)
    np.testing.assert_array_equal(np.isnan(end["greedy_return"]), failed)
    np.testing.assert_array_equal(np.isnan(end["final_return"]), failed)
    assert (got["env_steps"][1, failed] == got["env_steps"][-1, failed]).all()  # it plays no more
    others = Training(config, seeds=[0, 2])
    expected = others.advance().columns
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name][:, ~failed], values, name)
    for name, values in others.final().items():
        np.testing.assert_array_equal(end[name][~failed], values, name)


def test_training_goes_on_to_its_end_when_every_run_has_failed() -> None:
    flawed = reset_seeds(0, 1)
    environment = {**COUNTDOWN, "kwargs": {"flaw": "reward", "flawed": flawed, "endless": True}}
    training = Training(config_of(environment, training={"seeds": 1}))
    records = training.advance()
    assert records.active.any(1).tolist() == [True, False, False]
    assert training.final()["failed"].all()


@pytest.mark.parametrize(
    ("environment", "agent", "message"),
    [
        (CARTPOLE, {"baseline": "value"}, r'arms.without: baseline = "value" .* CartPole-v1 has no tables'),
        (CARTPOLE, {"gradient": "exact"}, r'arms.without: gradient = "exact" .* CartPole-v1 has no tables'),
        (CARTPOLE, {"policy": "tabular"}, r'arms.without: policy = "tabular" needs numbered states'),
        ({**TWO_ROOMS, "tables": False}, {"gradient": "exact"}, r"environment.tables is false"),
        ({**TWO_ROOMS, "normalize_observations": True}, {}, r"normalize_observations: .* shows states"),
    ],
)
def test_options_that_need_a_finite_world_say_so(
    environment: dict[str, Any], agent: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Training(config_of(environment, agent))


# --- it learns ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_pole_is_balanced() -> None:
    agent = {"hidden_sizes": [16], "optimizer": "adam", "learning_rate": 0.03, "discount": 0.99}
    training = {"seeds": 3, "episodes_per_update": 8, "updates": 20}
    config = config_of({"id": "CartPole-v1"}, {**agent, "baseline": "leave_one_out"}, training, {"one": {}})
    got = Training(config).advance().columns["return_mean"]
    assert (got[0] < 40).all()  # the uniform policy falls after some 22 steps
    assert np.median(got[-5:]) > 5 * np.median(got[0])
