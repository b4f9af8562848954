"""Reading a config: a TOML file or a mapping, changed by overrides, into a validated `Config`."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments.config.commands import CONFIGS
from experiments.config.files import read_regular
from experiments.config.mistakes import ConfigError, message_of, nearest, one_line
from experiments.config.overrides import for_arm, has_no_effect, is_nested, overridden, parse_toml, place_of
from experiments.config.plain_text import printable
from experiments.config.schema import Agent, Config

# Keys of an agent that take effect only beside another: whether they do, and the override beside which they would.
NEEDED_BESIDE: dict[str, tuple[Callable[[Agent], bool], str]] = {
    "hidden_sizes": (lambda agent: agent.policy == "mlp", "policy=mlp"),
    "initialization": (lambda agent: agent.policy == "mlp", "policy=mlp"),
    "value_learning_rate": (lambda agent: agent.baseline == "value", "baseline=value"),
    "behaviour_gradient": (lambda agent: agent.behaviour_epsilon != 0, "behaviour_epsilon=0.1"),
}
MAX_BYTES = 1 << 20  # of a file


def load_config(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
    """Read and validate a config.

    Args:
        source: a TOML file, the name of one of our own experiments, or the content as a mapping.
        overrides: "dotted.key=value" with the value in TOML, or a plain word where the key takes text. They change
            the base agent; to override a key that every arm sets for itself is refused.
    Raises:
        ConfigError: one message that names the place and what would be valid.
    """
    if isinstance(source, Mapping):
        place, table = "config", dict(source)
    else:
        place, table = str(source), read_toml(Path(source), ours())
    for override in overrides:
        table = overridden(table, override, Config)
    lost = [override for override in overrides if has_no_effect(override, table.get("arms"))]
    if not any(map(is_nested, lost)):  # a nested key, as in agent.entropy_coef.start, may not fit the base at all
        config = _validated(place, table)
    if lost:
        raise ConfigError(_no_effect(lost[0], table))
    return config


def check_take_effect(config: Config, overrides: Sequence[str]) -> None:
    """Check that each override of an agent takes effect in an arm that it reaches. Those of a sweep need not do so
    in every setting, so this is not asked of them.

    Raises:
        ConfigError: one does not; the message names an override beside which it would.
    """
    for override in overrides:
        match place_of(override):
            case ["agent", key, *_]:
                place, arms = "agent", list(config.arms)
            case ["arms", arm, key, *_]:
                place, arms = f"arms.{arm}", [arm]
            case _:
                continue
        takes_effect, word = NEEDED_BESIDE.get(key, (lambda _: True, ""))
        if not any(takes_effect(config.agent_of(arm)) for arm in arms):
            raise ConfigError(
                f"override {override!r}: it would change no arm; it takes effect beside {place}.{word}"
            )


def load_stored(path: Path) -> Config:
    """Read the resolved config of a training that began, maybe by an earlier version.

    Its claims may be such as are no longer accepted; all else is validated as by `load_config`.

    Raises:
        ConfigError: as there.
    """
    return _validated(str(path), read_toml(path, {}), stored=True)


def _validated(place: str, table: Mapping[str, Any], stored: bool = False) -> Config:
    try:
        _check_texts(table)
        return Config.model_validate(table, context={"stored": stored})
    except ValidationError as error:
        raise ConfigError(f"{place}: {message_of(error, Config)}") from None
    except ConfigError as error:
        raise ConfigError(one_line(f"{place}: {error}")) from None


def _no_effect(override: str, table: Mapping[str, Any]) -> str:
    """The message for an override that changes nothing; it suggests the override of the last arm that would
    work."""
    (section, key), advice = override.partition("=")[0].split(".")[:2], ""
    base = dict(table)
    if section == "agent":
        base["agent"] = {name: value for name, value in table["agent"].items() if name != key}
    for arm in table["arms"]:
        with suppress(ConfigError):
            _validated("", overridden(base, for_arm(override, arm), Config))
            advice = f"; write {for_arm(override, arm)}"
    arms = ", ".join(table["arms"])
    return one_line(
        f"override {override!r}: it would change no arm, because each ({arms}) sets its own {key}{advice}"
    )


def ours(folder: Path = CONFIGS) -> dict[str, Path]:
    """Our own files in a folder, which go by these names anywhere: as in "bandit" and in "configs/bandit.toml"."""
    files, place = sorted(folder.glob("*.toml")), folder.relative_to(CONFIGS.parent)
    return {file.stem: file for file in files} | {str(place / file.name): file for file in files}


def found(path: Path, own: Mapping[str, Path]) -> Path:
    """The file that a path means: the user's, or else one of ours."""
    # Of a name that is too long for any file os.path says that it is none; pathlib raises.
    return path if os.path.isfile(path) else own.get(str(path), path)


def read_toml(path: Path, own: Mapping[str, Path]) -> dict[str, Any]:
    """The content of a config's file, not yet validated.

    Args:
        path: the file, or the name of one of ours.
        own: our own files, by the names that may stand for them.
    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    path = found(Path(os.path.expanduser(path)), own)
    try:
        return parse_toml(read_regular(path, MAX_BYTES).decode())
    except OSError as error:
        near = [name for name in own if Path(name).parent == path.parent]
        word = path.stem if path.parent == Path() else str(path)
        with suppress(OSError):
            near = [str(file) for file in path.parent.glob("*.toml") if path.parent != Path()] or near
        raise ConfigError(f"{path}: {error.strerror or error}{nearest(word, near)}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {one_line(error)}") from None


def _check_texts(value: Any, key: str = "") -> None:
    """Refuse keys and texts with control characters: they are shown on terminals, which would obey them.

    Raises:
        ConfigError: names the key.
    """
    if isinstance(value, str):
        if printable(value) != value:
            raise ConfigError(f"{key}: {value!r} holds characters that a terminal would obey; use printable ones")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            _check_texts(str(name), f"{key}.{name}".lstrip("."))
            _check_texts(inner, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            _check_texts(inner, f"{key}.{number}")
