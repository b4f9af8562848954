"""Observations with parts are what Gymnasium's `flatten` makes of them, and what is no part is refused."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Sequence, Text, Tuple, flatten

from experiments import load_config, train
from experiments.config.schema import ConfigError, Environment
from experiments.training.spaces import Undeclared, converter, largest_number, seen_as
from experiments.training.worlds import make_world

SPACES = {
    "counts": MultiDiscrete([3, 4], start=[0, 5]),
    "flags": MultiBinary((2, 3)),
    "pair": Tuple([Discrete(5, start=2), Box(-1, 1, (2,), np.float32)]),
    "named": Dict({"where": Box(0, 255, (2, 2), np.uint8), "inside": Tuple([Discrete(2), MultiBinary(3)])}),
}


class Shows(gymnasium.Env[Any, Any]):
    """Shows samples of a space for three steps, and takes note of its actions."""

    taken: list[Any] = []  # noqa: RUF012

    def __init__(self, space: str = "pair") -> None:
        self.observation_space = SPACES[space] if space in SPACES else Tuple([Discrete(2), Text(3)])
        self.action_space = Discrete(2, start=1, dtype=np.int16)  # type: ignore[type-var]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self._steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.taken.append(action)
        self._steps += 1
        return self.observation_space.sample(), 1.0, self._steps == 3, False, {}


gymnasium.register("Shows-v0", Shows, max_episode_steps=5)


def config(environment: dict[str, Any], **agent: Any) -> Any:
    return load_config(
        {
            "name": "parts",
            "description": "observations with parts",
            "environment": environment,
            "agent": {"policy": "mlp", "hidden_sizes": [4], **agent},
            "training": {"seeds": 2, "updates": 2, "episodes_per_update": 2},
            "arms": {"without": {}, "with_entropy": {"entropy_coef": 0.1}},
        }
    )


@pytest.mark.parametrize("name", SPACES)
def test_a_row_is_what_gymnasium_flattens(name: str) -> None:
    space = SPACES[name]
    space.seed(0)
    for _ in range(20):
        seen = space.sample()
        row = converter(space)(seen)
        np.testing.assert_array_equal(row, flatten(space, seen))
        assert seen_as(space).contains(row)


@pytest.mark.parametrize("name", SPACES)
def test_a_world_that_shows_it_is_trained_in(name: str) -> None:
    result = train(config({"id": "Shows-v0", "kwargs": {"space": name}}))
    assert not any(result.runs["failed"].to_pylist())


def test_blackjack_is_trained_in() -> None:
    result = train(config({"id": "Blackjack-v1", "max_episode_steps": 20}))
    assert not any(result.runs["failed"].to_pylist())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("counts", [3, 6]),
        ("counts", [0.5, 6]),
        ("flags", np.full((2, 3), 2)),
        ("pair", (2,)),
        ("pair", (7, [0, 0])),
        ("pair", 3),
        ("pair", np.array(3)),
        ("pair", np.array([2, 0.5, 1])),
        ("named", {"where": np.zeros((2, 2))}),
        ("named", (1, 2)),
    ],
)
def test_what_is_not_declared_is_refused(name: str, shown: Any) -> None:
    with pytest.raises(Undeclared, match=r"declares .* shows"):
        converter(SPACES[name])(shown)


@pytest.mark.parametrize(
    "space", [Tuple([]), Dict({}), Tuple([Discrete(2), Dict({})]), MultiDiscrete([])], ids=str
)
def test_what_has_no_numbers_is_refused_in_one_line(space: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPACES, "none", space)
    with pytest.raises(ConfigError, match=r"Shows-v0 has the observation space|has no numbers") as caught:
        make_world(Environment(id="Shows-v0", kwargs={"space": "none"}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shown", [np.array([1, 2]), [1, 2], (1, np.int64(2))], ids=repr)
def test_a_tuple_is_shown_as_gymnasium_lets_it(shown: Any) -> None:
    space = Tuple([Discrete(3), Discrete(4)])
    assert space.contains(shown)
    np.testing.assert_array_equal(converter(space)(shown), flatten(space, (1, 2)))


@pytest.mark.parametrize("space", ["text", "sequence"])
def test_what_has_no_fixed_width_is_refused_in_one_line(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPACES, "sequence", Tuple([Discrete(2), Sequence(Discrete(3))]))
    with pytest.raises(
        ConfigError, match="needs Discrete, Box, MultiDiscrete, MultiBinary, or a Tuple or Dict of"
    ):
        make_world(Environment(id="Shows-v0", kwargs={"space": space}))


def test_a_table_needs_state_numbers() -> None:
    with pytest.raises(ConfigError, match='policy = "tabular" needs numbered states'):
        train(config({"id": "Blackjack-v1", "max_episode_steps": 20}, policy="tabular", hidden_sizes=[64, 64]))


def test_actions_come_in_the_type_of_their_space() -> None:
    Shows.taken.clear()
    train(config({"id": "Shows-v0"}))
    assert {type(action) for action in Shows.taken} == {np.int16}
    assert set(Shows.taken) <= {1, 2}


@pytest.mark.parametrize(
    ("space", "largest"),
    [
        (Box(0, 255, (2,), np.uint8), 255),
        (Box(-np.inf, np.inf, (2,), np.float32), 0),
        (Box(np.array([-4.8, -3.4028235e38], np.float32), np.array([2.4, 3.4028235e38], np.float32)), 4.8),
        (Discrete(1000), 0),
        (SPACES["named"], 255),
    ],
)
def test_large_numbers_are_seen_in_the_declaration(space: Any, largest: float) -> None:
    assert largest_number(space) == pytest.approx(largest, rel=1e-6, abs=0)


def test_large_numbers_are_advised_on_until_they_are_normalised() -> None:
    shown = {"id": "Shows-v0", "kwargs": {"space": "named"}}
    (advice,) = make_world(Environment(**shown)).advice
    assert "up to 255" in advice
    assert "environment.normalize_observations=true" in advice
    assert make_world(Environment(**shown, normalize_observations=True)).advice == ()
    assert make_world(Environment(id="CartPole-v1")).advice == ()


@pytest.mark.parametrize(
    ("agent", "arm", "said"),
    [
        ({"hidden_sizes": [8]}, {}, r"^config: agent: hidden_sizes needs policy = \"mlp\""),
        ({"policy": "tabular"}, {"hidden_sizes": [8]}, r"^config: arms\.with_entropy: hidden_sizes needs policy"),
    ],
)
def test_layers_of_a_table_are_refused(agent: dict[str, Any], arm: dict[str, Any], said: str) -> None:
    base = config({"id": "FourAction/TwoRooms-v0"}).model_dump(exclude_none=True)
    arms = {"without": {}, "with_entropy": arm}
    with pytest.raises(ConfigError, match=said):
        load_config({**base, "agent": agent, "arms": arms})
    load_config({**base, "agent": agent, "arms": {"without": {}, "with_entropy": {**arm, "policy": "mlp"}}})


def test_a_package_that_is_missing_is_one_of_our_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> Any:
        raise gymnasium.error.DependencyNotInstalled(
            'Box2D is not installed, run `pip install "gymnasium[box2d]"`'
        )

    monkeypatch.setattr(gymnasium, "make", missing)
    with pytest.raises(ConfigError, match=r'Box2D is not installed.*; here: pip install "\.\[box2d\]"$'):
        make_world(Environment(id="LunarLander-v3"))
