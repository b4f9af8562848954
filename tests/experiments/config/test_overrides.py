"""Overrides after a config's name: TOML values, plain words, counts of seeds; those that would change no arm."""

import tomllib
from datetime import date, datetime, time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import ConfigError, load_config
from experiments.config.help import key_table
from experiments.config.loading import CONFIGS
from experiments.config.overrides import parse_toml, value_of
from experiments.config.schema import Agent, Config, Environment, Training
from experiments.storage.run_folder import config_text
from tests.experiments.comparisons import BANDIT, comparison

TWO_ROOMS = CONFIGS / "two_rooms.toml"
# Every key that is one value, but those that each arm of the config sets.
KEYS = [
    *("name", "description"),
    *(f"environment.{key}" for key in Environment.model_fields if key != "kwargs"),
    *(f"agent.{key}" for key in Agent.model_fields if key != "entropy_coef"),
    *(f"training.{key}" for key in Training.model_fields if key != "seeds"),  # whose counts have laws of their own
]
TEXTS = ["name", "description", "environment.id"]  # any text; others take some words
CHOICES = {
    "agent.policy": "mlp",
    "agent.initialization": "small_uniform",
    "agent.gradient": "exact",
    "agent.optimizer": "adam",
    "agent.baseline": "running_mean",
    "agent.loss_reduction": "per_step",
    "agent.entropy_objective": "soft_return",
    "arms.with_entropy.baseline": "running_mean",
}
words = (
    st.text(max_size=12)
    | st.from_regex(r"[a-z_0-9]{1,12}", fullmatch=True)
    | st.sampled_from(
        ["mlp", "exact", "true", "True", "False", "inf", "3", "0.5", "[1]", "2020-01-01", "'a'", "nan"]
    )
)


def value_at(table: Any, key: str) -> Any:
    for part in key.split("."):
        table = table[part]
    return table


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(KEYS), words)
def test_a_word_is_toml_or_text_where_text_is_wanted_or_one_line(key: str, word: str) -> None:
    try:
        found = value_at(load_config(TWO_ROOMS, [f"{key}={word}"]).model_dump(mode="json"), key)
    except ConfigError as error:
        lines = str(error).splitlines()
        assert len(lines) == 1
        return
    try:
        meant = tomllib.loads(f"value = {word}")["value"]
    except tomllib.TOMLDecodeError:
        meant = word.strip() if word.strip() not in ("True", "False") or key in TEXTS else word.strip() == "True"
    if key in TEXTS and not isinstance(meant, str):
        meant = word.strip()  # of a key that takes nothing but text, 3 is the text "3"
    assert found == meant or isinstance(meant, datetime | date | time)


@pytest.mark.parametrize(("key", "word"), CHOICES.items(), ids=CHOICES)
def test_a_key_that_wants_a_word_takes_it_with_quotes_and_without(key: str, word: str) -> None:
    plain, quoted = (load_config(TWO_ROOMS, [f"{key}={text}"]) for text in (word, f'"{word}"'))
    assert plain == quoted
    assert value_at(plain.model_dump(), key) == word


@pytest.mark.parametrize("text", ["3", "true", "inf", "2020-01-01", "word"])
@pytest.mark.parametrize(
    "key", [*TEXTS, *CHOICES, "agent.entropy_coef.schedule", "arms.with_entropy.entropy_coef.schedule"]
)
def test_where_only_text_may_stand_everything_is_text(key: str, text: str) -> None:
    assert value_of(key, text, Config) == text


@pytest.mark.parametrize(
    "key",
    [
        *("training.updates", "agent.entropy_coef", "environment.kwargs.size", "arms.with_entropy"),
        *("nowhere", "agent.nowhere", "arms.with_entropy.nowhere"),
    ],
)
def test_anywhere_else_a_number_is_a_number(key: str) -> None:
    assert [value_of(key, text, Config) for text in ("3", "0.5", "true", "'3'")] == [3, 0.5, True, "3"]


def test_a_word_inside_a_schedule_is_taken_too() -> None:
    config = comparison(BANDIT, {}, {"a": {}}).model_dump(exclude_unset=True)
    start = ["agent.entropy_coef.schedule=linear", "agent.entropy_coef.start=1", "agent.entropy_coef.end=0"]
    assert (
        load_config(config, start).agent.entropy_coef
        == load_config(
            config, ["agent.entropy_coef={ schedule = 'linear', start = 1, end = 0 }"]
        ).agent.entropy_coef
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [("foo", "foo"), (" foo ", "foo"), ("3", "3"), ("true", "true"), ("inf", "inf"), ("'a'", "a")],
)
def test_a_name_is_text_whatever_it_looks_like(text: str, name: str) -> None:
    assert load_config(TWO_ROOMS, [f"name={text}"]).name == name


@pytest.mark.parametrize(("word", "truth"), [("true", True), ("True", True), ("false", False), ("False", False)])
def test_truths_are_written_in_either_language(word: str, truth: bool) -> None:
    config = load_config(TWO_ROOMS, [f"agent.normalize_advantages={word}", f"environment.kwargs.loud={word}"])
    assert config.agent.normalize_advantages is truth
    assert config.environment.kwargs["loud"] is truth


@pytest.mark.parametrize("key", ["loud", "goals.G"])
def test_a_mistyped_truth_among_a_worlds_arguments_is_not_taken_for_text(key: str) -> None:
    with pytest.raises(ConfigError, match=r"'flase' is no TOML value \(text needs quotes here"):
        load_config(TWO_ROOMS, [f"environment.kwargs.{key}=flase"])


def test_values_are_nested_as_deeply_as_is_said_and_no_deeper() -> None:
    assert parse_toml(f"key = {'[' * 31}{']' * 31}")  # 31 lists in a table
    with pytest.raises(ValueError, match="nested more than 32 levels deep"):
        parse_toml(f"key = {'[' * 32}{']' * 32}")


def test_what_could_not_be_written_as_text_is_not_read_as_text() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        parse_toml("key = '\udcff'")  # a byte of a command line that is no UTF-8


# --- seeds ---


@pytest.mark.parametrize(
    ("own", "count", "expected"),
    [
        (100, 3, (0, 1, 2)),
        (2, 3, (0, 1, 2)),  # a count goes on as far as one likes
        ([9, 4, 7], 2, (9, 4)),
        ([9, 4, 7], 3, (9, 4, 7)),
        ({"first": 1000, "count": 30}, 3, (1000, 1001, 1002)),
        ({"first": 1000, "count": 30}, 30, tuple(range(1000, 1030))),
    ],
)
def test_a_count_takes_the_first_of_the_configs_own_seeds(own: Any, count: int, expected: tuple[int, ...]) -> None:
    config = load_config(own_seeds(own), [f"training.seeds={count}"])
    assert config.training.seed_list == expected
    assert load_config(tomllib.loads(config_text(config))) == config


@pytest.mark.parametrize("own", [[9, 4, 7], {"first": 1000, "count": 3}], ids=str)
def test_more_seeds_than_the_config_has_are_refused(own: Any) -> None:
    """Else a run that was to be judged on held-out seeds would be judged on those that a setting was chosen on."""
    with pytest.raises(ConfigError, match=r"^override 'training.seeds=4': the config has 3 seeds of its own"):
        load_config(own_seeds(own), ["training.seeds=4"])
    advised = load_config(own_seeds(own), ["training.seeds={ first = 0, count = 4 }"])
    assert advised.training.seed_list == (0, 1, 2, 3)


@pytest.mark.parametrize(("key", "section"), [("seeds", "training"), ("worlds", "environment")])
def test_what_is_advised_instead_of_a_count_is_taken(key: str, section: str) -> None:
    own = {"environment": {"id": "FourAction/Maze-v0", "worlds": {"first": 2, "count": 3}, "solved_return": 0.9}}
    table = own_seeds([9, 4, 7]) | own
    with pytest.raises(ConfigError) as refused:
        load_config(table, [f"{section}.{key}=4"])
    said, _, advice = str(refused.value).partition("; for others write ")
    assert (
        said
        == f"override '{section}.{key}=4': the config has 3 {key} of its own, and a count takes the first of them"
    )
    assert advice.removeprefix("a list, or ") == "{ first = 0, count = 4 }"
    forms = {"a list": "[5, 3, 1, 0]", "{ first": "{ first = 0, count = 4 }"}
    for form, value in forms.items():
        try:
            load_config(table, [f"{section}.{key}={value}"])
        except ConfigError:
            assert form not in advice
        else:
            assert form in advice


@pytest.mark.parametrize("key", ["training", "x" * 5000])
def test_below_a_value_there_is_nothing_to_override(key: str) -> None:
    with pytest.raises(ConfigError, match=r"is a value, not a section$") as refused:
        load_config(own_seeds(3) | {key: 3}, [f"{key}.seeds=3"])
    assert len(str(refused.value)) < 500


def test_a_list_or_a_range_replaces_the_configs_own_seeds() -> None:
    for text, expected in (("[7]", (7,)), ("[5, 3]", (5, 3)), ("{ first = 7, count = 2 }", (7, 8))):
        assert load_config(TWO_ROOMS, [f"training.seeds={text}"]).training.seed_list == expected
    assert load_config(TWO_ROOMS, ["training.seeds=[5, 3]", "training.seeds=1"]).training.seed_list == (5,)


def test_a_range_is_the_list_of_its_seeds() -> None:
    ranged, listed = (load_config(own_seeds(own)) for own in ({"first": 7, "count": 3}, [7, 8, 9]))
    assert ranged.training.seed_list == listed.training.seed_list
    assert "first = 7" in config_text(ranged)
    assert load_config(tomllib.loads(config_text(ranged))) == ranged


def own_seeds(own: Any) -> dict[str, Any]:
    table = comparison(BANDIT).model_dump(exclude_none=True)
    table["training"]["seeds"] = own
    return table


# --- overrides that would change no arm ---


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_an_override_is_felt_by_an_arm_or_refused_with_the_word_that_works(data: st.DataObject) -> None:
    """Of numbers of the agent: whichever arms set them for themselves."""
    numbers = ["learning_rate", "discount", "entropy_coef", "max_grad_norm"]
    arms = {
        arm: {key: 0.25 for key in data.draw(st.sets(st.sampled_from(numbers)), label=arm)}
        for arm in ("a", "b", "c")
    }
    key = data.draw(st.sampled_from(numbers))
    base = comparison(BANDIT, {}, arms)
    table, override = base.model_dump(exclude_none=True), f"agent.{key}=0.75"
    try:
        changed = load_config(table, [override])
    except ConfigError as error:
        assert all(key in arm for arm in arms.values())
        message, _, word = str(error).partition("; write ")
        assert message.startswith(f"override '{override}': it would change no arm")
        changed = load_config(table, [word])
    felt = [arm for arm in arms if changed.agent_of(arm) != base.agent_of(arm)]
    assert felt
    assert all(getattr(changed.agent_of(arm), key) == 0.75 for arm in felt)


def test_an_override_inside_a_schedule_that_every_arm_replaces_is_refused() -> None:
    linear = {"schedule": "linear", "start": 0.1, "end": 0.0}
    table = comparison(
        BANDIT, {"entropy_coef": linear}, {"a": {"entropy_coef": 0.1}, "b": {"entropy_coef": linear}}
    )
    with pytest.raises(ConfigError, match=r"sets its own entropy_coef; write arms\.b\.entropy_coef\.start=0\.5$"):
        load_config(table.model_dump(exclude_none=True), ["agent.entropy_coef.start=0.5"])


# --- a config by its name ---


def test_a_config_is_found_by_its_name_from_anywhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in CONFIGS.glob("*.toml"):
        assert load_config(path.stem) == load_config(path)
    (tmp_path / "bandit").write_text(TWO_ROOMS.read_text())
    assert load_config("bandit").name == "two_rooms"  # a file of that name comes first


@pytest.mark.parametrize("word", ["bandti", "bandti.toml", "two_room", "two-rooms"])
def test_a_near_miss_of_a_name_is_answered_with_the_name(
    word: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "bandit" if word.startswith("b") else "two_rooms"
    with pytest.raises(ConfigError, match=rf"^{word}: No such file or directory; did you mean '{name}'\?$"):
        load_config(word)


def test_a_name_that_is_like_none_is_answered_with_all_of_them() -> None:
    with pytest.raises(ConfigError, match=r"^zzz: No such file or directory; valid are annealed, bandit"):
        load_config("zzz")


def test_the_values_that_a_config_has_are_those_that_help_speaks_of() -> None:
    """Unit and default of every key stand in `--help`, and the default is the one that is taken."""
    lines = key_table().splitlines()
    for prefix, section in (("environment", Environment), ("agent", Agent), ("training", Training)):
        for key, field in section.model_fields.items():
            (line,) = [line for line in lines if line.startswith(f"  {prefix}.{key}: ")]
            meaning = lines[lines.index(line) + 1]
            assert meaning.startswith("      ")
            assert len(meaning) > 20
            shown = line.rpartition(", default ")[2] if not field.is_required() else None
            if shown is None:
                assert line.endswith(", required")
            elif shown == "none":
                assert field.get_default() is None
            else:
                default = tomllib.loads(f"value = {shown}")["value"] if shown != "{}" else {}
                expected = field.get_default()
                assert default == (list(expected) if isinstance(expected, tuple) else expected)


@pytest.mark.parametrize("override", ["name", "=3", "agent..policy=mlp", f"{'a.' * 32}b=1"])
def test_what_has_no_key_and_value_is_answered_with_how_to_write_it(override: str) -> None:
    with pytest.raises(ConfigError, match=r"write dotted\.key=value, as in training\.seeds=50$"):
        load_config(TWO_ROOMS, [override])


def test_a_long_override_is_shown_by_its_beginning() -> None:
    with pytest.raises(ConfigError, match="write dotted") as refused:
        load_config(TWO_ROOMS, ["x" * 5000])
    assert len(str(refused.value)) < 300


def test_a_line_break_brings_in_no_second_key() -> None:
    with pytest.raises(ConfigError, match="is no TOML value"):
        load_config(TWO_ROOMS, ['name="a"\nmore="b"'])
