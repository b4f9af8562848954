"""One pair of colours tells one story: orange without the entropy term, blue with it."""

from typing import Any

import pytest

from experiments import load_config
from experiments.config.schema import Config
from experiments.figures.style import LOOKS, WITH, WITHOUT, looks, rgb
from tests.experiments.comparisons import CONFIGS


def has_term(config: Config, arm: str) -> bool:
    return config.agent_of(arm).entropy_coef != 0


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_no_arm_without_the_term_is_blue_and_none_with_it_orange(path: Any) -> None:
    config = load_config(path)
    found = looks(config)
    assert list(found) == list(config.arms)
    assert not [arm for arm, look in found.items() if look == (WITHOUT if has_term(config, arm) else WITH)]
    if len(found) <= len(LOOKS):
        assert len({*found.values()}) == len(found)
    else:
        assert {*found.values()} == {WITHOUT, WITH}


def test_the_order_of_the_arms_does_not_matter() -> None:
    config = load_config(CONFIGS / "two_rooms.toml")
    turned = config.model_copy(update={"arms": dict(reversed(config.arms.items()))})
    assert looks(turned) == looks(config) == {"without_entropy": WITHOUT, "with_entropy": WITH}


def test_a_colour_is_three_bytes() -> None:
    assert rgb(WITHOUT) == (213, 94, 0)
    assert rgb(WITH) == (0, 114, 178)
