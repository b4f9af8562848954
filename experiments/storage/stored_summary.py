"""Checks a summary.json: finite numbers, texts without control characters, entries that fit the config.

An unknown key may hold a plain value, since a later version with the same format may write it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from experiments.config.measures import RUN_MEASURES
from experiments.config.plain_text import printable
from experiments.config.schema import Config, one_line
from experiments.storage.stored_files import StoreError
from experiments.training.records import runs_of

FORMAT = 2  # of run folders and checkpoints; newer ones are refused
MAX_BYTES = 1 << 28  # the largest summary: of as many runs as a config may have, all of which failed


class NewerFormat(StoreError):
    """A newer version of the program wrote the file."""


def _shown(text: str) -> str:
    if printable(text) != text:
        raise ValueError(f"holds characters that a terminal would obey: {printable(text)!r}"[:200])
    return text


Text = Annotated[str, Field(max_length=10_000), AfterValidator(_shown)]
Count = Annotated[int, Field(ge=0, lt=2**62)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Plain = Text | bool | Annotated[int, Field(gt=-(2**62), lt=2**62)] | Finite | None


class Stored(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, Plain | list[Plain] | dict[Text, Plain]] = Field(init=False)


class Entry(Stored):
    """The estimate of a measure in an arm; a fraction and a time have a count, a number has a mean."""

    estimate: Finite | None
    low: Finite | None
    high: Finite | None
    n: Count
    left_out: Count = 0
    count: Count | None = None
    mean: Finite | None = None


class Arm(Stored):
    runs: Count
    n: Count
    env_steps: Count
    measures: dict[Text, Entry | None]


class WorldCount(Stored):
    """As `experiments.analysis.contrasts.WorldCount`."""

    higher: Count
    equal: Count
    lower: Count
    sign_test_p: Share


class Verdict(Stored):
    """As `experiments.analysis.claims.Verdict`."""

    statement: Text
    measure: Text
    expect: Text
    limit: bool
    verdict: Literal["supported", "refuted", "inconclusive"]
    effect: Finite | None
    low: Finite | None
    high: Finite | None
    test: Text
    p: Share | None
    p_adjusted: Share | None
    n: Count
    failed: Count
    improvement: Annotated[list[Finite | None], Field(min_length=3, max_length=3)] | None = (
        None  # not in summaries of earlier versions
    )
    mean_difference: Finite | None = None
    more_seeds: Count | None
    worlds: WorldCount | None = None
    missing: Count = 0  # not in summaries of earlier versions


class FailedRun(Stored):
    arm: Text
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    update: Count
    world: Annotated[int, Field(ge=0, lt=2**63)] | None = None


class Summary(Stored):
    format: int
    config_sha256: Text = ""  # not in summaries of earlier versions
    name: Text
    description: Text
    failed_runs: list[FailedRun]
    arms: dict[Text, Arm]
    claims: list[Verdict]
    versions: dict[Text, Text]
    platform: Text
    arithmetic: dict[Text, Text] = {}  # see `numerics.arithmetic`; not in summaries of earlier versions
    arithmetic_changes: list[Text] = []  # when resuming
    judging: Text = ""  # the digest of the code that judged; not in summaries of earlier versions
    wall_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    env_steps: Count
    env_steps_per_second: Count


class _Format(BaseModel):
    model_config = ConfigDict(strict=True)
    format: JsonValue


def read_summary(place: Path, data: bytes, config: Config) -> dict[str, Any]:
    """Read the summary of a folder with this config, in plain types.

    Raises:
        StoreError: it is damaged, or belongs to another config.
    """
    with _damage(place):
        summary = Summary.model_validate_json(data)
        _check_fits(summary, config)
        return summary.model_dump(exclude_unset=True)


def check_version(place: Path, data: bytes) -> None:
    """Check first whether this program can read the file.

    Raises:
        StoreError: it does not say which version wrote it.
        NewerFormat: a newer version wrote it.
    """
    with _damage(place):
        check_format(place, _Format.model_validate_json(data).format)


@contextmanager
def _damage(place: Path) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, details["loc"]))
        message = f"{where}: {details['msg']}" if where else details["msg"]
        raise StoreError(f"{place}: damaged: {one_line(message, 300)}") from None
    except ValueError as error:
        raise StoreError(f"{place}: damaged: {one_line(error, 300)}") from None


def check_format(place: Path, found: Any) -> None:
    """Check the number of a format.

    Raises:
        NewerFormat: a newer version wrote it.
        ValueError: it is not the number of a format.
    """
    if type(found) is not int or found < 1:
        raise ValueError(f"format {found!r}")
    if found > FORMAT:
        raise NewerFormat(f"{place}: format {found} is newer than this program's {FORMAT}; update the program")


def _check_fits(summary: Summary, config: Config) -> None:
    """Check that a summary belongs to a training with this config.

    Raises:
        ValueError: the message says what does not.
    """
    if (summary.name, summary.description) != (config.name, config.description):
        raise ValueError("its name and description are not those of config.toml")
    if list(summary.arms) != list(config.arms):
        raise ValueError("its arms are not those of config.toml")
    keys = ("statement", "measure", "expect", "limit")
    claims, judged = ([[getattr(claim, key) for key in keys] for claim in c.claims] for c in (config, summary))
    if claims != judged:
        raise ValueError("its claims are not those of config.toml")
    for name, arm in summary.arms.items():
        _check_arm(name, arm, config.runs_per_arm)
    runs = set(zip(*runs_of(config), strict=True))
    failed = {(run.arm, run.seed, run.world) for run in summary.failed_runs}
    if len(failed) < len(summary.failed_runs) or not failed <= runs:
        raise ValueError("its failed runs are not runs of config.toml")


def _check_arm(name: str, arm: Arm, seeds: int) -> None:
    if arm.runs != seeds or arm.n not in (1, seeds):
        raise ValueError(f"arms.{name}: has {arm.runs} runs, {arm.n} of them different; its config has {seeds}")
    for measure, entry in arm.measures.items():
        if entry is None or measure not in RUN_MEASURES:
            continue
        place, kind = f"arms.{name}.measures.{measure}", RUN_MEASURES[measure].kind
        if entry.n > seeds or (entry.count is not None and entry.count > entry.n):
            raise ValueError(f"{place}: counts more runs than there are")
        if kind != "number" and entry.count is None:
            raise ValueError(f"{place}: has no count")
        if kind == "fraction" and entry.n and (entry.estimate is None or not 0 <= entry.estimate <= 1):
            raise ValueError(f"{place}: is not a fraction")
