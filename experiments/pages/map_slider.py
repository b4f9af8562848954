"""Policy and visits over training on a grid: strips of maps for every arm, and a slider that moves through them.

A strip is one picture with a map for each moment, one below the other, and the page moves it behind a frame. Since
the maps differ little, it compresses well. M: moments, S: states, A: actions.
"""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from envs.finite_mdp import Drawing, FiniteMDP
from experiments.config.expectations import parse_expectation
from experiments.config.schema import Config
from experiments.figures.grid_maps import Picture, policy_map, visit_map
from experiments.figures.looks import looks, rgb
from experiments.storage.results import Results
from experiments.storage.snapshots import FEATURED, FILE, MEAN, Snapshots, check_fits
from experiments.training.worlds import make_world, unimported_module

Array = NDArray[np.float64]

MAX_CELLS = 1_000_000  # drawn in all; more would take longer than the rest of the page
MAX_PIXELS = 16_383  # the longest side of a WebP picture
DIRECTIONS = {(-1, 0): "up", (0, 1): "right", (1, 0): "down", (0, -1): "left"}


class Strip(NamedTuple):
    """Maps of all moments, one below the other."""

    webp: bytes
    width: int  # pixels, of each map
    height: int
    words: list[str]  # what each map shows


class Column(NamedTuple):
    """The strips of an arm in one view."""

    arm: str
    view: str
    strips: list[Strip]


class Maps(NamedTuple):
    """The maps that the slider moves through."""

    name: str
    captions: list[str]  # one per moment
    views: dict[str, str]  # names and labels
    arms: list[str]  # all arms with maps
    compared: tuple[str, ...]  # the arms shown at first
    columns: list[Column]
    legend: str

    def in_short(self) -> "Maps":
        """Only the compared arms, in the first view, at every other moment and the last."""
        first, moments = next(iter(self.views)), len(self.captions)
        kept = sorted({*range(0, moments, 2), moments - 1})
        columns = [
            column._replace(strips=[_at_moments(strip, kept) for strip in column.strips])
            for column in self.columns
            if column.view == first and column.arm in self.compared
        ]
        captions = [self.captions[moment] for moment in kept]
        return self._replace(
            captions=captions, views={first: self.views[first]}, arms=list(self.compared), columns=columns
        )


def map_slider(results: Results) -> Maps | None:
    """The maps of a training; None if the world is not a grid, has too many cells, or comes from a module that is
    not imported.

    Raises:
        StoreError: the snapshots belong to another world.
    """
    config, snapshots = results.config, results.snapshots
    environment = config.environment.of_world(config.environment.world_list[0])
    if snapshots is None or unimported_module(environment) is not None:
        return None
    mdp = make_world(environment).mdp
    if mdp is None or mdp.drawing is None:
        return None
    check_fits(snapshots, Path(FILE), config.most_updates, (len(config.arms), mdp.states, mdp.actions))
    compared = compared_arms(config)
    moments, (height, width, _) = len(snapshots.update), visit_map(mdp, np.zeros(mdp.states)).shape
    affordable = MAX_CELLS // (4 * moments * mdp.states)
    if affordable < len(compared) or max(width, moments * height) > MAX_PIXELS:
        return None
    arms = sorted(sorted(config.arms, key=lambda arm: arm not in compared)[:affordable], key=[*config.arms].index)
    world = config.environment.world_list[0]
    where = "" if world is None else f" in world {world}"
    views = {"mean": f"mean of all runs{where}", "seed": f"seed {config.training.seed_list[0]}{where} alone"}
    return Maps(
        config.name,
        [f"update {update:,} of {config.most_updates:,}" for update in snapshots.update],
        views,
        arms,
        compared,
        [_column(snapshots, mdp, config, arm, view) for view in views for arm in arms],
        _legend(mdp.drawing),
    )


def compared_arms(config: Config) -> tuple[str, ...]:
    """The arms of the first claim that compares two, else the first two."""
    arms = list(config.arms)
    for claim in config.claims:
        found = parse_expectation(claim.expect, arms).arms
        if len(found) >= 2:
            return tuple(sorted(found[:2], key=arms.index))
    return tuple(arms[:2])


def _legend(drawing: Drawing) -> str:
    arrows = "what an action does differs from cell to cell, hence no arrows"
    if drawing.action_vectors.any():
        arrows = "an arrow per action, as long as its probability"
    return (
        f"Policy: {arrows}; the stronger a cell's colour, the surer the policy; a ring marks the start. "
        "Visits since the moment before: the darker a cell, the more visits; white means at most a thousandth of "
        "those of the most visited cell."
    )


def _column(snapshots: Snapshots, mdp: FiniteMDP, config: Config, arm: str, view: str) -> Column:
    place = slice(None), MEAN if view == "mean" else FEATURED, [*config.arms].index(arm)
    policy, entropy, seen = (
        array[place].astype(float) for array in (snapshots.policy, snapshots.entropy, snapshots.visits)
    )
    visits = np.diff(seen, axis=0, prepend=np.zeros_like(seen[:1]))
    colour = rgb(looks(config)[arm])
    policies = [policy_map(mdp, p, e, colour) for p, e in zip(policy, entropy, strict=True)]
    visited = [visit_map(mdp, v, colour) for v in visits]
    return Column(
        arm,
        view,
        [
            _strip(policies, [f"Policy of {arm}: {_policy_in_words(mdp, p)}." for p in policy]),
            _strip(visited, [f"Visits of {arm}: {int((v > 0).sum())} of {mdp.states} cells." for v in visits]),
        ],
    )


def _at_moments(strip: Strip, kept: list[int]) -> Strip:
    pixels = np.asarray(Image.open(io.BytesIO(strip.webp)).convert("RGB"))
    maps = pixels.reshape(-1, strip.height, strip.width, 3)
    return _strip([maps[moment] for moment in kept], [strip.words[moment] for moment in kept])


def _strip(maps: list[Picture], words: list[str]) -> Strip:
    height, width = maps[0].shape[:2]
    # Maps have few colours: a palette halves the bytes, and WebP halves those of PNG. Its methods above 0 take
    # more than twice as long for the same bytes.
    file = io.BytesIO()
    strip = Image.fromarray(np.concatenate(maps)).quantize(32, method=Image.Quantize.FASTOCTREE)
    strip.convert("RGB").save(file, "WEBP", lossless=True, quality=90, method=0)
    return Strip(file.getvalue(), width, height, words)


def _policy_in_words(mdp: FiniteMDP, policy: Array) -> str:
    assert mdp.drawing is not None
    at_start = mdp.start @ policy
    best = int(at_start.argmax())
    vector = tuple(mdp.drawing.action_vectors[best].tolist())
    return f"at the start {DIRECTIONS.get(vector, f'action {best}')} with probability {at_start[best]:.2f}"
