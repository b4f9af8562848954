"""The plan of the argument: its experiments in order, each with the question that it answers."""

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


PLAN = (
    Part(
        "The experiment",
        "REINFORCE with the negative-entropy term and without it, on the same seeds, with everything else equal.",
        (
            Entry("two_rooms", "Does the term keep an agent from settling on the near, small reward?"),
            Entry("bandit", "Does it free a policy that starts nearly sure of the second-best action?"),
            Entry("dose_response", "How much of it? Too little does nothing, too much does harm."),
        ),
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
            Entry("four_rooms", "Does it hold in the rooms of others, with a value baseline and a large step?"),
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
            Entry("annealed", "Is the price at the end avoidable?"),
            Entry("two_rooms_exact", "Is it the sampling or the landscape?"),
            Entry("soft_return", "Does entropy in the return do the same?"),
            Entry("no_reward", "What does the term do alone?"),
            Entry("frozen_lake_dry", "Does it change what cannot be improved?"),
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
