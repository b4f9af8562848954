"""How far each number of a config may go, what a config that says nothing means, and the words of each refusal."""

import copy
from typing import Any

import pytest

from experiments import ConfigError, load_config
from experiments.config.schema import Agent, Config, Environment, Training

BASE: dict[str, Any] = {
    "name": "small",
    "description": "two arms",
    "environment": {"id": "FourAction/Bandit-v0"},
    "training": {"seeds": 1, "updates": 1},
    "arms": {"a": {}, "b": {}},
}
LINEAR = {"schedule": "linear", "start": 0.1, "end": 0.0}
EXPONENTIAL = {"schedule": "exponential", "start": 0.1, "decay": 0.9}
TARGET = {"schedule": "target_entropy", "target_bits": 1.0, "rate": 0.1}
TINY, HUGE = 5e-324, 1e308
# A place; the least and the greatest value that it takes; and the nearest ones that it refuses, if there are any.
LIMITS: list[tuple[str, tuple[Any, ...], tuple[Any, ...]]] = [
    ("name", ("a", "z_9" * 21 + "a"), ("", "a" * 65)),
    ("environment.max_episode_steps", (1, 1_000_000), (0, 1_000_001)),
    ("environment.solved_return", (-HUGE, HUGE), (float("nan"),)),
    ("environment.worlds", (1, 100_000), (0, 100_001)),
    ("environment.reward_scale", (TINY, HUGE), (0.0, float("inf"))),
    ("environment.reward_offset", (-HUGE, HUGE), (float("-inf"), float("inf"))),
    ("agent.hidden_sizes", ([], [1], [4096] * 8), ([0], [4097], [1] * 9)),
    ("agent.initial_policy", ([TINY, 1.0], [0.5, 0.5000009]), ([0.0, 1.0], [0.5, 0.5000011])),
    ("agent.learning_rate", (TINY, HUGE), (0.0, float("inf"))),
    ("agent.discount", (0.0, 1.0), (-TINY, 1.0000001)),
    ("agent.value_learning_rate", (0.0, 1.0), (-TINY, 1.0000001)),
    ("agent.max_grad_norm", (0.0, HUGE), (-TINY, float("inf"))),
    ("agent.entropy_coef", (0.0, HUGE), (-TINY, float("inf"))),
    ("agent.entropy_coef", (LINEAR | {"start": 0.0, "end": HUGE},), (LINEAR | {"start": -TINY},)),
    ("agent.entropy_coef", (LINEAR | {"fraction": TINY},), (LINEAR | {"fraction": 0.0}, LINEAR | {"end": -TINY})),
    ("agent.entropy_coef", (LINEAR | {"fraction": 1.0},), (LINEAR | {"fraction": 1.0000001},)),
    ("agent.entropy_coef", (EXPONENTIAL | {"start": 0.0},), (EXPONENTIAL | {"start": -TINY},)),
    ("agent.entropy_coef", (EXPONENTIAL | {"decay": TINY},), (EXPONENTIAL | {"decay": 0.0},)),
    ("agent.entropy_coef", (EXPONENTIAL | {"decay": 1.0},), (EXPONENTIAL | {"decay": 1.0000001},)),
    ("agent.entropy_coef", (TARGET | {"target_bits": 0.0, "start": 0.0},), (TARGET | {"target_bits": -TINY},)),
    ("agent.entropy_coef", (TARGET | {"rate": TINY},), (TARGET | {"rate": 0.0}, TARGET | {"start": -TINY})),
    ("agent.behaviour_epsilon", (0.0, 0.999), (-TINY, 1.0000001)),
    ("agent.behaviour_epsilon", (LINEAR | {"end": 1.0},), (LINEAR | {"end": 1.0000001},)),
    ("agent.behaviour_epsilon", (EXPONENTIAL | {"start": 1.0},), (EXPONENTIAL | {"start": 1.0000001},)),
    ("training.seeds", (1, 100_000), (0, 100_001)),
    ("training.seeds", ([0, 2**63 - 1], list(range(100_000))), ([-1], [2**63], list(range(100_001)))),
    ("training.seeds", ({"first": 0, "count": 1},), ({"first": -1, "count": 1}, {"first": 0, "count": 0})),
    ("training.seeds", ({"first": 2**63 - 100_001, "count": 100_000},), ({"first": 2**63 - 100_000, "count": 1},)),
    ("training.episodes_per_update", (1, 100_000), (0, 100_001)),
    ("training.updates", (1, 10_000_000), (0, 10_000_001)),
    ("training.max_env_steps", (1, 2**53), (0, 2**53 + 1)),
    ("arms", ({"a": {}}, {f"arm_{n}": {} for n in range(1000)}), ({}, {f"arm_{n}": {} for n in range(1001)})),
]  # fmt: skip


def with_values(*given: tuple[str, Any]) -> dict[str, Any]:
    """The base with other values at dotted places."""
    table = copy.deepcopy(BASE)
    for place, value in given:
        *parents, key = place.split(".")
        inner = table
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = value
    return table


@pytest.mark.parametrize(("place", "valid", "refused"), LIMITS, ids=[place for place, *_ in LIMITS])
def test_a_number_goes_as_far_as_this_and_no_farther(
    place: str, valid: tuple[Any, ...], refused: tuple[Any, ...]
) -> None:
    also = [("agent.policy", "mlp")] if place == "agent.hidden_sizes" else []
    for value in valid:
        assert isinstance(load_config(with_values((place, value), *also)), Config), value
    for value in refused:
        with pytest.raises(ConfigError, match=place.split(".")[-1]):
            load_config(with_values((place, value), *also))


def test_runs_are_seeds_times_worlds_times_arms_and_at_most_a_million() -> None:
    at_most = with_values(("environment.worlds", 500), ("training.seeds", 1000))
    assert load_config(at_most).runs_per_arm == 500_000
    with pytest.raises(ConfigError) as refusal:
        load_config(with_values(("environment.worlds", 500), ("training.seeds", 1001)))
    assert str(refusal.value) == (
        "config: 2 arms with 1,001,000 runs are too many: valid are up to 1,000 arms and 1,000,000 runs"
    )


def test_what_a_config_leaves_out_is_plain_reinforce_on_tables() -> None:
    """An experiment names only what differs from this, so another default would make it another experiment."""
    assert Agent().model_dump() == {
        "policy": "tabular",
        "hidden_sizes": (64, 64),
        "initialization": "orthogonal",
        "initial_policy": None,
        "gradient": "sampled",
        "horizon": "time_limit",
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "discount": 1.0,
        "discount_weighting": False,
        "baseline": "none",
        "value_learning_rate": 0.1,
        "normalize_advantages": False,
        "loss_reduction": "per_episode",
        "max_grad_norm": 0.0,
        "entropy_coef": 0.0,
        "regularizer": "entropy",
        "entropy_objective": "bonus",
        "soft_return_offset": "none",
        "behaviour_epsilon": 0.0,
        "behaviour_gradient": "mixture",
    }
    assert Environment(id="CartPole-v1").model_dump() == {
        "id": "CartPole-v1",
        "kwargs": {},
        "max_episode_steps": None,
        "solved_return": None,
        "worlds": None,
        "reward_scale": 1.0,
        "reward_offset": 0.0,
        "tables": True,
        "normalize_observations": False,
    }
    assert Training(seeds=1, updates=1).model_dump() == {
        "seeds": 1,
        "episodes_per_update": 1,
        "updates": 1,
        "max_env_steps": None,
    }
    config = load_config(with_values(("agent.entropy_coef", LINEAR), ("arms.b.entropy_coef", TARGET)))
    assert (config.declared, config.claims) == (None, ())
    assert config.agent_of("a").model_dump()["entropy_coef"]["fraction"] == 1.0
    assert config.agent_of("b").model_dump()["entropy_coef"]["start"] == 0.0
    claim = {"statement": "s", "measure": "final_return", "expect": "a > b"}
    assert load_config(with_values(("claims", [claim]))).claims[0].limit is False


def test_the_content_of_a_config_is_that_config() -> None:
    """With everything that it left out written down."""
    config = load_config(with_values(("agent.entropy_coef", LINEAR), ("training.seeds", {"first": 3, "count": 2})))
    assert load_config(config.model_dump()) == config


EXACT, SOFT = ("agent.gradient", "exact"), ("agent.entropy_objective", "soft_return")
MIXTURE_ALONE = (
    "agent: behaviour_epsilon is 1 in every update: the actions do not depend on the policy, and every gradient "
    'is 0; use a smaller share, or behaviour_gradient = "policy"'
)
NO_SAMPLES = 'agent: gradient = "exact" takes no baseline and no normalisation: nothing is sampled'
NO_LAYERS = 'hidden_sizes needs policy = "mlp"; a table has no layers'
MESSAGES: list[tuple[list[tuple[str, Any]], str]] = [
    (
        [("environment.kwargs", {"render_mode": "human"})],
        'environment: kwargs.render_mode = "human" would open a window for every environment: leave it out',
    ),
    (
        [("environment.kwargs", {"max_episode_steps": 3}), ("environment.max_episode_steps", 4)],
        "environment: kwargs.max_episode_steps = 3 contradicts max_episode_steps = 4: leave one of them out",
    ),
    (
        [("environment.kwargs", {"id": "CartPole-v1"})],
        "environment: kwargs.id = 'CartPole-v1' contradicts id = 'FourAction/Bandit-v0': leave one of them out",
    ),
    (
        [("environment.kwargs", {"disable_env_checker": False})],
        "environment: kwargs.disable_env_checker = False contradicts disable_env_checker = True: leave one of "
        "them out",
    ),
    (
        [("environment.kwargs", {"world": 3}), ("environment.worlds", 2)],
        "environment: kwargs.world and worlds both say which world it is: leave one of them out",
    ),
    (
        [("agent.initial_policy", [0.5, 0.25])],
        "agent.initial_policy: the probabilities must sum to 1, not 0.75",
    ),
    (
        [("agent.initial_policy", [1.0, 0.0])],
        "agent.initial_policy: every probability must be above 0 (a softmax policy cannot be 0)",
    ),
    (
        [("agent.behaviour_epsilon", LINEAR | {"end": 1.5})],
        "agent: behaviour_epsilon is a share of at most 1: it cannot be 1.5",
    ),
    ([("agent.behaviour_epsilon", 1.0)], MIXTURE_ALONE),
    ([("agent.behaviour_epsilon", LINEAR | {"start": 1.0, "end": 1.0})], MIXTURE_ALONE),
    ([("agent.behaviour_epsilon", EXPONENTIAL | {"start": 1.0, "decay": 1.0})], MIXTURE_ALONE),
    (
        [("agent.horizon", "infinite")],
        'agent: horizon = "infinite" needs gradient = "exact": sampled episodes end at a limit',
    ),
    (
        [EXACT, ("agent.behaviour_gradient", "policy")],
        'agent: gradient = "exact" is that of the mixture that acts: use behaviour_gradient = "mixture"',
    ),
    ([EXACT, ("agent.baseline", "value")], NO_SAMPLES),
    ([EXACT, ("agent.normalize_advantages", True)], NO_SAMPLES),
    (
        [EXACT, ("agent.loss_reduction", "per_step")],
        'agent: gradient = "exact" is an expectation per episode: use loss_reduction = "per_episode"',
    ),
    (
        [SOFT, ("agent.baseline", "batch_mean")],
        'agent: entropy_objective = "soft_return" with baseline = "batch_mean" is biased: use "leave_one_out"',
    ),
    (
        [SOFT, ("agent.regularizer", "logit_l2")],
        'agent: entropy_objective = "soft_return" has the entropy in it: regularizer = "entropy"',
    ),
    (
        [("agent.soft_return_offset", "uniform")],
        'agent: soft_return_offset needs entropy_objective = "soft_return"',
    ),
    (
        [("training.seeds", [3, 3])],
        "training.seeds: seeds must be a count of at least 1 or a list of distinct numbers",
    ),
    ([("arms", {})], "needs at least one arm, as in [arms.without_entropy]"),
    (
        [("arms.b.baseline", "batch_mean")],
        'arms.b: baseline = "batch_mean" needs training.episodes_per_update above 1',
    ),
    (
        [("arms.b.gradient", "exact"), ("arms.b.max_env_steps", 9)],
        'arms.b: gradient = "exact" takes no steps, so max_env_steps ends no run',
    ),
    ([("arms.b.updates", 0)], "arms.b.updates: Input should be greater than or equal to 1, not 0"),
    ([("arms.b.discount", 2)], "arms.b.discount: Input should be less than or equal to 1, not 2"),
    ([("arms.b.hidden_sizes", [4])], f"arms.b: {NO_LAYERS}"),
    ([("agent.hidden_sizes", [4])], f"agent: {NO_LAYERS}"),
    (
        [("claims", [{"statement": "s", "measure": "solved", "expect": "a > b"}])],
        "claims.0: measure 'solved' needs environment.solved_return, which is missing",
    ),
    (
        [("environment.tables", False), ("claims", [{"statement": "s", "measure": "regret", "expect": "a > b"}])],
        "claims.0: measure 'regret' needs the tables of a finite world; environment.tables is false",
    ),
    (
        [
            ("arms.b.gradient", "exact"),
            ("claims", [{"statement": "s", "measure": "state_coverage", "expect": "a > b"}]),
        ],
        "claims.0: measure 'state_coverage' needs sampled steps; arms.b has gradient = \"exact\"",
    ),
]


@pytest.mark.parametrize(("values", "message"), MESSAGES, ids=[message[:50] for _, message in MESSAGES])
def test_what_does_not_fit_together_is_refused_in_these_words(values: list[tuple[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(with_values(*values))
    assert str(refusal.value) == f"config: {message}"


@pytest.mark.parametrize(
    "values",
    [
        [("environment.kwargs", {"max_episode_steps": 3})],
        [("environment.kwargs", {"max_episode_steps": 3}), ("environment.max_episode_steps", 3)],
    ],
)
def test_a_limit_may_stand_in_kwargs_or_in_both_places(values: list[tuple[str, Any]]) -> None:
    environment = load_config(with_values(*values)).environment
    assert (environment.kwargs, environment.max_episode_steps) == ({}, 3)


@pytest.mark.parametrize(
    "values",
    [
        [("agent.behaviour_epsilon", 1.0), ("agent.behaviour_gradient", "policy")],
        [("agent.behaviour_epsilon", LINEAR | {"start": 1.0, "end": 0.5})],
        [("agent.behaviour_epsilon", EXPONENTIAL | {"start": 1.0})],
        [EXACT, ("agent.horizon", "infinite")],
        [SOFT, ("agent.baseline", "leave_one_out"), ("training.episodes_per_update", 2)],
        [SOFT, ("agent.soft_return_offset", "uniform")],
        [("agent.hidden_sizes", [4]), ("arms.b.policy", "mlp")],
        [("agent.hidden_sizes", [4]), ("agent.policy", "tabular")],
    ],
)
def test_and_what_fits_is_not(values: list[tuple[str, Any]]) -> None:
    assert isinstance(load_config(with_values(*values)), Config)


def test_a_world_of_a_family_is_an_environment_with_that_argument() -> None:
    family = Environment(id="W", kwargs={"size": 3}, worlds={"first": 5, "count": 2})  # type: ignore[arg-type]
    assert [family.of_world(k) for k in family.world_list] == [
        Environment(id="W", kwargs={"size": 3, "world": world}) for world in (5, 6)
    ]
    single = Environment(id="W")
    assert [single.of_world(k) for k in single.world_list] == [single]


@pytest.mark.parametrize("most", [1, 3, 4, 5, 6, 100, None])
def test_a_run_takes_at_most_so_many_steps(most: int | None) -> None:
    """Two episodes of one to three steps in each of four updates; none begins once `most` steps are taken."""
    limits = [] if most is None else [("training.max_env_steps", most)]
    config = load_config(with_values(("training.episodes_per_update", 2), ("arms.a", {"updates": 4}), *limits))
    taken = possible = {0}
    for _ in range(4):
        goes_on = {steps for steps in possible if most is None or steps < most}
        possible = {steps + more for steps in goes_on for more in range(2, 7)}
        taken = taken | possible
    assert config.most_steps("a", time_limit=3) == max(taken)
    assert config.most_updates == 4
