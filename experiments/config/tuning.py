"""Equal tuning: every arm chooses its settings by the same rule among the same number of tries.

After Eimer, Lindauer and Raileanu (2023), *Hyperparameters in Reinforcement Learning and How To Tune Them*: arms
are judged on worlds and seeds that had no say. What an arm tries depends on nothing but the sweep;
`experiments.analysis.tuning` chooses.
"""

import itertools
from collections.abc import Mapping

from experiments.config.measures import RUN_MEASURES
from experiments.config.schema import Agent, Config, ConfigError, Range
from experiments.config.sweeps import Cell, Judge, Settings, Sweep, Tuning, drawn, uniform


def check_tuning(sweep: Sweep, tuning: Tuning, judge: Judge) -> None:
    """Whether the arms can be tuned as the sweep says, and what is judged has no say.

    Raises:
        ConfigError: names the place.
    """
    base = sweep.config()
    measure = RUN_MEASURES.get(tuning.choose_by)
    if measure is None or measure.kind == "time" or measure.failed_as == "missing":
        known = [name for name, m in RUN_MEASURES.items() if m.kind != "time" and m.failed_as != "missing"]
        raise ConfigError(f"tuning.choose_by: {tuning.choose_by!r} is none of {', '.join(known)}")
    family = base.environment.worlds is not None
    for name, place in (("tuning", tuning), ("judge", judge)):
        if (place.worlds is None) == family:
            raise ConfigError(f"{name}.worlds: {'is missing' if family else 'the base is no family of worlds'}")
    what = "worlds" if family else "seeds"
    shared = set(_numbers(getattr(tuning, what))) & set(_numbers(getattr(judge, what)))
    if shared:
        raise ConfigError(f"{what}: {min(shared)} is tuned on and judged on; what is judged must have had no say")
    drawn_from = {key: next(iter(rule.values())) for key, rule in sweep.sample.items()}
    for key, values in (sweep.grid | drawn_from).items():
        option = _within(key)
        if key.partition(".")[0] not in ("agent", "arms") or option.partition(".")[0] not in Agent.model_fields:
            raise ConfigError(f"{key}: only keys of an agent are tuned, as agent.learning_rate")
        if option == "entropy_coef" and 0 in values:
            raise ConfigError(f"{key}: 0 belongs to the arm without the term; leave it out")
    for arm in base.arms:
        settings_of(sweep, arm)


def _numbers(given: int | Range | None) -> range:
    if isinstance(given, Range):
        return range(given.first, given.first + given.count)
    return range(given or 0)


def settings_of(sweep: Sweep, arm: str) -> list[Settings]:
    """What an arm tries: settings of the keys that it has, by the key within the arm.

    Of a grid with more combinations than tries some are drawn without replacement. Keys that arms share are drawn
    alike for all of them.

    Raises:
        ConfigError: the arm's grid has fewer combinations than there are tries.
    """
    assert sweep.tuning is not None
    tries, seed = sweep.tuning.tries, sweep.tuning.seed
    grid = {key: values for key, values in sweep.grid.items() if _is_of(key, arm)}
    samples = any(_is_of(key, arm) for key in sweep.sample)
    combinations = list(itertools.product(*grid.values()))
    if len(combinations) < tries and not samples:
        raise ConfigError(
            f"tuning.tries: arm {arm} has {len(combinations)} settings, and each arm is to try {tries}: "
            "take fewer tries, or more values"
        )
    order = sorted(range(len(combinations)), key=lambda place: uniform(seed, place, len(sweep.sample)))
    chosen = sorted(order[:tries])
    found = []
    for number in range(tries):
        fixed = dict(zip(grid, combinations[chosen[number % len(chosen)]], strict=True))
        settings = fixed | drawn(sweep.sample, seed, number)
        own = sorted((key for key in settings if _is_of(key, arm)), key=lambda key: key.startswith("arms."))
        found.append({_within(key): settings[key] for key in own})  # an arm's own key after the agent's
    return found


def tries(sweep: Sweep) -> list[Cell]:
    """The trainings of a tuning: in the n-th every arm has its n-th settings, on the worlds and seeds to tune on.

    Raises:
        ConfigError: some settings do not fit together, or with the measure to choose by.
    """
    assert sweep.tuning is not None
    by_arm = {arm: settings_of(sweep, arm) for arm in sweep.config().arms}
    found = []
    for number in range(sweep.tuning.tries):
        settings = _of_arms({arm: settings[number] for arm, settings in by_arm.items()})
        config = sweep.config(settings, *_where(sweep.tuning))
        try:
            config.check_measure(sweep.tuning.choose_by, config.arms)
        except ValueError as error:
            raise ConfigError(f"tuning.choose_by: {error}") from None
        found.append(Cell(settings, config.model_copy(update={"claims": ()})))
    return found


def judged(sweep: Sweep, chosen: Mapping[str, Settings]) -> Config:
    """The comparison of the arms with what they chose, on the worlds and seeds to judge on."""
    assert sweep.judge is not None
    config = sweep.config(_of_arms(chosen), *_where(sweep.judge))
    return config.model_copy(update={"name": f"{sweep.name}_judged", "description": sweep.description})


def _of_arms(settings: Mapping[str, Settings]) -> Settings:
    return {f"arms.{arm}.{key}": value for arm, own in settings.items() for key, value in own.items()}


def _where(section: Tuning | Judge) -> list[str]:
    """Overrides; written as ranges, which take no part of the base's own."""
    places = {"training.seeds": section.seeds, "environment.worlds": section.worlds}
    ranges = {key: _numbers(given) for key, given in places.items() if given is not None}
    return [f"{key}={{ first = {r.start}, count = {len(r)} }}" for key, r in ranges.items()]


def _is_of(key: str, arm: str) -> bool:
    return key.startswith("agent.") or key.startswith(f"arms.{arm}.")


def _within(key: str) -> str:
    """agent.learning_rate, arms.without.learning_rate -> learning_rate."""
    section, _, rest = key.partition(".")
    return rest if section == "agent" else rest.partition(".")[2]
