"""A config is read strictly: a mistake is one line that names the place, and the command writes nothing."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import train
from experiments import Config, ConfigError, load_config
from experiments.config.loading import check_take_effect
from experiments.config.schema import Agent, Environment, Linear, TargetEntropy
from experiments.config.schema import Training as TrainingSection
from experiments.storage.run_folder import config_text
from experiments.training.loop import Training
from tests.experiments.comparisons import CONFIGS, comparison
from tests.experiments.comparisons import TWO_ROOMS as TWO_ROOMS_WORLD

TWO_ROOMS, BANDIT = CONFIGS / "two_rooms.toml", CONFIGS / "bandit.toml"

# --- what is refused, and in which words ---

MISTAKES = {
    "unknown key": (["agent.learning_rat=0.1"], "agent.learning_rat: unknown key; did you mean 'learning_rate'"),
    "unknown section": (["agnet.learning_rate=0.1"], "agnet: unknown key; did you mean 'agent'"),
    "unknown key of an arm": (
        ["arms.with_entropy.entropy_coeff=0.1"],
        "arms.with_entropy.entropy_coeff: unknown key; did you mean 'entropy_coef'",
    ),
    "key of another section": (["training.learning_rate=1.0"], "training.learning_rate: unknown key"),
    "text for a number": (["agent.learning_rate='fast'"], "agent.learning_rate: .* valid number, not 'fast'"),
    "truth for a number": (["agent.learning_rate=true"], "agent.learning_rate: .* valid number, not True"),
    "number for a truth": (
        ["agent.normalize_advantages=1"],
        "agent.normalize_advantages: .* valid boolean, not 1",
    ),
    "fraction for a count": (["training.updates=1.5"], "training.updates: .* valid integer, not 1.5"),
    "not a number": (["agent.learning_rate=nan"], "agent.learning_rate: .* finite number, not nan"),
    "number for a section": (["agent=3"], "agent: .*not 3"),
    "unknown choice": (["agent.optimizer='adm'"], "agent.optimizer: .*'sgd' or 'adam', not 'adm'"),
    "negative coefficient": (
        ["agent.entropy_coef=-0.1"],
        "agent.entropy_coef: .* greater than or equal to 0, not -0.1",
    ),
    "negative coefficient of an arm": (
        ["arms.with_entropy.entropy_coef=-1"],
        "arms.with_entropy.entropy_coef: .* greater than or equal to 0, not -1",
    ),
    "schedule that turns negative": (
        ["agent.entropy_coef={schedule='linear', start=1, end=-1}"],
        "agent.entropy_coef.end: .* greater than or equal to 0, not -1",
    ),
    "schedule that grows": (
        ["agent.entropy_coef={schedule='exponential', start=1, decay=1.1}"],
        "agent.entropy_coef.decay: .* less than or equal to 1, not 1.1",
    ),
    "unknown schedule": (["agent.entropy_coef={schedule='cosine', start=1}"], "agent.entropy_coef: .*'linear'"),
    "incomplete schedule": (
        ["agent.entropy_coef={schedule='linear', start=1}"],
        "agent.entropy_coef.end: is missing",
    ),
    "unknown key of a schedule": (
        ["agent.entropy_coef={schedule='linear', start=1, end=0, fractoin=1}"],
        "fractoin: unknown key; did you mean 'fraction'",
    ),
    "no seeds": (["training.seeds=0"], "training.seeds: .* greater than or equal to 1, not 0"),
    "empty list of seeds": (["training.seeds=[]"], "training.seeds: .* distinct"),
    "duplicate seeds": (["training.seeds=[3, 4, 3]"], "training.seeds: .* distinct"),
    "negative seed": (["training.seeds=[-1]"], "training.seeds.0: .* greater than or equal to 0, not -1"),
    "no updates": (["training.updates=0"], "training.updates: .* greater than or equal to 1, not 0"),
    "policy that does not sum to one": (
        ["agent.initial_policy=[0.5, 0.6, 0.1, 0.1]"],
        "agent.initial_policy: the probabilities must sum to 1, not 1.3$",
    ),
    "policy with a zero": (["agent.initial_policy=[1.0, 0.0, 0.0, 0.0]"], "agent.initial_policy: .*above 0"),
    "no arms": (["arms={}"], "at least one arm"),
    "arms that are no table": (["arms=3", "agent.learning_rate=0.5"], "arms: .*not 3"),
    "arm that is no table": (["arms.with_entropy=3"], "arms.with_entropy: .*not 3"),
    "arm that is no table, beside what it would set": (
        ["arms.with_entropy=3", "agent.learning_rate=0.5"],
        "arms.with_entropy: .*not 3",
    ),
    "name with a space": (["name='two rooms'"], r"name: .*\[a-z0-9_\]"),
    "baseline that needs others": (
        ["training.episodes_per_update=1", "agent.baseline='leave_one_out'"],
        'baseline = "leave_one_out" needs training.episodes_per_update above 1',
    ),
    "exact with a baseline": (
        ["agent.gradient='exact'", "agent.baseline='value'"],
        'gradient = "exact" takes no baseline',
    ),
    "infinite horizon of samples": (["agent.horizon='infinite'"], 'horizon = "infinite" needs gradient = "exact"'),
    "biased soft return": (
        ["agent.entropy_objective='soft_return'", "agent.baseline='batch_mean'"],
        'use "leave_one_out"',
    ),
    "offset of nothing": (["agent.soft_return_offset='uniform'"], 'needs entropy_objective = "soft_return"'),
    "claim about an unknown arm": (
        ["claims=[{statement='s', measure='solved', expect='with_entropi > without_entropy'}]"],
        "unknown arm 'with_entropi'; did you mean 'with_entropy'",
    ),
    "claim about an unknown measure": (
        ["claims=[{statement='s', measure='solvd', expect='with_entropy > without_entropy'}]"],
        "unknown measure 'solvd'; did you mean 'solved'",
    ),
    "override without a value": (["agent.learning_rate="], "no TOML value"),
    "override with unquoted text for a world": (["environment.kwargs.map_name=8x8"], "text needs quotes"),
    "word for a number": (["agent.learning_rate=fast"], "agent.learning_rate: .* valid number, not 'fast'"),
    "word for a truth": (["agent.normalize_advantages=yes"], "normalize_advantages: .* valid boolean, not 'yes'"),
    "word that is no choice": (["agent.optimizer=adm"], "agent.optimizer: .*'sgd' or 'adam', not 'adm'"),
    "word for an unknown key": (
        ["agent.optimiser=adam"],
        "agent.optimiser: unknown key; did you mean 'optimizer'",
    ),
    "more seeds than there are": (
        ["training.seeds=50"],
        r"override 'training.seeds=50': the config has 30 seeds of its own.*\{ first = 0, count = 50 \}",
    ),
    "range without an end": (["training.seeds={ first = 5 }"], "training.seeds.count: is missing"),
    "range with a mistyped key": (
        ["training.seeds={ frist = 5, count = 3 }"],
        "training.seeds.frist: unknown key; did you mean 'first'",
    ),
    "empty range": (["training.seeds={ first = 5, count = 0 }"], "training.seeds.count: .*equal to 1, not 0"),
    "range below zero": (
        ["training.seeds={ first = -5, count = 3 }"],
        "training.seeds.first: .*equal to 0, not -5",
    ),
    "override that no arm feels": (
        ["agent.entropy_coef=0.5"],
        r"it would change no arm, because each \(without_entropy, with_entropy\) sets its own entropy_coef; "
        r"write arms\.with_entropy\.entropy_coef=0\.5$",
    ),
    "override inside a key that no arm feels": (
        ["agent.entropy_coef.start=0.5"],
        "override 'agent.entropy_coef.start=0.5': it would change no arm, because each .* its own entropy_coef$",
    ),
    "override without a key": (["=3"], "dotted.key=value"),
    "override below a value": (["agent.learning_rate.x=3"], "learning_rate is a value, not a section"),
}
# These only the world can tell.
MISFITS = {
    "unknown id": (
        ["environment.id='FourAction/TwoRoom-v0'"],
        "environment.id: .*TwoRoom.*did you mean 'FourAction/TwoRooms-v0'",
    ),
    "unknown version": (["environment.id='FourAction/TwoRooms-v7'"], "environment.id: .*v7"),
    "id of nothing": (["environment.id='nonsense'"], "environment.id: .*nonsense"),
    "unknown argument": (["environment.kwargs.size=3"], "environment.kwargs: .*size"),
    "actions that are numbers on a line": (
        ["environment.id='Pendulum-v1'"],
        r"environment: Pendulum-v1 has the action space Box.*needs Discrete\(n\)",
    ),
    "no time limit": (
        ["environment={id='CliffWalking-v1', solved_return=-50}"],
        "environment: max_episode_steps: CliffWalking-v1 has no time limit of its own",
    ),
    "policy of the wrong length": (
        ["agent.initial_policy=[0.5, 0.5]"],
        "initial_policy has 2 probabilities; FourAction/TwoRooms-v0 has 4 actions",
    ),
    "target above the uniform policy's entropy": (
        ["arms.with_entropy.entropy_coef={schedule='target_entropy', target_bits=2.1, rate=0.1}"],
        r"arms.with_entropy: entropy_coef.target_bits = 2.1 is above log2\(4\) = 2",
    ),
    "exact without tables": (
        ["agent.gradient='exact'", "environment={id='CartPole-v1', solved_return=475}"],
        'gradient = "exact" needs the tables of a finite world; CartPole-v1 has no tables',
    ),
}


@pytest.mark.parametrize(("overrides", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_place(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        load_config(TWO_ROOMS, overrides)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("overrides", "words"), MISFITS.values(), ids=MISFITS)
def test_what_does_not_fit_the_world_is_named_with_its_place(overrides: list[str], words: str) -> None:
    config = load_config(TWO_ROOMS, overrides)
    with pytest.raises(ConfigError, match=words) as refusal:
        Training(config)
    assert "\n" not in str(refusal.value)


KEYS = st.sampled_from(
    ["schedule", "start", "end", "id", "seeds", "entropy_coef", "learning_rate", "initial_policy"]
)


def assert_config_or_one_line(source: Path | dict[str, Any], overrides: list[str]) -> None:
    try:
        config = load_config(source, overrides)
    except ConfigError as error:
        lines = str(error).splitlines()
    else:
        lines = config_text(config).splitlines()[:1]
    assert len(lines) == 1


# Anything that TOML can hold, and things that are nearly right.
toml_values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["sgd", "linear", "mlp"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9) | KEYS, inner, max_size=3),
    max_leaves=6,
)
PLACES = st.sampled_from(
    [
        ("name",), ("environment",), ("environment", "kwargs"), ("agent",), ("agent", "hidden_sizes"),
        ("agent", "entropy_coef"), ("agent", "initial_policy"), ("training", "seeds"), ("training", "updates"),
        ("arms",), ("arms", "with_entropy"), ("arms", "with_entropy", "entropy_coef"), ("claims",), ("x\ny",),
    ]
)  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(PLACES, toml_values)
def test_whatever_is_written_there_the_answer_is_a_config_or_one_line(place: tuple[str, ...], value: Any) -> None:
    table = tomllib.loads(TWO_ROOMS.read_text())
    inner = table
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert_config_or_one_line(table, [])


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=30) | st.text(max_size=20).map(lambda text: f"agent.learning_rate={text}"))
def test_whatever_is_typed_as_an_override_the_answer_is_a_config_or_one_line(override: str) -> None:
    assert_config_or_one_line(TWO_ROOMS, [override])


# --- files ---


def test_a_file_that_is_not_there_is_named_with_its_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    with pytest.raises(ConfigError, match=r"configs/two_room\.toml: .*did you mean 'configs/two_rooms.toml'"):
        load_config("configs/two_room.toml")


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"[agent"])
def test_a_file_that_is_no_toml_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.toml: not valid TOML"):
        load_config(path)


def test_a_mistyped_key_is_named_rather_than_the_one_that_it_leaves_missing() -> None:
    table = comparison(TWO_ROOMS_WORLD, {}).model_dump(exclude_none=True)
    table["training"]["seedz"] = table["training"].pop("seeds")
    with pytest.raises(ConfigError, match=r"config: training\.seedz: unknown key; did you mean 'seeds'"):
        load_config(table)


def test_a_missing_section_is_named() -> None:
    with pytest.raises(ConfigError, match="config: environment: is missing"):
        load_config({"name": "a", "description": "b", "training": {"seeds": 1, "updates": 1}, "arms": {"a": {}}})


# --- overrides and arms ---


def test_overrides_are_toml_values_at_dotted_places() -> None:
    config = load_config(
        BANDIT,
        [
            "training.seeds=[7]",
            "agent.learning_rate=1",
            "description='a = b'",
            "environment.kwargs.reward_std=0.5",
            "environment.kwargs.rewards=[1, 0]",
            "arms.with_entropy.entropy_coef={schedule='linear', start=0.1, end=0}",
        ],
    )
    assert config.training.seed_list == (7,)
    assert config.agent.learning_rate == 1.0
    assert config.description == "a = b"
    assert config.environment.kwargs == {"rewards": [1, 0], "reward_std": 0.5}
    assert config.agent_of("with_entropy").entropy_coef == Linear(schedule="linear", start=0.1, end=0.0)


def test_a_config_lies_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.toml").write_text(BANDIT.read_text())
    assert load_config("~/mine.toml") == load_config(Path("~/mine.toml")) == load_config(BANDIT)


def test_later_overrides_win() -> None:
    assert load_config(BANDIT, ["training.updates=3", "training.updates=4"]).training.updates == 4


def test_an_arm_beats_an_override_of_the_base() -> None:
    config = load_config(TWO_ROOMS, ["agent.entropy_coef=0.7", "agent.learning_rate=0.5", "arms.third.discount=1"])
    assert [config.agent_of(arm).entropy_coef for arm in config.arms] == [0.0, 0.03, 0.7]
    assert [config.agent_of(arm).learning_rate for arm in config.arms] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("typo", ["with_entorpy", "withentropy", "with_entrop", "with_entropi"])
def test_an_arm_that_is_mistyped_is_no_new_arm(typo: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no arm '{typo}'; did you mean 'with_entropy'"):
        load_config(TWO_ROOMS, [f"arms.{typo}.entropy_coef=0.5"])
    assert "with_entropy_too" in load_config(TWO_ROOMS, ["arms.with_entropy_too.entropy_coef=0.5"]).arms


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("agent.hidden_sizes=[3]", "agent.policy=mlp"),
        ("agent.initialization=torch", "agent.policy=mlp"),
        ("agent.value_learning_rate=0.5", "agent.baseline=value"),
        ("agent.behaviour_gradient=policy", "agent.behaviour_epsilon=0.1"),
        ("arms.with_entropy.value_learning_rate=0.5", "arms.with_entropy.baseline=value"),
    ],
)
def test_an_override_that_counts_nowhere_names_the_word_beside_which_it_would(
    override: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["training.seeds=1", "training.updates=1"]
    assert train.main(["bandit", override, *few, "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.endswith(f"it would change no arm; it takes effect beside {word}\n")
    assert not (tmp_path / "run").exists()
    assert load_config("bandit", [override, word])
    check_take_effect(load_config("bandit", [override, word]), [override, word])


def test_an_override_of_an_arm_changes_that_arm() -> None:
    config = load_config(TWO_ROOMS, ["arms.with_entropy.entropy_coef=0.2", "arms.new.discount=1.0"])
    assert [config.agent_of(arm).entropy_coef for arm in config.arms] == [0.0, 0.2, 0.0]
    assert [config.agent_of(arm).discount for arm in config.arms] == [0.97, 0.97, 1.0]


def test_an_arm_differs_from_the_base_in_its_own_keys_alone() -> None:
    config = comparison(arms={"a": {"entropy_coef": 0.5, "optimizer": "sgd"}, "b": {}})
    base = config.agent.model_dump()
    assert config.agent_of("a").model_dump() == base | {"entropy_coef": 0.5, "optimizer": "sgd"}
    assert config.agent_of("b").model_dump() == base


def test_a_config_is_frozen() -> None:
    config = load_config(TWO_ROOMS)
    with pytest.raises(ValidationError, match="frozen"):
        config.agent.learning_rate = 1.0


# --- the resolved config ---


def round_trip(config: Config) -> Config:
    return load_config(tomllib.loads(config_text(config)))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_experiment_survives_being_written_and_read(path: Path) -> None:
    config = load_config(path)
    again = round_trip(config)
    assert again == config
    assert list(again.arms) == list(config.arms)  # their order counts, too
    assert [again.agent_of(arm) for arm in again.arms] == [config.agent_of(arm) for arm in config.arms]


def test_schedules_and_maps_survive_being_written_and_read() -> None:
    controller = {"schedule": "target_entropy", "target_bits": 1.0, "rate": 0.1}
    config = comparison(
        {"id": "FourAction/Grid-v0", "kwargs": {"map": ["S#", ".G"], "goals": {"G": 1.0}}},
        {"policy": "mlp", "hidden_sizes": [], "initial_policy": [0.25, 0.25, 0.25, 0.25]},
        {
            "linear": {"entropy_coef": {"schedule": "linear", "start": 0.1, "end": 0.0}},
            "held": {"entropy_coef": controller},
        },
        seeds=[2**40, 3],
    )
    again = round_trip(config)
    assert again == config
    held = again.agent_of("held").entropy_coef
    assert held == TargetEntropy(schedule="target_entropy", target_bits=1.0, rate=0.1, start=0.0)


# --- the command line ---


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line with which the command refuses."""
    try:
        status = train.main(words)
    except SystemExit as leaving:  # the parser's way
        status = int(leaving.code or 0)
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert err.startswith("train.py: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory: `runs/` would be made here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("overrides", "words"), (MISTAKES | MISFITS).values(), ids=MISTAKES | MISFITS)
def test_a_mistake_ends_the_command_with_one_line_and_nothing_written(
    overrides: list[str], words: str, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(words, refusal(capsys, str(TWO_ROOMS), *overrides).rstrip())
    assert list(nowhere.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--overwritte"], "--overwritte; did you mean --overwrite"),
        (["--workers", "0"], "--workers: needs a whole number"),
        (["--log-steps", "-1"], "--log-steps"),
        (["--resume", "--overwrite"], "give only one of them"),
        (["--resume"], "nothing to resume there"),
        (["a.toml", "b.toml"], "one config at a time"),
        (["a.toml"], "a.toml: No such file or directory"),
        (["training.seeds"], "training.seeds: No such file"),
        ([""], "an argument is empty: valid are a config, as in configs/two_rooms.toml, and key=value"),
        (["--out", ""], "--out: needs a folder, as in runs/mine"),
        (["--out", "long" * 100], "cannot write there: File name too long"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_ends_with_one_line_and_nothing_written(
    words: list[str], said: str, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(capsys, *words)
    assert list(nowhere.iterdir()) == []


@pytest.mark.parametrize("below", ["", "run", "deep/run"])
@pytest.mark.parametrize("option", [[], ["--overwrite"], ["--resume"]], ids=str)
def test_a_folder_that_cannot_be_written_ends_with_one_line(
    below: str, option: list[str], nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A regular file stands in the way: not even root can write below it."""
    file = nowhere / "file"
    file.write_text("kept")
    said = refusal(capsys, str(BANDIT), "training.updates=1", "--out", str(file / below), *option)
    assert str(file / below) in said
    assert file.read_text() == "kept"
    assert list(nowhere.iterdir()) == [file]


def test_help_lists_every_option_and_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        train.main(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    for word in ("--resume", "--overwrite", "--workers", "--log-steps", "--list", "--out"):
        assert word in said
    for section, model in (("environment", Environment), ("agent", Agent), ("training", TrainingSection)):
        for key in model.model_fields:
            assert f"  {section}.{key}: " in said


def test_the_list_has_a_line_for_each_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    files = [*sorted(CONFIGS.glob("*.toml")), *sorted((CONFIGS / "sweeps").glob("*.toml"))]
    assert [line.split()[0] for line in lines] == [str(path.relative_to(CONFIGS.parent)) for path in files]


def test_a_typing_mistake_is_answered_without_loading_torch() -> None:
    code = "import sys, train; train.parser(); train.load_config(train.DEFAULT); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CONFIGS.parent, check=True
    )
    assert not {"torch", "gymnasium", "tensorboard", "scipy", "matplotlib"} & set(done.stdout.split())
