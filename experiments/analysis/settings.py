"""What the second arm of a sweep adds to the first in each setting, and which of its keys decides that.

In each setting the arms are compared as in a claim of its own, by the rules of `experiments.analysis.rules`:
paired by seed, or in a family by world. Nothing is corrected for the number of settings: where the arms never
differ, at most 2.5 % of settings are said to help and 2.5 % to harm, and the shares are to be read against these.
An effect that is significantly smaller than `MARGIN` either way is no effect; what is neither is undecided.

Where settings were drawn at random, a statement about all of them takes the setting as its unit: Wilson's interval
for shares, and a bootstrap over settings for means. A marginal summary is such a mean over the settings that share
one value of a key, whatever their other keys are (Andrychowicz et al. 2021).

N: settings.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import pyarrow as pa

from experiments.analysis.contrasts import contrast
from experiments.analysis.estimates import wilson_interval
from experiments.analysis.exact_tests import ALPHA
from experiments.analysis.over_worlds import contrast_over_worlds, mean_interval
from experiments.analysis.rules import apply_rule
from experiments.analysis.summary import in_json, worlds_of
from experiments.analysis.tuning import best, columns_of, score
from experiments.analysis.values import values_of
from experiments.config.expectations import Expectation
from experiments.config.measures import RUN_MEASURES
from experiments.config.schema import Config

MARGIN = 0.1  # of a fraction or a share; of a number in its own unit
MAX_VALUES = 9  # of a key that are summarised one by one; more numbers than these are put into quarters

Answer: TypeAlias = Literal["helps", "harms", "no effect", "undecided"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)
Settings: TypeAlias = Mapping[str, Any]


class Effect(NamedTuple):
    """The second arm minus the first, in one setting."""

    settings: Settings  # by dotted key
    scores: tuple[float, float]  # mean of the measure in either arm
    effect: float
    low: float  # 95 % interval
    high: float
    p: float  # two-sided
    answer: Answer


class Group(NamedTuple):
    """The settings in which a key has a value; or a number "from" ... "to" (both included)."""

    values: Any
    settings: int
    effect: list[float]  # mean over settings, with its 95 % bootstrap interval
    helps: list[float]  # share of settings, with Wilson's 95 % interval
    harms: list[float]


def effect_in(measure: str, settings: Settings, config: Config, table: pa.Table) -> Effect:
    """The effect in one setting.

    Args:
        measure: a fraction or a number, one value per run.
        settings: by key, or dotted key.
        config: with two arms, that they make.
        table: its runs, as in runs.parquet.
    """
    arms, worlds, kind = list(config.arms), worlds_of(config), RUN_MEASURES[measure].kind
    columns = {arm: columns_of(table, arm) for arm in arms}
    values = {arm: values_of(measure, columns[arm]) for arm in arms}
    first, second = arms
    scores = score(measure, columns[first], worlds), score(measure, columns[second], worlds)
    contrast_of = partial(contrast_over_worlds, kind, worlds) if worlds is not None else partial(contrast, kind)
    within = contrast_of if worlds is not None else partial(contrast, kind, equality=True)
    found = apply_rule(Expectation(">", (second, first)), values, contrast_of)
    same = apply_rule(Expectation("=", (second, first), within=MARGIN), values, within)
    answer: Answer = "undecided"
    if found.p <= ALPHA:
        high_is_bad = RUN_MEASURES[measure].failed_as == "high"
        answer = "helps" if found.favours != high_is_bad else "harms"
    elif same.p <= ALPHA and same.favours:
        answer = "no effect"
    seen, low, high = map(float, found.shown.interval)
    return Effect(flat(settings), scores, seen, low, high, found.p, answer)


def flat(settings: Settings) -> dict[str, Any]:
    """Settings with tables taken apart: environment = { id = ... } becomes environment.id."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        inner = flat(value) if isinstance(value, Mapping) else None
        found |= {key: value} if inner is None else {f"{key}.{name}": each for name, each in inner.items()}
    return found


def shares(found: Sequence[Effect]) -> dict[str, list[float]]:
    """The share of settings with each answer, with Wilson's 95 % interval."""
    count = Counter(each.answer for each in found)
    return {answer: _share(count[answer], len(found)) for answer in ANSWERS}


def mean_effect(found: Sequence[Effect]) -> list[float]:
    """Mean over settings with a 95 % bootstrap interval over settings; unbounded below six of them."""
    return [float(end) for end in mean_interval(np.array([each.effect for each in found]))]


def marginals(found: Sequence[Effect]) -> dict[str, list[Group]]:
    """For every key that differs between settings, its groups in the order of their values."""
    keys = dict.fromkeys(key for each in found for key in each.settings)
    groups = {key: _groups(key, found) for key in keys}
    return {key: several for key, several in groups.items() if len(several) > 1}


def _groups(key: str, found: Sequence[Effect]) -> list[Group]:
    having = [each for each in found if key in each.settings]
    distinct = {json.dumps(each.settings[key]): each.settings[key] for each in having}
    if len(distinct) <= MAX_VALUES or not all(map(is_number, distinct.values())):
        ordered = sorted(distinct, key=lambda text: (_size(distinct[text]), text))
        return [
            _group(distinct[text], [each for each in having if json.dumps(each.settings[key]) == text])
            for text in ordered
        ]
    having.sort(key=lambda each: each.settings[key])
    quarters = [[having[place] for place in part] for part in np.array_split(np.arange(len(having)), 4)]
    return [_group({"from": part[0].settings[key], "to": part[-1].settings[key]}, part) for part in quarters]


def is_number(value: Any) -> bool:
    """Whether it has a place on an axis; truth values have none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _size(value: Any) -> tuple[float, ...]:
    """Numbers and lists of numbers come in the order of their size, everything else before them."""
    if isinstance(value, list):
        return (len(value), *(float(each) for each in value if is_number(each)))
    return (float(value),) if is_number(value) else ()


def _group(values: Any, part: Sequence[Effect]) -> Group:
    counts = Counter(each.answer for each in part)
    return Group(
        values,
        len(part),
        mean_effect(part),
        _share(counts["helps"], len(part)),
        _share(counts["harms"], len(part)),
    )


def _share(count: int, n: int) -> list[float]:
    return [float(end) for end in wilson_interval(count, n)]


def own_best(found: Sequence[Effect], measure: str) -> tuple[Effect, Effect]:
    """The setting in which the first arm scores best, and that of the second; of equal ones the first."""
    first, second = (found[best(measure, [each.scores[arm] for each in found])] for arm in (0, 1))
    return first, second


def comparison(measure: str, arms: Sequence[str], found: Sequence[Effect]) -> dict[str, Any]:
    """What summary.json holds of them, in plain JSON types; null: an interval is open on that side."""
    best_of = dict(zip(arms, own_best(found, measure), strict=True))
    about = {
        "measure": measure,
        "arms": list(arms),
        "margin": MARGIN,
        "settings": len(found),
        "effect": mean_effect(found),
        "shares": shares(found),
        "own_best": {
            arm: {"settings": each.settings, "score": each.scores[place]}
            for place, (arm, each) in enumerate(best_of.items())
        },
        "marginals": {key: [group._asdict() for group in groups] for key, groups in marginals(found).items()},
        "by_setting": [each._asdict() | {"scores": list(each.scores)} for each in found],
    }
    plain: dict[str, Any] = in_json(about)
    return plain
