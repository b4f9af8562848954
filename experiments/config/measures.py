"""What is known of a run at its end: the measures that a claim may name, the columns of runs.parquet.

This module imports nothing heavy, so that a claim about a measure that does not exist is refused at once.
"""

from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["fraction", "number", "time"]
FailedAs: TypeAlias = Literal["low", "high", "missing"]


class Outcome(NamedTuple):
    """A measure of a run.

    `failed_as` is the worse end of the measure: what a failed run counts as in estimates and curves. Where neither
    end is worse such runs are missing: left out, and their number is shown.
    """

    label: str
    kind: Kind
    meaning: str
    failed_as: FailedAs = "low"


OUTCOMES = {
    "succeeds": Outcome(
        "succeeds", "fraction", "at least half of the episodes of the last 5 % of updates reach solved_return"
    ),
    "solved": Outcome("solved", "fraction", "mean return over the last 5 % of updates reaches solved_return"),
    "greedy_solved": Outcome(
        "solved greedily", "fraction", "the return of the most probable actions reaches solved_return"
    ),
    "stuck": Outcome(
        "stuck",
        "fraction",
        "sure of one action at the start (above .9); neither succeeds nor is solved greedily",
        "high",
    ),
    "never_successful": Outcome(
        "never successful", "fraction", "no episode of training reached solved_return", "high"
    ),
    "failed": Outcome(
        "not finite", "fraction", "a loss, gradient or parameter overflowed; the run was frozen", "high"
    ),
    "final_success_rate": Outcome(
        "final success rate",
        "number",
        "share of episodes that reach solved_return, last 5 % of updates; exact: the chance of one to do so",
    ),
    "final_return": Outcome("final return", "number", "sampled return, mean over the last 5 % of updates"),
    "greedy_return": Outcome("greedy return", "number", "return of the most probable actions after training"),
    "regret": Outcome("regret per episode", "number", "optimal minus actual return, mean over training", "high"),
    "final_episode_length": Outcome(
        "final length, steps", "number", "steps of an episode, last 5 % of updates", "missing"
    ),
    "final_entropy_bits": Outcome(
        "final entropy, bits", "number", "policy entropy along the path, last 5 % of updates", "missing"
    ),
    "final_all_state_entropy_bits": Outcome(
        "final entropy of all states, bits", "number", "policy entropy, mean over all states", "missing"
    ),
    "final_kl_to_uniform": Outcome(
        "final KL to uniform, nats",
        "number",
        "KL(policy || uniform) along the path, last 5 % of updates",
        "missing",
    ),
    "final_kl_from_previous": Outcome(
        "final KL of an update, nats", "number", "KL(old policy || new policy), last 5 % of updates", "missing"
    ),
    "final_optimal_action_probability": Outcome(
        "final probability of the optimal action", "number", "at the start, last 5 % of updates"
    ),
    "final_cross_entropy_to_optimal": Outcome(
        "final cross entropy to the optimum, nats",
        "number",
        "-ln of the optimal actions' probability on the path",
        "high",
    ),
    "state_coverage": Outcome("state coverage", "number", "visited / reachable states, over all of training"),
    "final_visit_entropy_bits": Outcome(
        "final visit entropy, bits",
        "number",
        "entropy of the distribution of visits, last 5 % of updates",
        "missing",
    ),
    "first_success_env_step": Outcome(
        "first success, step", "time", "environment steps until an episode reached solved_return", "high"
    ),
    "first_optimal_update": Outcome(
        "first optimal, update", "time", "first update whose policy mostly acts optimally at the start", "high"
    ),
    "entropy_collapse_update": Outcome(
        "entropy collapse, update",
        "time",
        "first update since when the path entropy stays below 0.1 bits",
        "missing",
    ),
    "env_steps": Outcome("steps of training", "number", "environment steps of the run", "missing"),
    "episodes": Outcome("episodes of training", "number", "episodes of the run", "missing"),
}
TIMES = tuple(name for name, outcome in OUTCOMES.items() if outcome.kind == "time")
FRACTIONS = tuple(name for name, outcome in OUTCOMES.items() if outcome.kind == "fraction")

# What is said of successes: missing where the environment has no solved_return.
OF_SUCCESS = (
    *("succeeds", "solved", "greedy_solved", "stuck", "never_successful"),
    *("final_success_rate", "first_success_env_step"),
)
