"""Episodes side by side in an animated GIF, each with a line below it about the step."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from experiments.storage.stored_files import StoreError
from experiments.storage.tree import Tree

WIDTH = 360  # pixels of an episode, at most
MARGIN = 12
CAPTION = 20  # pixels of a line of text
COLOURS = 64
MAX_RATE = 20  # pictures per second; a simulator may draw more
HOLD = 2000  # milliseconds that the last picture stays

MARK, MARK_WITHIN = b"made by experiments.play", 4096  # our comment in a GIF, within its first bytes

PAPER, INK = (255, 255, 255), (45, 52, 64)


class Picture(NamedTuple):
    """A moment of an episode."""

    pixels: NDArray[np.uint8]  # [height, width, 3]
    caption: str


def check_gif(path: Path) -> None:
    """Check that a GIF may be written there: nothing is there yet, or a GIF with our comment.

    Raises:
        StoreError: something else is there, which is not replaced.
    """
    try:
        begin = Tree(path.parent).read(path.name, MARK_WITHIN)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise StoreError(f"{path}: No such file or directory") from None
        return
    if not begin.startswith(b"GIF8") or MARK not in begin:
        raise StoreError(f"{path}: is there already, and is not a GIF that play has written; choose another name")


def write_gif(path: Path, titles: Sequence[str], episodes: Sequence[Sequence[Picture]], rate: float) -> None:
    """Write episodes that begin together; one that has ended shows its last picture.

    Args:
        path: the path of the file; see `check_gif`.
        titles: one per episode.
        episodes: the pictures of each episode, in order.
        rate: the environment's pictures per second; above 20, some pictures are left out to keep the speed.
    """
    every = max(1, round(rate / MAX_RATE))
    kept = [[*pictures[:-1:every], pictures[-1]] for pictures in episodes]
    last = [pictures[-1] for pictures in kept]
    moments = [
        [picture or last[i] for i, picture in enumerate(moment)] for moment in zip_longest(*kept, fillvalue=None)
    ]
    frames = _in_one_palette([_frame(titles, moment) for moment in moments])
    durations = [round(1000 * every / rate)] * (len(frames) - 1) + [HOLD]
    check_gif(path)
    moving = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0, "optimize": True}
    with Tree(path.parent).replacing(path.name) as file:
        frames[0].save(file, "GIF", comment=MARK, **moving)


def _frame(titles: Sequence[str], moment: Sequence[Picture]) -> Image.Image:
    images = [_fitted(Image.fromarray(picture.pixels)) for picture in moment]
    width = MARGIN + sum(image.width + MARGIN for image in images)
    tallest = max(image.height for image in images)
    frame = Image.new("RGB", (width, tallest + 2 * CAPTION + 2 * MARGIN), PAPER)
    draw, font = ImageDraw.Draw(frame), ImageFont.load_default(13)
    left = MARGIN
    for title, picture, image in zip(titles, moment, images, strict=True):
        draw.text((left, MARGIN // 2), title, INK, font)
        frame.paste(image, (left, MARGIN // 2 + CAPTION))
        draw.text((left, MARGIN + CAPTION + image.height), picture.caption, INK, font)
        left += image.width + MARGIN
    return frame


def _in_one_palette(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Give all frames the same few colours: with a palette for each frame, what does not move would flicker."""
    samples = [np.asarray(frames[i]) for i in (0, len(frames) // 2, -1)]
    palette = Image.fromarray(np.concatenate(samples)).quantize(COLOURS)
    return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


def _fitted(image: Image.Image) -> Image.Image:
    scale = min(1.0, WIDTH / image.width)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS) if scale < 1 else image
