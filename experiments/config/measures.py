"""What is measured: one table with everything that storing or showing a measure takes.

A measure is a number that describes an update, a run at its end, or either. CONTRIBUTING.md lists the places that
a new one takes: its formula, the lines that compute it, and its row here.

This module imports nothing heavy, so that a claim about a measure that does not exist is refused at once.
"""

import math
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["fraction", "number", "time"]  # a fraction is true or false for a run, and counts runs
FailedAs: TypeAlias = Literal["low", "high", "missing"]
Need: TypeAlias = Literal["goal", "tables", "steps"]  # a solved_return; a finite world; gradients from episodes

ANY, AMOUNT, SHARE = (-math.inf, math.inf), (0.0, math.inf), (0.0, 1.0)


class Measure(NamedTuple):
    """What a measure is.

    Attributes:
        label: its name as a heading, without its unit.
        meaning: what it is, in a sentence.
        of: which tables have a column of this name: updates.parquet, runs.parquet, or both.
        kind: whether it is true or false for a run, a number, or a time to an event, which may never happen.
        unit: unit of the numbers; empty for fractions, shares, counts and returns.
        failed_as: the worse end of the measure, as which a failed run counts in estimates and curves. Where
            neither end is worse, such runs are "missing": they are left out, and their number is shown.
        bounds: the least and the greatest value it can have.
        needs: what a training must have for the measure to mean something.
        tag: its tag in TensorBoard, with a point per update and run.
        final: column of runs.parquet that holds its mean over the last 5 % of a run's updates.
        shown: where an arm's estimate is shown; each place shows all that the one before it does.
            "everywhere": pages, pictures, terminal and TensorBoard's bands and HParams.
    """

    label: str
    meaning: str
    of: Literal["update", "run", "both"]
    kind: Kind = "number"
    unit: str = ""
    failed_as: FailedAs = "low"
    bounds: tuple[float, float] = ANY
    needs: tuple[Need, ...] = ()
    tag: str | None = None
    final: str | None = None
    shown: Literal["everywhere", "terminal", "pages", "nowhere"] = "pages"

    @property
    def heading(self) -> str:
        """The label with its unit, as the heading of a row or column."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value of a run, where true counts as 1."""
        return SHARE if self.kind == "fraction" else AMOUNT if self.kind == "time" else self.bounds

    @property
    def axis(self) -> str:
        """The label of an axis that shows estimates over runs."""
        return f"fraction of {self.label}" if self.kind == "fraction" else self.heading


# fmt: off
MEASURES = {
    # How a run ended
    "succeeds": Measure(
        "runs that succeed", "at least half of the episodes of the last 5 % of updates reach solved_return",
        "run", "fraction", needs=("goal",), shown="everywhere"),
    "solved": Measure(
        "runs solved", "the mean return over the last 5 % of updates reaches solved_return",
        "both", "fraction", needs=("goal",), tag="explore/solved", shown="everywhere"),
    "greedy_solved": Measure(
        "runs solved greedily", "the return of the most probable actions reaches solved_return",
        "run", "fraction", needs=("goal",), shown="terminal"),
    "stuck": Measure(
        "runs stuck",
        "sure of one action at the start (above .9), and the run neither succeeds nor is solved greedily",
        "run", "fraction", failed_as="high", needs=("goal", "tables"), shown="terminal"),
    "never_successful": Measure(
        "runs never successful", "no episode of training reached solved_return",
        "run", "fraction", failed_as="high", needs=("goal", "steps")),
    "succeeded": Measure(
        "runs successful so far", "an episode has reached solved_return",
        "update", "fraction", needs=("goal", "steps")),
    "failed": Measure(
        "runs not finite", "a loss, gradient or parameter overflowed; the run was frozen",
        "run", "fraction", failed_as="high", shown="terminal"),
    # What its episodes achieved
    "success_rate": Measure(
        "success rate",
        "share of episodes that reach solved_return; with exact gradients the chance that one does",
        "update", bounds=SHARE, needs=("goal",), final="final_success_rate"),
    "return_mean": Measure(
        "return", "undiscounted return, mean over episodes; with exact gradients the expected one",
        "update", tag="episode/return", final="final_return", shown="everywhere"),
    "greedy_return": Measure(
        "greedy return", "return of the most probable actions after training",
        "run", shown="terminal"),
    "regret": Measure(
        "regret per episode", "optimal minus actual return, mean over training",
        "both", failed_as="high", needs=("tables",)),
    "episode_length": Measure(
        "length", "steps of an episode",
        "update", unit="steps", failed_as="missing", bounds=AMOUNT,
        tag="episode/length", final="final_episode_length"),
    "truncation_rate": Measure(
        "truncation rate", "share of the episodes that the time limit cut off",
        "update", bounds=SHARE),
    # How sure the policy was
    "entropy_bits": Measure(
        "entropy along the path", "entropy of the policy, mean over the update's steps",
        "update", unit="bits", failed_as="missing", bounds=AMOUNT,
        tag="policy/entropy_bits", final="final_entropy_bits", shown="everywhere"),
    "entropy_nats": Measure(
        "entropy along the path", "entropy of the policy, mean over the update's steps",
        "update", unit="nats", failed_as="missing", bounds=AMOUNT, tag="policy/entropy_nats"),
    "effective_actions": Measure(
        "effective actions", "e to the power of the entropy along the path in nats",
        "update", failed_as="missing", bounds=AMOUNT, tag="policy/effective_actions"),
    "all_state_entropy_bits": Measure(
        "entropy of all states", "entropy of the policy, mean over all states that can be reached",
        "update", unit="bits", failed_as="missing", bounds=AMOUNT,
        needs=("tables",), final="final_all_state_entropy_bits"),
    "kl_to_uniform": Measure(
        "KL to uniform", "KL(policy || uniform), mean over the update's steps",
        "update", unit="nats", failed_as="missing", bounds=AMOUNT, final="final_kl_to_uniform"),
    "kl_from_previous": Measure(
        "KL of an update", "KL(old policy || new policy), mean over the states that the previous update visited",
        "update", unit="nats", failed_as="missing", bounds=AMOUNT,
        tag="policy/kl_from_previous", final="final_kl_from_previous"),
    "optimal_action_probability": Measure(
        "probability of the optimal action", "the policy's probability of the optimal actions at the start",
        "update", bounds=SHARE, needs=("tables",), final="final_optimal_action_probability"),
    "path_optimal_action_probability": Measure(
        "probability of the optimal action along the path",
        "the policy's probability of the optimal actions, mean over the update's steps",
        "update", bounds=SHARE, needs=("tables",),
        tag="policy/path_optimal_action_probability", final="final_path_optimal_action_probability"),
    "cross_entropy_to_optimal": Measure(
        "cross entropy to the optimum",
        "-ln of the optimal actions' total probability, mean over the update's steps",
        "update", unit="nats", failed_as="high", bounds=AMOUNT,
        needs=("tables",), tag="policy/cross_entropy_to_optimal", final="final_cross_entropy_to_optimal"),
    # Where it went
    "state_coverage": Measure(
        "state coverage", "visited / reachable states, over all of training",
        "both", bounds=SHARE, needs=("tables", "steps"), tag="explore/state_coverage", shown="everywhere"),
    "visit_entropy_bits": Measure(
        "visit entropy", "entropy of the distribution of visits over the states",
        "update", unit="bits", failed_as="missing", bounds=AMOUNT,
        needs=("tables",), tag="explore/visit_entropy_bits", final="final_visit_entropy_bits"),
    # The loss and its terms
    "policy_loss": Measure(
        "policy loss", "the term with the returns, as it enters the loss",
        "update", tag="loss/policy"),
    "negative_entropy": Measure(
        "negative entropy", "minus the sum of the entropies along an episode, as it enters the loss",
        "update", unit="nats", tag="loss/negative_entropy"),
    "regularizer": Measure(
        "regularizer", "what the coefficient weighs, as it enters the loss: the negative entropy, or a control",
        "update", tag="loss/regularizer"),
    "loss": Measure(
        "loss", "policy loss + coefficient x regularizer (the negative entropy, unless the config says otherwise)",
        "update", tag="loss/total"),
    "entropy_coef": Measure(
        "coefficient of the negative entropy", "its weight in the loss",
        "update", tag="loss/entropy_coef"),
    "grad_norm": Measure(
        "gradient norm", "norm of a run's gradient before clipping",
        "update", tag="loss/grad_norm"),
    # How long it took
    "first_success_env_step": Measure(
        "first success", "environment steps until an episode reached solved_return",
        "run", "time", unit="step", failed_as="high", needs=("goal", "steps"), shown="everywhere"),
    "first_optimal_update": Measure(
        "first optimal", "first update whose policy mostly acts optimally at the start",
        "run", "time", unit="update", failed_as="high", needs=("tables",)),
    "entropy_collapse_update": Measure(
        "entropy collapse", "first update from which the entropy along the path stays below 0.1 bits",
        "run", "time", unit="update", failed_as="missing", shown="terminal"),
    "env_steps": Measure(
        "steps of training", "environment steps of the run so far",
        "both", failed_as="missing", bounds=AMOUNT, shown="nowhere"),
    "episodes": Measure(
        "episodes of training", "episodes of the run so far",
        "both", failed_as="missing", bounds=AMOUNT, shown="nowhere"),
}
# fmt: on


def _of_runs(name: str, measure: Measure) -> dict[str, Measure]:
    if measure.final is None:
        return {} if measure.of == "update" else {name: measure}
    meaning = f"{measure.meaning}; mean over the last 5 % of updates"
    return {measure.final: measure._replace(label=f"final {measure.label}", meaning=meaning, of="run")}


# The measures of runs.parquet, which a claim may name, in the order of its columns.
RUN_MEASURES = {column: found for name, m in MEASURES.items() for column, found in _of_runs(name, m).items()}

# The measures of updates.parquet.
UPDATE_MEASURES = {name: measure for name, measure in MEASURES.items() if measure.of != "run"}

# Column of runs.parquet -> column of updates.parquet, of whose last 5 % it is the mean.
FINAL = {measure.final: name for name, measure in MEASURES.items() if measure.final is not None}

# Tag in TensorBoard -> column of updates.parquet.
TAGS = {measure.tag: name for name, measure in MEASURES.items() if measure.tag is not None}


def is_time(measure: str) -> bool:
    """Whether a measure of runs is the time to an event; where it is missing, the event did not happen in
    training."""
    return measure in RUN_MEASURES and RUN_MEASURES[measure].kind == "time"
