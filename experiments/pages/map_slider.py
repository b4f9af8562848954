"""Policy and visits over training on a grid: maps of two arms side by side, and a slider that moves through them.

M: moments, S: states, A: actions.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from envs.finite_mdp import Drawing, FiniteMDP
from experiments.config.expectations import parse_expectation
from experiments.config.schema import Config
from experiments.figures.grid_maps import Picture, policy_map, visit_map
from experiments.pages.html import Html, data_uri, element
from experiments.storage.results import Results
from experiments.storage.snapshots import FEATURED, FILE, MEAN, Snapshots, check_fits
from experiments.training.worlds import make_world, unimported_module

Array = NDArray[np.float64]

MAX_STATES = 5000  # a hundred maps of more would take longer than everything else
DIRECTIONS = {(-1, 0): "up", (0, 1): "right", (1, 0): "down", (0, -1): "left"}


def map_slider(results: Results) -> Html | None:
    """None if the world is no grid, has too many cells, or is in a module that only the results want imported.

    Raises:
        StoreError: the snapshots are of another world.
    """
    environment = results.config.environment.of_world(results.config.environment.world_list[0])
    if results.snapshots is None or unimported_module(environment) is not None:
        return None
    mdp = make_world(environment).mdp
    if mdp is None or mdp.drawing is None or mdp.states > MAX_STATES:
        return None
    shape = len(results.config.arms), mdp.states, mdp.actions
    check_fits(results.snapshots, Path(FILE), results.config.training.updates, shape)
    arms, seed = compared_arms(results.config), results.config.training.seed_list[0]
    moments = len(results.snapshots.update)
    views = {"mean": "mean of all runs", "seed": f"seed {seed} alone"}
    frames = [
        _frame(results, mdp, arms, moment, view, shown=view == "mean" and moment == moments - 1)
        for view in views
        for moment in range(moments)
    ]
    name = f"view-{results.config.name}"
    return element(
        "section",
        element("h3", "Policy and visits over training"),
        element(
            "div",
            element(
                "label",
                "training ",
                element("input", type="range", min=0, max=moments - 1, value=moments - 1, step=1),
            ),
            *(
                element(
                    "label", element("input", type="radio", name=name, value=view, checked=view == "mean"), words
                )
                for view, words in views.items()
            ),
            class_="controls",
        ),
        *frames,
        element("p", _legend(mdp.drawing), class_="legend"),
        class_="slider",
    )


def _legend(drawing: Drawing) -> str:
    arrows = "what an action does differs from cell to cell, hence no arrows"
    if drawing.action_vectors.any():
        arrows = "an arrow an action, as long as its probability"
    return (
        f"Policy: {arrows}; the bluer a cell, the surer the policy; a ring marks the start. Visits since the "
        "moment before: the darker, the more; white is a thousandth of the most visited cell's or less."
    )


def compared_arms(config: Config) -> tuple[str, ...]:
    """The arms of the first claim that compares two, else the first two."""
    arms = list(config.arms)
    for claim in config.claims:
        found = parse_expectation(claim.expect, arms).arms
        if len(found) >= 2:
            return tuple(sorted(found[:2], key=arms.index))
    return tuple(arms[:2])


def _frame(results: Results, mdp: FiniteMDP, arms: Sequence[str], moment: int, view: str, shown: bool) -> Html:
    snapshots = results.snapshots
    assert snapshots is not None
    update = int(snapshots.update[moment])
    columns = [
        element(
            "div",
            element("h4", arm),
            *_maps(snapshots, mdp, moment, view, list(results.config.arms).index(arm), arm),
        )
        for arm in arms
    ]
    return element(
        "figure",
        element("figcaption", f"update {update:,} of {results.config.training.updates:,}"),
        element("div", *columns, class_="arms"),
        data_moment=moment,
        data_view=view,
        hidden=not shown,
    )


def _maps(snapshots: Snapshots, mdp: FiniteMDP, moment: int, view: str, arm: int, name: str) -> Iterator[Html]:
    which = MEAN if view == "mean" else FEATURED
    policy = snapshots.policy[moment, which, arm].astype(float)
    entropy = snapshots.entropy[moment, which, arm].astype(float)
    visits = snapshots.visits[moment, which, arm].astype(float)
    if moment:
        visits = visits - snapshots.visits[moment - 1, which, arm]
    yield _image(policy_map(mdp, policy, entropy), f"Policy of {name}: {_policy_in_words(mdp, policy)}.")
    yield _image(visit_map(mdp, visits), f"Visits of {name}: {int((visits > 0).sum())} of {mdp.states} cells.")


def _image(picture: Picture, alt: str) -> Html:
    height, width = picture.shape[:2]
    file = io.BytesIO()  # a page has a hundred of them and a map few colours: a palette makes a third of the file
    Image.fromarray(picture).quantize(64, method=Image.Quantize.FASTOCTREE).save(file, "PNG")
    return element("img", src=data_uri(file.getvalue(), "image/png"), alt=alt, width=width, height=height)


def _policy_in_words(mdp: FiniteMDP, policy: Array) -> str:
    assert mdp.drawing is not None
    at_start = mdp.start @ policy
    best = int(at_start.argmax())
    vector = tuple(mdp.drawing.action_vectors[best].tolist())
    return f"at the start {DIRECTIONS.get(vector, f'action {best}')} with probability {at_start[best]:.2f}"
