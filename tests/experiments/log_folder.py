"""A small log folder with everything in it, from two arms that need no training."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.tensorboard.event_file import EventFile
from experiments.tensorboard.events import (
    MarginChart,
    MultilineChart,
    experiment_record,
    histogram_record,
    image_record,
    layout_record,
    session_end_record,
    session_start_record,
    text_record,
)
from experiments.tensorboard.scalar_blocks import scalar_block, scalars_block

ARMS = {"with_entropy": 0.1, "without_entropy": 0.0}
MEASURES = ["entropy", "return", "solved", "coverage"]
LOSSES = ["loss/policy", "loss/total", "loss/total_before"]
WALL_TIME = 1.7e9
UPDATES = 40


def entropy_bits(arm: str, seed: int, steps: int) -> np.ndarray:
    """The entropy that `write_log_folder` logs, [steps]: it falls from 2 bits, with the term to 1."""
    floor = 1.0 if ARMS[arm] else 0.0
    speed = 5 + np.random.default_rng(seed).random()
    return (floor + (2 - floor) * np.exp(-speed * np.arange(steps) / steps)).astype(np.float32)


def picture(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_log_folder(root: Path, seeds: int, steps: int) -> None:
    experiment = EventFile(root)
    metrics = {"policy/entropy_bits": "final entropy"}
    experiment.write(
        experiment_record({"arm": list(ARMS), "entropy_coef": list(ARMS.values())}, metrics, WALL_TIME)
    )
    layout: dict[str, list[MarginChart | MultilineChart]] = {
        "Both arms": [MarginChart(name, f"{name}/iqm", f"{name}/low", f"{name}/high") for name in MEASURES],
        "Loss": [MultilineChart("terms", LOSSES[:2])],
    }
    experiment.write(layout_record(layout, WALL_TIME))
    experiment.write(text_record("guide", 0, "# The question\n\nDoes it help?", WALL_TIME))
    experiment.flush()
    for arm in ARMS:
        for seed in range(seeds):
            _write_run(root / arm / f"seed_{seed}", arm, seed, steps)
        _write_aggregate(root / "aggregate" / arm, np.array([entropy_bits(arm, k, steps) for k in range(seeds)]))


def _write_run(folder: Path, arm: str, seed: int, steps: int) -> None:
    file, entropy = EventFile(folder), entropy_bits(arm, seed, steps)
    file.write(session_start_record({"arm": arm, "entropy_coef": ARMS[arm]}, arm, WALL_TIME))
    for part in np.array_split(np.arange(steps), 7):  # as they come in training
        file.write(scalar_block("step/entropy_bits", part + 1, entropy[part], WALL_TIME + part))
    every = np.linspace(0, steps - 1, UPDATES).astype(int)
    values = np.column_stack([entropy[every], *[entropy[every] - k for k in range(3)]])
    file.write(scalars_block(["policy/entropy_bits", *LOSSES], np.arange(UPDATES), values, WALL_TIME + every))
    file.write(session_end_record(WALL_TIME + steps))
    file.flush()


def _write_aggregate(folder: Path, entropy: np.ndarray) -> None:
    file, every = EventFile(folder), np.linspace(0, entropy.shape[1] - 1, UPDATES).astype(int)
    bands = np.column_stack([entropy.mean(0), entropy.min(0), entropy.max(0)])[every]
    for name in MEASURES:
        tags = [f"{name}/iqm", f"{name}/low", f"{name}/high"]
        file.write(scalars_block(tags, np.arange(UPDATES), bands, WALL_TIME + every))
    for update in (1, 10, 30):
        file.write(image_record("policy/mean", update, picture(update), WALL_TIME + update))
        file.write(histogram_record("policy/probabilities", update, [0.1, 0.2, 0.3, 0.4], WALL_TIME + update))
    file.flush()
