"""Typed, validated, frozen configs. Arms are differences from the base agent.

This module imports neither torch nor gymnasium, so that `--help`, `--list` and the message for a typing mistake
come at once. Whether an environment exists and fits is checked when its world is made
(`experiments.training.worlds`).
"""

import math
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from experiments.config.expectations import check_runs_decide, read_expectation
from experiments.config.measures import RUN_MEASURES
from experiments.config.mistakes import ConfigError as ConfigError  # others import it from here
from experiments.config.mistakes import message_of
from experiments.config.mistakes import one_line as one_line

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=64)]
Width = Annotated[int, Field(gt=0, le=4096)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

# A config may come from a stranger or have a digit too many, so the amount of training is bounded.
MAX_SEEDS, MAX_ARMS, MAX_RUNS = 100_000, 1000, 1_000_000


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Count = Annotated[int, Field(ge=1, le=MAX_SEEDS)]


class Range(Section):
    """The numbers first, first + 1, ..., first + count - 1."""

    first: Annotated[int, Field(ge=0, lt=2**63 - MAX_SEEDS)]
    count: Count


class Environment(Section):
    id: str = Field(description="any Gymnasium id with a Discrete action space")
    kwargs: dict[str, Any] = Field(default={}, description="keyword arguments of the environment")
    max_episode_steps: int | None = Field(
        default=None, gt=0, le=1_000_000, description="time limit in steps; needed where the environment has none"
    )
    solved_return: Finite | None = Field(
        default=None,
        description="undiscounted return that makes an episode a success; without it success is not measured",
    )
    worlds: Count | Range | None = Field(
        default=None,
        description="a family: a count n for the worlds 0..n-1, or a first one and their count; sets the "
        "constructor's argument world, and the world becomes the unit of tests and intervals",
    )
    reward_scale: Positive = Field(
        default=1.0, description="every reward is multiplied by this; solved_return is in scaled rewards"
    )
    reward_offset: Finite = Field(default=0.0, description="added to every reward, after scaling")
    tables: bool = Field(
        default=True, description="train a finite world on its tables; false: step it like any other world"
    )
    normalize_observations: bool = Field(
        default=False,
        description="stepped worlds with Box observations: each run's own running mean and deviation",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_place_per_key(cls, given: Any) -> Any:
        """Arguments that `gymnasium.make` keeps for itself may stand in kwargs only if they repeat the config's
        keys."""
        if not (isinstance(given, dict) and isinstance(given.get("kwargs"), dict)):
            return given
        kwargs, limit = dict(given["kwargs"]), given.get("max_episode_steps")
        if kwargs.get("render_mode") == "human":
            raise ValueError(
                'kwargs.render_mode = "human" would open a window for every environment: leave it out'
            )
        limit = kwargs.get("max_episode_steps") if limit is None else limit
        own = {"id": given.get("id"), "max_episode_steps": limit, "disable_env_checker": True}
        for key, value in own.items():
            if key in kwargs and repr(kwargs[key]) != repr(value):
                raise ValueError(
                    f"kwargs.{key} = {kwargs[key]!r} contradicts {key} = {value!r}: leave one of them out"
                )
            kwargs.pop(key, None)
        if "world" in kwargs and given.get("worlds") is not None:
            raise ValueError("kwargs.world and worlds both say which world it is: leave one of them out")
        return {**given, "kwargs": kwargs, "max_episode_steps": limit}

    @property
    def world_list(self) -> tuple[int | None, ...]:
        """The numbers of the worlds of a family, in order; (None,): it is a single world."""
        if self.worlds is None:
            return (None,)
        found = Range(first=0, count=self.worlds) if isinstance(self.worlds, int) else self.worlds
        return tuple(range(found.first, found.first + found.count))

    def of_world(self, world: int | None) -> "Environment":
        """The environment of one world of the family; None: as it is."""
        if world is None:
            return self
        return self.model_copy(update={"kwargs": {**self.kwargs, "world": world}, "worlds": None})


class Linear(Section):
    schedule: Literal["linear"]
    start: NonNegative
    end: NonNegative
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0


class Exponential(Section):
    schedule: Literal["exponential"]
    start: NonNegative
    decay: Annotated[float, Field(gt=0, le=1)]


class TargetEntropy(Section):
    schedule: Literal["target_entropy"]
    target_bits: NonNegative
    rate: Positive
    start: NonNegative = 0.0


Schedule = Annotated[Linear | Exponential | TargetEntropy, Field(discriminator="schedule")]
Coefficient = NonNegative | Schedule


def _is_always_one(share: float | Linear | Exponential) -> bool:
    if isinstance(share, Linear):
        return share.start == share.end == 1
    return share.start == share.decay == 1 if isinstance(share, Exponential) else share == 1


class Agent(Section):
    policy: Literal["tabular", "mlp"] = Field(
        default="tabular", description="a table of logits, or an MLP on one-hot states or observations"
    )
    hidden_sizes: Annotated[tuple[Width, ...], Field(strict=False, max_length=8)] = Field(
        default=(64, 64), description="mlp: tanh layers; [] is linear with a bias shared by all states"
    )
    initialization: Literal["orthogonal", "torch", "small_uniform"] = Field(
        default="orthogonal", description="mlp: initial weights"
    )
    initial_policy: Annotated[tuple[float, ...], Field(strict=False)] | None = Field(
        default=None,
        description="action probabilities in every state at the start (default: uniform if tabular)",
    )
    gradient: Literal["sampled", "exact"] = Field(
        default="sampled", description="from episodes, or by dynamic programming (finite worlds)"
    )
    horizon: Literal["time_limit", "infinite"] = Field(
        default="time_limit", description="exact only: episodes are cut off at the time limit, or never"
    )
    optimizer: Literal["sgd", "adam"] = Field(default="sgd", description="how gradients move parameters")
    learning_rate: Positive = Field(
        default=0.1, description="step size: how far a parameter moves per unit of its gradient (sgd)"
    )
    discount: Fraction = Field(default=1.0, description="gamma, per step")
    discount_weighting: bool = Field(
        default=False, description="the factor gamma^t of the textbook's gradient, on both loss terms"
    )
    baseline: Literal["none", "batch_mean", "leave_one_out", "running_mean", "value"] = Field(
        default="none", description="what is subtracted from the return-to-go"
    )
    value_learning_rate: Fraction = Field(
        default=0.1, description="baseline value: share of the way to the state's mean return, per update"
    )
    normalize_advantages: bool = Field(
        default=False, description="scale the advantages of each update to mean 0 and standard deviation 1"
    )
    loss_reduction: Literal["per_episode", "per_step"] = Field(
        default="per_episode",
        description="sum over steps divided by the episodes, or by the steps, of an update",
    )
    max_grad_norm: NonNegative = Field(
        default=0.0, description="a run's gradient is clipped to this Euclidean norm; 0: off"
    )
    entropy_coef: Coefficient = Field(
        default=0.0,
        description="weight of the negative entropy (nats) in the loss: a number or a schedule table",
    )
    regularizer: Literal["entropy", "kl_from_uniform", "logit_l2"] = Field(
        default="entropy",
        description="what entropy_coef weighs: the negative entropy, or as a control another pull to uniform, "
        "KL(uniform || policy) or half the squared logits",
    )
    entropy_objective: Literal["bonus", "soft_return"] = Field(
        default="bonus", description="the loss term alone, or entropy inside the return as well"
    )
    soft_return_offset: Literal["none", "uniform"] = Field(
        default="none", description="soft_return: subtract ln A from each entropy in the return"
    )

    behaviour_epsilon: Fraction | Linear | Exponential = Field(
        default=0.0,
        description="share of uniformly random actions mixed into the policy that acts (0 to 1), or a schedule",
    )
    behaviour_gradient: Literal["mixture", "policy"] = Field(
        default="mixture",
        description="score function of the mixture that acts, or (biased) of the policy alone",
    )

    @field_validator("initial_policy")
    @classmethod
    def _positive_and_summing_to_one(cls, policy: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if policy is None:
            return None
        if not all(math.isfinite(p) and p > 0 for p in policy):
            raise ValueError("every probability must be above 0 (a softmax policy cannot be 0)")
        if abs(sum(policy) - 1) > 1e-6:
            raise ValueError(f"the probabilities must sum to 1, not {sum(policy):.6g}")
        return policy

    @model_validator(mode="after")
    def _options_fit_together(self) -> Self:
        if isinstance(self.behaviour_epsilon, Linear | Exponential):
            shares = [self.behaviour_epsilon.start, getattr(self.behaviour_epsilon, "end", 0.0)]
            if max(shares) > 1:
                raise ValueError(f"behaviour_epsilon is a share of at most 1: it cannot be {max(shares):g}")
        if self.behaviour_gradient == "mixture" and _is_always_one(self.behaviour_epsilon):
            raise ValueError(
                "behaviour_epsilon is 1 in every update: the actions do not depend on the policy, and every "
                'gradient is 0; use a smaller share, or behaviour_gradient = "policy"'
            )
        if self.horizon == "infinite" and self.gradient != "exact":
            raise ValueError('horizon = "infinite" needs gradient = "exact": sampled episodes end at a limit')
        if self.gradient == "exact" and self.behaviour_gradient != "mixture":
            raise ValueError(
                'gradient = "exact" is that of the mixture that acts: use behaviour_gradient = "mixture"'
            )
        if self.gradient == "exact" and (self.baseline != "none" or self.normalize_advantages):
            raise ValueError('gradient = "exact" takes no baseline and no normalisation: nothing is sampled')
        if self.gradient == "exact" and self.loss_reduction != "per_episode":
            raise ValueError(
                'gradient = "exact" is an expectation per episode: use loss_reduction = "per_episode"'
            )
        if self.entropy_objective == "soft_return" and self.baseline == "batch_mean":
            raise ValueError(
                'entropy_objective = "soft_return" with baseline = "batch_mean" is biased: use "leave_one_out"'
            )
        if self.entropy_objective == "soft_return" and self.regularizer != "entropy":
            raise ValueError('entropy_objective = "soft_return" has the entropy in it: regularizer = "entropy"')
        if self.entropy_objective == "bonus" and self.soft_return_offset != "none":
            raise ValueError('soft_return_offset needs entropy_objective = "soft_return"')
        return self


class Training(Section):
    seeds: Count | Annotated[tuple[Seed, ...], Field(strict=False, max_length=MAX_SEEDS)] | Range = Field(
        description="a count n for the seeds 0..n-1, a list of distinct ones, or a first one and their count; "
        "as an override a count takes the first n of the config's own"
    )
    episodes_per_update: int = Field(
        default=1, ge=1, le=100_000, description="E, the number of episodes of a run in one update"
    )
    updates: int = Field(ge=1, le=10_000_000, description="gradient steps of every run")
    max_env_steps: int | None = Field(
        default=None,
        ge=1,
        le=2**53,
        description="a run ends sooner, after the update in which its environment steps reach this number",
    )

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: int | tuple[int, ...] | Range) -> int | tuple[int, ...] | Range:
        if isinstance(seeds, tuple) and (not seeds or len(set(seeds)) != len(seeds)):
            raise ValueError("seeds must be a count of at least 1 or a list of distinct numbers")
        return seeds

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, in order."""
        if isinstance(self.seeds, tuple):
            return self.seeds
        found = Range(first=0, count=self.seeds) if isinstance(self.seeds, int) else self.seeds
        return tuple(range(found.first, found.first + found.count))


class ClaimText(Section):
    """One expectation, written down before the run; `experiments.analysis.claims` reads and judges it."""

    statement: str = Field(description="the expectation in words")
    measure: str = Field(description="a column of runs.parquet")
    expect: str = Field(description='the expectation as a formula, as in "with_entropy < without_entropy"')
    limit: bool = Field(
        default=False, description="true: the claim is expected not to hold, and shows where the argument ends"
    )


ARM_TRAINING = (
    "updates",
    "episodes_per_update",
    "max_env_steps",
)  # keys of [training] that an arm may set for itself


class Config(Section):
    name: Name
    description: str
    declared: date | None = Field(
        default=None, description="the day on which the claims were written down, before any run that judges them"
    )
    environment: Environment
    agent: Agent = Agent()
    training: Training
    arms: dict[Name, dict[str, Any]] = Field(
        default={},
        description=f"keys of [agent], and {', '.join(ARM_TRAINING)} of [training], in which an arm differs",
    )
    claims: Annotated[tuple[ClaimText, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _arms_are_agents(self) -> Self:
        if not self.arms:
            raise ValueError("needs at least one arm, as in [arms.without_entropy]")
        runs = len(self.arms) * self.runs_per_arm
        if len(self.arms) > MAX_ARMS or runs > MAX_RUNS:
            raise ValueError(
                f"{len(self.arms):,} arms with {runs:,} runs are too many: valid are up to {MAX_ARMS:,} arms "
                f"and {MAX_RUNS:,} runs"
            )
        for arm in self.arms:
            resolved, training = self.agent_of(arm), self.training_of(arm)
            if resolved.baseline in ("batch_mean", "leave_one_out") and training.episodes_per_update == 1:
                raise ValueError(
                    f'arms.{arm}: baseline = "{resolved.baseline}" needs training.episodes_per_update above 1'
                )
            if training.max_env_steps is not None and resolved.gradient == "exact":
                raise ValueError(f'arms.{arm}: gradient = "exact" takes no steps, so max_env_steps ends no run')
            if "hidden_sizes" in self.arms[arm] and resolved.policy != "mlp":
                raise ValueError(f'arms.{arm}: hidden_sizes needs policy = "mlp"; a table has no layers')
        given = (
            self.agent.model_fields_set
        )  # who writes policy = "tabular" knows what is idle, as stored configs do
        forgotten = "hidden_sizes" in given and "policy" not in given
        if forgotten and all(self.agent_of(arm).policy != "mlp" for arm in self.arms):
            raise ValueError('agent: hidden_sizes needs policy = "mlp"; a table has no layers')
        return self

    @model_validator(mode="after")
    def _claims_are_readable(self, info: ValidationInfo) -> Self:
        for number, claim in enumerate(self.claims):
            try:
                expectation = read_expectation(claim.measure, claim.expect, list(self.arms), RUN_MEASURES)
                # Under an earlier version a training may have begun that would be refused now.
                if not (info.context or {}).get("stored"):
                    check_runs_decide(expectation, claim.measure, claim.expect)
                    self.check_measure(claim.measure, expectation.arms)
            except ValueError as error:
                raise ValueError(f"claims.{number}: {error}") from None
        return self

    def check_measure(self, measure: str, arms: Iterable[str]) -> None:
        """Check that these arms can have a measure of runs, as far as that is known without their world.

        Raises:
            ValueError: names what the measure needs.
        """
        needs = RUN_MEASURES[measure].needs
        if "goal" in needs and self.environment.solved_return is None:
            raise ValueError(f"measure {measure!r} needs environment.solved_return, which is missing")
        if "tables" in needs and not self.environment.tables:
            raise ValueError(
                f"measure {measure!r} needs the tables of a finite world; environment.tables is false"
            )
        exact = (arm for arm in arms if self.agent_of(arm).gradient == "exact")
        if "steps" in needs and (arm := next(exact, None)) is not None:
            raise ValueError(f'measure {measure!r} needs sampled steps; arms.{arm} has gradient = "exact"')

    @property
    def runs_per_arm(self) -> int:
        """Seeds, times the worlds of a family."""
        return len(self.environment.world_list) * len(self.training.seed_list)

    def agent_of(self, arm: str) -> Agent:
        """The agent of an arm: the base with the arm's differences."""
        own = {key: value for key, value in self.arms[arm].items() if key not in ARM_TRAINING}
        try:
            return Agent.model_validate(self.agent.model_dump() | own)
        except ValidationError as error:
            raise ConfigError(message_of(error, Agent, f"arms.{arm}")) from None

    def training_of(self, arm: str) -> Training:
        """How an arm is trained: as all are, with the arm's differences."""
        own = {key: self.arms[arm][key] for key in ARM_TRAINING if key in self.arms[arm]}
        try:
            return Training.model_validate(self.training.model_dump() | own)
        except ValidationError as error:
            raise ConfigError(message_of(error, Training, f"arms.{arm}")) from None

    @property
    def most_updates(self) -> int:
        """The updates of the arm that has most of them."""
        return max(self.training_of(arm).updates for arm in self.arms)

    def most_steps(self, arm: str, time_limit: int) -> int:
        """The most environment steps that a run of an arm can take."""
        training = self.training_of(arm)
        of_update = training.episodes_per_update * time_limit
        steps = training.updates * of_update
        return steps if training.max_env_steps is None else min(steps, training.max_env_steps - 1 + of_update)
