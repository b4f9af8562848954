"""The sentences whose numbers come from docs/argument.json and docs/quarter_million.json, and a command that fills
them in.

    python -m tests.readme_numbers

`make docs` calls it after the argument; `tests/test_readme.py` checks that nothing is left to fill in.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ARMS = ("without_entropy", "with_entropy")
VERDICTS = {"supported": "지지됨", "refuted": "반박됨", "inconclusive": "결론 없음"}

LONG = {"by_world": 400, "entropy_bits": 400, "inconclusive_names": 400}  # the longest texts in place of a number
# By file: sentences, which begin with a word, with the names of `numbers`; spaces stand for any white space.
SENTENCES = {
    "README.md": (
        "In 60 mazes (`configs/mazes.toml`), {mazes} of 600 runs end at the far goal without the term and "
        "{mazes_with} of 600 with it: the difference over mazes is {mazes_effect}, above 0 in {mazes_better} "
        "mazes and below 0 in {mazes_worse} (",
        "In another 48 mazes, {again} of 192 runs end there without the term and {again_with} of 192 with it, a "
        "difference of {again_effect}.",
        "on other mazes, {tuned} of 192 and {tuned_with} of 192 do, a difference of {tuned_effect}, but only "
        "{straight} and {straight_with} also walk there straight.",
        "of 80 runs, {more} end there without the term, {more_ten} after ten times the updates, {more_steps} "
        "after as many steps as with the term, and {more_with} with it.",
        "a small learning rate ({small} without the term, {small_with} with it), with plain SGD ({plain} and "
        "{plain_with}) and with a linear policy ({linear} and {linear_with}); with a narrow network ({narrow} and "
        "{narrow_with}) the claim is inconclusive.",
        "Of {settings} random settings ({runs} runs, as many agents",
        "it helped in {helps} and harmed in {harms}.",
        "with the largest quarter of the coefficients the mean effect is {effect_4}, with the",
        "with a tenth of the rewards, {tenth} runs end at the far goal without the term and {tenth_with} with it.",
        "| runs that end at the far goal | {succeeds} | {succeeds_with} |",
        "| runs that also walk there straight | {solved} | {solved_with} |",
        "| runs whose most probable actions lead there | {greedy} | {greedy_with} |",
        "| runs that never reached it | {never} | {never_with} |",
        "with a fifth of it and no term, {small_step} runs end at the far goal (on other seeds, in "
        "`configs/harm.toml`, {small}).",
        "Ten times the updates would not: {rooms_ten} runs end there then, {rooms_same} with the usual number, "
        "and {rooms_with} with the term.",
        "is not always better: {dose_none} runs end there without the term, {dose} with coefficient 0.03 and "
        "{dose_ten} with ten times as much.",
        "ends at the best one in {bandit} runs without the term and in {bandit_with} with it, and in "
        "{baseline} with a running-mean baseline",
        "trains all {experiments} experiments in a few minutes and judges their {claims} claims together",
        "Of the {effects} that were expected to hold, {supported} are supported, {refuted} refuted and "
        "{inconclusive} inconclusive; of the {limits} that were expected not to hold, {limits_supported} are "
        "supported.",
        "The inconclusive ones are claims of {inconclusive_names}.",
        "Without the term and with it, {deep_4} and {deep_4_with} runs end with the treasure at depth 4, and "
        "{deep_10} and {deep_10_with} at depth 10",
        "![{by_world}](docs/by_world.svg)",
        "![{entropy_bits}](docs/entropy_bits.svg)",
    ),
    "docs/law.md": (
        "(sources `29696fb5601acfca`). {settings} settings make {runs} runs and {million_steps} million "
        "environment steps.",
        "All trainings together took {core_seconds} seconds of one core.",
        "The other {refused_settings} settings are refused",
        "| helps | {helps} |",
        "| harms | {harms} |",
        "| has no effect (significantly smaller than .1) | {no_effect} |",
        "| undecided | {undecided} |",
        "on the share of runs that end there is {effect}.",
        "| .0010 to {to_1} | {effect_1} | {helps_1} | {harms_1} |",
        "| .0057 to {to_2} | {effect_2} | {helps_2} | {harms_2} |",
        "| .0341 to {to_3} | {effect_3} | {helps_3} | {harms_3} |",
        "| .1922 to {to_4} | {effect_4} | {helps_4} | {harms_4} |",
        "the mean effect is {scale_down} with a tenth of the rewards, {scale} with the rewards as they are and "
        "{scale_up} with ten times as large ones.",
        "from {limit_30} at 30 steps to {limit_200} at 200, and with the discount, from {discount_low} at .9 to "
        "{discount_high} at 1.",
        "It is {adam} with Adam and {sgd} with SGD, and {normalised} with normalised advantages,",
    ),
    "README.ko.md": (
        "| 멀리 있는 큰 보상에서 끝난 실행 | 600개 중 {mazes}개 | 600개 중 {mazes_with}개 |",
        "**판정: {mazes_verdict}.**",
        "미로 평균으로 {mazes_effect}만큼 늘어나며",
        "| 두 방에서 더 좋은 보상에서 끝난 실행 | {succeeds} | {succeeds_with} |",
    ),
}


def stored(name: str = "argument") -> dict[str, Any]:
    """The summary of the argument, or of the sweep `quarter_million`."""
    found: dict[str, Any] = json.loads((ROOT / "docs" / f"{name}.json").read_text(encoding="utf-8"))
    return found


WITHOUT, WITH = ARMS
FAMILIES = {"mazes": "mazes", "again": "mazes_again", "tuned": "mazes_tuned"}
# The runs of an arm that succeed, of how many: by name, experiment and arm.
SHARES = {
    "narrow": ("harm", "without_entropy_narrow"),
    "narrow_with": ("harm", "with_entropy_narrow"),
    "small": ("harm", "without_entropy_small_steps"),
    "small_with": ("harm", "with_entropy_small_steps"),
    "plain": ("harm", "without_entropy_sgd"),
    "plain_with": ("harm", "with_entropy_sgd"),
    "linear": ("harm", "without_entropy_linear"),
    "linear_with": ("harm", "with_entropy_linear"),
    "tenth": ("reward_scale_down", WITHOUT),
    "tenth_with": ("reward_scale_down", "same_coefficient"),
    "small_step": ("learning_rate", "without_0_002"),
    "rooms_same": ("more_updates", WITHOUT),
    "rooms_ten": ("more_updates", "ten_times"),
    "rooms_with": ("more_updates", WITH),
    "dose_none": ("dose_response", "entropy_0"),
    "dose": ("dose_response", "entropy_0_03"),
    "dose_ten": ("dose_response", "entropy_0_3"),
    "bandit": ("bandit", WITHOUT),
    "bandit_with": ("bandit", WITH),
    "baseline": ("bandit_dose", "running_mean"),
    "deep_4": ("deep_sea_4", WITHOUT),
    "deep_4_with": ("deep_sea_4", WITH),
    "deep_10": ("deep_sea_10", WITHOUT),
    "deep_10_with": ("deep_sea_10", WITH),
}
# The number of such runs alone, or of those of another measure.
COUNTS = {
    **{name: (experiment, WITHOUT, "succeeds") for name, experiment in FAMILIES.items()},
    **{f"{name}_with": (experiment, WITH, "succeeds") for name, experiment in FAMILIES.items()},
    "straight": ("mazes_tuned", WITHOUT, "solved"),
    "straight_with": ("mazes_tuned", WITH, "solved"),
    "more": ("mazes_more_training", WITHOUT, "succeeds"),
    "more_ten": ("mazes_more_training", "ten_times", "succeeds"),
    "more_steps": ("mazes_more_training", "equal_steps", "succeeds"),
    "more_with": ("mazes_more_training", WITH, "succeeds"),
}
# The rows of the table of the two rooms: by name, measure.
CELLS = {"succeeds": "succeeds", "solved": "solved", "greedy": "greedy_solved", "never": "never_successful"}


def numbers(summary: Mapping[str, Any]) -> dict[str, str]:
    """The text of every number by the name that it has in the sentences."""
    claims = summary["claims"]
    law, *_ = effects = [next(c for c in claims if c["experiment"] == family) for family in FAMILIES.values()]
    open_ones = {c["experiment"] for c in claims if c["verdict"] == "inconclusive" and not c["limit"]}

    def measure(experiment: str, arm: str, name: str = "succeeds") -> Mapping[str, Any]:
        found: Mapping[str, Any] = summary["experiments"][experiment]["arms"][arm]["measures"][name]
        return found

    def cell(arm: str, name: str) -> str:
        entry = measure("two_rooms", arm, name)
        return f"{entry['count']}/{entry['n']} = {interval(entry, 'estimate')}"

    return {
        **{name: "{count}/{n}".format_map(measure(*place)) for name, place in SHARES.items()},
        **{name: str(measure(*place)["count"]) for name, place in COUNTS.items()},
        **{name: cell(WITHOUT, row) for name, row in CELLS.items()},
        **{f"{name}_with": cell(WITH, row) for name, row in CELLS.items()},
        **{f"{name}_effect": interval(claim, "effect") for name, claim in zip(FAMILIES, effects, strict=True)},
        "mazes_verdict": VERDICTS[law["verdict"]],
        "mazes_better": str(law["worlds"]["higher"]),
        "mazes_worse": str(law["worlds"]["lower"] or "none"),
        "experiments": str(len(summary["experiments"])),
        "claims": str(len(claims)),
        **{name: str(number) for name, number in summary["verdicts"].items()},
        "inconclusive_names": ", ".join(f"`{name}`" for name in sorted(open_ones)) or "none",
        **summary["headline"],
        **_of_random_settings(stored("quarter_million")),
    }


def _of_random_settings(summary: Mapping[str, Any]) -> dict[str, str]:
    found = summary["comparison"]
    groups = {(key, str(group["values"])): group for key, parts in found["marginals"].items() for group in parts}
    effects = {
        "adam": ("agent.optimizer", "adam"),
        "sgd": ("agent.optimizer", "sgd"),
        "normalised": ("agent.normalize_advantages", "True"),
        "discount_low": ("agent.discount", "0.9"),
        "discount_high": ("agent.discount", "1.0"),
        "scale_down": ("environment.reward_scale", "0.1"),
        "scale": ("environment.reward_scale", "1.0"),
        "scale_up": ("environment.reward_scale", "10.0"),
        "limit_30": ("environment.max_episode_steps", "30"),
        "limit_200": ("environment.max_episode_steps", "200"),
    }
    quarters = {}
    for number, group in enumerate(found["marginals"]["arms.with_entropy.entropy_coef"], 1):
        quarters[f"to_{number}"] = f"{group['values']['to']:.4f}"[1:]
        quarters |= {f"{name}_{number}": share(group[name]) for name in ("helps", "harms")}
        quarters[f"effect_{number}"] = effect(group["effect"])
    return {
        "settings": f"{summary['trainings']:,}",
        "refused_settings": str(summary["refused"]),
        "runs": f"{summary['runs']:,}",
        "million_steps": f"{summary['env_steps'] / 1e6:,.0f}",
        "core_seconds": f"{summary['core_seconds']:,.0f}",
        "effect": effect(found["effect"]),
        **{name.replace(" ", "_"): share(ends) for name, ends in found["shares"].items()},
        **{name: effect(groups[place]["effect"]) for name, place in effects.items()},
        **quarters,
    }


def share(ends: Sequence[float]) -> str:
    """A share of all settings with the ends of its interval."""
    middle, low, high = (f"{end:.3f}"[1:] for end in ends)
    return f"{middle} [{low}, {high}]"


def effect(ends: Sequence[float]) -> str:
    """A difference with the ends of its interval."""
    middle, low, high = (f"{end:+.3f}".replace("0.", ".", 1) for end in ends)
    return f"{middle} [{low}, {high}]"


def interval(entry: Mapping[str, Any], name: str) -> str:
    """An estimate with the ends of its interval."""
    return f"{entry[name]:.2f} [{entry['low']:.2f}, {entry['high']:.2f}]"


def pattern(sentence: str) -> re.Pattern[str]:
    """What finds a sentence with any numbers in it, however its lines are wrapped."""
    parts = re.split(r"\{(\w+)\}", sentence)
    literal = [r"\s+".join(map(re.escape, re.split(r"\s+", part))) for part in parts[::2]]
    literal = [
        re.sub(r"^\\\.", r"\\.(?!\\d)", part) for part in literal
    ]  # the end of a sentence, not a decimal point
    fields = [rf"(?P<{name}>[^{{}}|!]{{1,{LONG.get(name, 50)}}}?)" for name in parts[1::2]]
    return re.compile("".join(a + b for a, b in zip(literal, [*fields, ""], strict=True)))


def filled(text: str, sentences: tuple[str, ...], known: Mapping[str, str]) -> str:
    """The text with the numbers of its sentences.

    Raises:
        ValueError: a sentence is not there exactly once.
    """
    for sentence in sentences:
        places = list(pattern(sentence).finditer(text))
        if len(places) != 1:
            raise ValueError(f"{len(places)} places say {sentence!r}")
        (place,) = places
        for name in sorted(place.groupdict(), key=place.start, reverse=True):
            if " ".join(place[name].split()) != known[name]:  # else its lines stay wrapped as they are
                text = text[: place.start(name)] + known[name] + text[place.end(name) :]
    return text


if __name__ == "__main__":
    for file, wanted in SENTENCES.items():
        path = ROOT / file
        path.write_text(filled(path.read_text(encoding="utf-8"), wanted, numbers(stored())), encoding="utf-8")
        print(f"{file}: {len(wanted)} sentences have the stored numbers")
