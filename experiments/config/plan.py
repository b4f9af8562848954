"""The plan of the argument: its experiments, each with the question that it answers; and what is outside."""

from typing import NamedTuple


class Entry(NamedTuple):
    """An experiment and its place in the argument."""

    name: str  # of the config
    question: str


class Part(NamedTuple):
    """Experiments that belong together."""

    title: str
    introduction: str
    entries: tuple[Entry, ...]
    with_maps: bool = False  # on the page of the argument; the reports of the experiments always have them


class Outside(NamedTuple):
    """An experiment or a sweep that is not judged with the others."""

    name: str  # of the config
    why: str


PLAN = (
    Part(
        "The law",
        "Random mazes with a small goal near the start and a large one far away. The maze is the unit: what holds "
        "over many of them is no anecdote.",
        (
            Entry("mazes", "Does the term bring more runs to the far goal, over sixty random mazes?"),
            Entry("mazes_again", "And over 48 others?"),
            Entry("mazes_tuned", "And with each arm at its own best settings?"),
            Entry("mazes_more_training", "Would more training do the same?"),
        ),
    ),
    Part(
        "The picture that explains it",
        "REINFORCE with the negative-entropy term and without it, on the same seeds, with everything else equal. "
        "In the two rooms a smaller learning rate would do much of the same.",
        (
            Entry("two_rooms", "Does the term keep an agent from settling on the near, small reward?"),
            Entry("bandit", "Does it free a policy that starts nearly sure of the second-best action?"),
            Entry("dose_response", "How much of it? Too little does nothing, too much does harm."),
            Entry("starts", "Does it matter where a policy starts: sure, unsure or uniform?"),
        ),
        with_maps=True,
    ),
    Part(
        "What others have published",
        "The same statements, tested with our own implementation.",
        (
            Entry("soft_optimum", "Does a bandit with the term converge to softmax(r / coefficient)?"),
            Entry("mei_plateau", "How long is the plateau of the exact gradient, and what does the term cost?"),
            Entry("two_state", "Is the term of the loss the same as entropy in the return?"),
            Entry("trap", "Is more entropy always better?"),
            Entry("trap_ended", "Does that depend on how episodes end?"),
            Entry("four_rooms", "Does it hold in others' rooms, with a value baseline and a large learning rate?"),
            Entry(
                "bandit_dose", "Is there an inverted U in the text's own bandit, and would a baseline do the same?"
            ),
            Entry("frozen_lake", "And on ice that is slippery?"),
            Entry("cliff_walking", "And where rewards are large and negative?"),
        ),
    ),
    Part(
        "What a sceptic asks",
        "Each of these could explain the result away.",
        (
            Entry("robustness", "Is it one lucky setting?"),
            Entry("learning_rate", "Is it only a smaller effective step?"),
            Entry("small_steps", "Would patience do the same?"),
            Entry("noise", "Is it only noise?"),
            Entry("two_rooms_large_batch", "Would a larger batch do the same?"),
            Entry("three_times_the_episodes", "Would three times the episodes?"),
            Entry("more_updates", "Would three or ten times the updates?"),
            Entry("equal_steps", "Would as many environment steps?"),
            Entry("settling", "Does it settle later, or explore more?"),
            Entry("pulls", "Would another pull to the uniform policy do the same?"),
            Entry("annealed", "Is the price at the end avoidable?"),
            Entry("two_rooms_exact", "Is it the sampling or the landscape?"),
            Entry("soft_return", "Does entropy in the return do the same?"),
            Entry("no_reward", "What does the term do alone?"),
            Entry("frozen_lake_dry", "Does it change what cannot be improved?"),
        ),
    ),
    Part(
        "Where it does harm, or nothing",
        "Settings in which a user of the term would be worse off, or no better.",
        (
            Entry("harm", "Does it do harm with a narrow network, a small learning rate, SGD or a linear policy?"),
            Entry("reward_scale_up", "Does its coefficient survive rewards ten times as large?"),
            Entry("reward_scale_down", "And rewards a tenth as large?"),
            Entry("normalized_advantages", "Does it help where advantages are normalised?"),
            Entry("bandit_offset", "Does it help where all rewards are lowered?"),
        ),
    ),
    Part(
        "Where it ends",
        "Random actions do not find a goal that takes many right steps in a row: the term delays settling, but it "
        "does not search.",
        (
            Entry("deep_sea_4", "Does it find four right steps in a row?"),
            Entry("deep_sea_6", "Six right steps in a row?"),
            Entry("deep_sea_8", "Eight right steps in a row?"),
            Entry("deep_sea_10", "Ten right steps in a row?"),
        ),
    ),
)

OUTSIDE = (
    Outside(
        "lunar_lander",
        "a simulator, an hour long, and only eight seeds; judged by itself: its first claim is refuted, for the "
        "term did harm (docs/worlds.md)",
    ),
    Outside("cartpole", "a simulator with eight seeds, exploratory (docs/worlds.md has its speed)"),
    Outside(
        "fair_mazes",
        "a sweep, with which each arm chose the settings of mazes_tuned; on its own 48 worlds its claims are "
        "supported (docs/law.md)",
    ),
    Outside(
        "fair_two_rooms",
        "a sweep, judged by itself: refuted, for with each arm at its own best settings the term does harm in the "
        "two rooms (docs/law.md)",
    ),
    Outside("fair_frozen_lake", "a sweep, judged by itself: inconclusive (docs/law.md)"),
    Outside("help_and_harm", "a sweep over random settings, which makes no claim (docs/law.md)"),
    Outside("quarter_million", "the same sweep, continued to 253,680 runs (docs/law.md)"),
)
