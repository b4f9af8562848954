"""What the figures of the page of the text are drawn from.

C: coefficients, M: moments of training, n: runs of a coefficient, S: states, A: actions.
"""

import math
import tomllib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.information import entropy
from experiments.analysis.text_numbers import CLASSIFIER, COIN, CONFIDENT, DIGIT, UNDECIDED
from experiments.figures.worlds import differences
from experiments.storage.results import RUNS_FILE, UPDATES_FILE, Results
from experiments.storage.run_folder import RunFolder
from experiments.storage.stored_rows import UpdateRows
from experiments.training.records import runs_of
from experiments.training.worlds import make_world

Array = NDArray[np.float64]

CLOUDS = np.array([[0.0, 1.3], [-1.2, -0.8], [1.2, -0.8]])  # their middles; each has variance 1
DOTS_APART, DOTS_HIGH = 4.2, 6  # of a family: pixels, and how many equal ones may lie above each other


def text() -> dict[str, Any]:
    """The distributions of the text."""
    digit = {"p": DIGIT, "q": CLASSIFIER, "right": DIGIT.index(1.0)}
    return {"coin": COIN, "sure": CONFIDENT, "undecided": UNDECIDED, "digit": digit}


def classes(points: int = 60, seed: int = 0) -> dict[str, Any]:
    """Points of three clouds, their true class probabilities, and the mean entropy of these, in nats.

    Clouds of equal variance have class probabilities that are a softmax of linear functions (Bishop, *Pattern
    Recognition and Machine Learning*, 2006, section 4.2.1): a linear classifier can learn them exactly.
    """
    rng = np.random.default_rng(seed)
    middles = CLOUDS[np.arange(points) % len(CLOUDS)]
    places = (middles + rng.normal(size=middles.shape)).clip(-2.8, 2.8).round(3)
    weights = np.exp(places @ CLOUDS.T - (CLOUDS**2).sum(1) / 2)
    targets = weights / weights.sum(1, keepdims=True)
    rows = np.column_stack([places, np.ones(points)])
    return {"points": rows.tolist(), "targets": targets.tolist(), "entropy": float(np.mean(entropy(targets)))}


def dose_runs(folder: RunFolder, coefficients: Sequence[float], shown: float, moments: int = 36) -> dict[str, Any]:
    """A bandit's runs at many coefficients, an arm each in their order: policies, entropies, and how they end.

    Args:
        folder: of the finished training.
        coefficients: of its arms.
        shown: the coefficient that the page begins with.
        moments: of training, evenly spaced in log(1 + update).
    """
    config = folder.read_config()
    seeds, updates = config.training.seed_list, config.training.updates
    at = np.unique(np.expm1(np.linspace(0, math.log(updates), moments)).round().astype(np.int64))
    shape = len(coefficients), len(at), len(seeds)
    policy, bits = np.full((*shape, 4), np.nan), np.full(shape, np.nan)
    reader = UpdateRows(runs_of(config), updates)
    for batch in folder.read_batches(
        UPDATES_FILE, [*reader.columns, "entropy_bits", "start_policy"], reader.max_rows
    ):
        run, update = reader.take(batch)
        moment = np.searchsorted(at, update)
        rows = np.flatnonzero(at[np.minimum(moment, len(at) - 1)] == update)
        place = run[rows] // len(seeds), moment[rows], run[rows] % len(seeds)
        bits[place] = batch["entropy_bits"].to_numpy()[rows]
        policy[place] = np.reshape(batch["start_policy"].take(rows).to_pylist(), (-1, policy.shape[-1]))
    runs = folder.read_table(RUNS_FILE, ["arm", "succeeds", "stuck", "final_return"])
    ends = {
        name: np.array(runs[name].to_pylist(), float).reshape(len(coefficients), -1)
        for name in runs.column_names[1:]
    }
    return {
        "doses": list(coefficients),
        "updates": at.tolist(),
        "runs": len(seeds),
        "first_seed": seeds[0],
        "shown": list(coefficients).index(shown),
        "policy": _bytes(policy),
        "entropy": _bytes(bits / 2),
        "best": ends["succeeds"].sum(1).astype(int).tolist(),
        "stuck": ends["stuck"].sum(1).astype(int).tolist(),
        "reward": ends["final_return"].mean(1).tolist(),
    }


def room_maps(results: Results) -> dict[str, Any]:
    """Policies over training on a grid, of the mean run and of the first, in two arms."""
    snapshots, mdp = results.snapshots, make_world(results.config.environment).mdp
    assert snapshots is not None
    assert mdp is not None
    assert mdp.drawing is not None
    drawing = mdp.drawing
    at = drawing.cells[:, 0] >= 0  # a state after the end has no cell
    return {
        "updates": snapshots.update.tolist(),
        "width": drawing.width,
        "height": drawing.height,
        "cells": drawing.cells[at].tolist(),
        "walls": sorted(drawing.walls),
        "goals": [[*cell, reward] for cell, reward in drawing.goals.items()],
        "start": int(mdp.start[at].argmax()),
        "vectors": drawing.action_vectors.tolist(),
        "policy": _bytes(snapshots.policy[..., at, :]),
        "entropy": _bytes(snapshots.entropy[..., at] / math.log(mdp.actions)),
    }


def effects(argument: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the term changes in the fraction of runs that succeed, in those worlds that the argument has judged.

    Args:
        argument: docs/argument.json.
    """
    return [
        {"label": row["label"], **_effect(argument["claims"], row["experiment"], *row["arms"])}
        for row in _compared(argument)
    ]


def family(argument: Mapping[str, Any], results: Results) -> dict[str, Any]:
    """A dot for every single world of a family, and which of the rows of `effects` it belongs to, if any.

    Args:
        argument: docs/argument.json.
        results: of the family.
    Returns:
        dots: the difference of each world, how far right and down of its place the dot is drawn in pixels, so that
            equal ones form a block, and which arm has more.
    """
    experiments = [row["experiment"] for row in _compared(argument)]
    name = results.config.name
    row = experiments.index(name) if name in experiments else None
    return {"row": row, "dots": list(family_dots(differences(results).round(6).tolist()))}


def family_dots(values: Sequence[float]) -> Iterator[tuple[float, float, float, str]]:
    """The dots of a family with these differences, as `family` returns them."""
    for value, equal in sorted(Counter(values).items()):
        columns = math.ceil(equal / DOTS_HIGH)
        rows = math.ceil(equal / columns)
        kind = "with" if value > 0 else "without" if value < 0 else "neither"
        for i in range(equal):
            right, down = i % columns - (columns - 1) / 2, i // columns - (rows - 1) / 2
            yield value, round(DOTS_APART * right, 1), round(DOTS_APART * down, 1), kind


def _compared(argument: Mapping[str, Any]) -> list[dict[str, Any]]:
    places = Path(__file__).parent / "explain" / "comparisons.toml"
    rows = tomllib.loads(places.read_text(encoding="utf-8"))["comparison"]
    return [row for row in rows if row["experiment"] in argument["experiments"]]


def _effect(claims: Sequence[Mapping[str, Any]], experiment: str, first: str, second: str) -> dict[str, Any]:
    """Of the claim that compares these arms, in this order."""
    (claim,) = [
        claim
        for claim in claims
        if claim["experiment"] == experiment
        and claim["measure"] == "succeeds"
        and claim["expect"].replace("=", ">").split(" within")[0] == f"{first} > {second}"
    ]
    return {key: claim[key] for key in ("effect", "low", "high", "verdict")}


def _bytes(shares: NDArray[Any]) -> str:
    """Numbers from 0 to 1 as bytes, 255 being 1; not a number counts as 0."""
    return b64encode((np.nan_to_num(shares) * 255).round().clip(0, 255).astype(np.uint8).tobytes()).decode()
