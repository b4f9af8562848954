"""Pictures of a policy and of visits on a grid: for the report's slider and for TensorBoard's images.

S: states, A: actions. Pictures are pixels, [height, width, 3]. They are drawn at twice their size and scaled down,
which smooths the arrows' edges.
"""

import io
import math
import os
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agents.information import entropy_of_weights
from envs.finite_mdp import Cell, FiniteMDP
from envs.rendering import BAD_GOAL, BEST_GOAL, GOAL, GRID, INK, PAPER

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # otherwise pygame prints a greeting
import pygame

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

BLUE = (0, 114, 178)  # the arm with the entropy term, in all pictures
UNSURE = (252, 252, 250)  # a cell whose policy is uniform
SURE, MOST_VISITED = 0.5, 0.6  # shares of the way to an arm's colour, and on to black
DECADES = 3  # of visits that differ in shade
THROUGH = (1, 2, 3)  # a colour that no map has
MIN_SHARE = 1e-9  # of the most visited cell's visits: 0 has no logarithm


def policy_map(mdp: FiniteMDP, policy: Array, entropy_nats: Array | None = None, colour: Colour = BLUE) -> Picture:
    """A map of a policy, [S, A]: an arrow per action, as long as its probability; the surer the cell, the more
    colour.

    A ring marks the start. The world must have a drawing. For the mean policy of several runs give the mean of
    their entropies, [S]: the mean of runs that are sure of different actions is unsure, although no run is.
    """
    canvas = _Canvas(mdp)
    if entropy_nats is None:
        entropy_nats = entropy_of_weights(policy)
    unsure = entropy_nats / math.log(policy.shape[1])
    sure = _between(UNSURE, colour, SURE)
    for cell, share in zip(canvas.cells, unsure, strict=True):
        if cell is not None and np.isfinite(share):
            canvas.fill(cell, _between(sure, UNSURE, float(share)))
    canvas.surface.blit(_outline(mdp), (0, 0))
    for cell, probabilities in zip(canvas.cells, policy, strict=True):
        if cell is not None and cell not in canvas.drawing.goals:
            canvas.arrows(cell, probabilities)
    return canvas.picture()


def visit_map(mdp: FiniteMDP, visits: Array, colour: Colour = BLUE) -> Picture:
    """A map of visits, [S]: the more visits, the darker the cell; white at a thousandth of the most visits."""
    canvas = _Canvas(mdp)
    known = np.where(np.isfinite(visits), visits, 0.0)  # infinite in an endless episode
    most, darkest = known.max(initial=0.0), _between(colour, (0, 0, 0), MOST_VISITED)
    for cell, number in zip(canvas.cells, visits, strict=True):
        if cell is not None and number > 0:
            share = max(0.0, 1 + math.log10(max(number / most, MIN_SHARE)) / DECADES) if number < most else 1.0
            canvas.fill(cell, _between(PAPER, darkest, share))
    canvas.surface.blit(_outline(mdp), (0, 0))
    return canvas.picture()


def png(picture: Picture) -> bytes:
    """A picture as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=3)  # for flat colours, more would not help
    return file.getvalue()


def _between(low: Colour, high: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return red, green, blue


@lru_cache(maxsize=8)
def _outline(mdp: FiniteMDP) -> pygame.Surface:
    """What all maps of a world have in common, on a ground that is seen through: drawn once."""
    canvas = _Canvas(mdp, THROUGH)
    canvas.outline()
    canvas.surface.set_colorkey(THROUGH)
    return canvas.surface


class _Canvas:
    """A grid to draw on: cells first, then walls and goals, then arrows."""

    def __init__(self, mdp: FiniteMDP, ground: Colour = PAPER) -> None:
        assert mdp.drawing is not None
        self.drawing = drawing = mdp.drawing
        # Even sides, so that half a side is a whole number of pixels.
        self._side = 4 * max(5, min(18, 320 // max(drawing.height, drawing.width) // 2))
        self.surface = pygame.Surface((drawing.width * self._side, drawing.height * self._side))
        self.surface.fill(ground)
        self.cells: list[Cell | None] = [
            (row, column) if row >= 0 else None for row, column in drawing.cells.tolist()
        ]
        self._starts = [cell for cell, share in zip(self.cells, mdp.start, strict=True) if cell and share > 0]

    def _box(self, cell: Cell) -> pygame.Rect:
        return pygame.Rect(cell[1] * self._side, cell[0] * self._side, self._side, self._side)

    def fill(self, cell: Cell, colour: Colour) -> None:
        """Colour a cell."""
        self.surface.fill(colour, self._box(cell))

    def outline(self) -> None:
        """The grid, its walls, and its goals with their rewards."""
        for row in range(self.drawing.height):
            for column in range(self.drawing.width):
                pygame.draw.rect(self.surface, GRID, self._box((row, column)), 1)
        for cell in self.drawing.walls:
            self.fill(cell, INK)
        for first, second in self.drawing.thin_walls:
            self._thin_wall(first, second)
        for cell in self._starts:
            pygame.draw.circle(self.surface, INK, self._box(cell).center, self._side * 0.44, self._side // 16)
        best = max(self.drawing.goals.values(), default=0.0)
        for cell, reward in self.drawing.goals.items():
            colour = BEST_GOAL if reward == best else GOAL if reward > 0 else BAD_GOAL
            tag = self._box(cell).inflate(-self._side // 4, -self._side // 3)
            pygame.draw.rect(self.surface, colour, tag)
            self._write(f"{reward:g}", tag.center)

    def _thin_wall(self, first: Cell, second: Cell) -> None:
        (r, c), (r2, c2) = first, second
        corner = max(c, c2) * self._side, max(r, r2) * self._side
        end = (corner[0] + self._side, corner[1]) if r != r2 else (corner[0], corner[1] + self._side)
        pygame.draw.line(self.surface, INK, corner, end, max(4, self._side // 8))

    def _write(self, words: str, center: tuple[int, int]) -> None:
        pygame.font.init()  # each time: `pygame.quit`, which Gymnasium's environments call, ends all fonts
        image = pygame.font.Font(None, self._side // 2).render(words, True, INK)
        self.surface.blit(image, image.get_rect(center=center))

    def arrows(self, cell: Cell, probabilities: Array) -> None:
        """Draw arrows from the middle of a cell, except those that would be shorter than their heads."""
        for vector, probability in zip(self.drawing.action_vectors.tolist(), probabilities.tolist(), strict=True):
            length, width = probability * self._side * 0.46, self._side * 0.075
            if length > width:
                self._arrow(self._box(cell).center, vector, length, width)

    def _arrow(self, tail: tuple[int, int], vector: list[int], length: float, width: float) -> None:
        down, right = vector
        neck = max(0.0, length - 2.6 * width)
        outline = [(0, 0.5), (neck, 0.5), (neck, 1.5), (length, 0), (neck, -1.5), (neck, -0.5), (0, -0.5)]
        points = [
            (tail[0] + right * along + down * across * width, tail[1] + down * along - right * across * width)
            for along, across in outline
        ]
        pygame.draw.polygon(self.surface, INK, points)

    def picture(self) -> Picture:
        """The canvas at half its size."""
        width, height = self.surface.get_size()
        small = pygame.transform.smoothscale(self.surface, (width // 2, height // 2))
        pixels = np.frombuffer(pygame.image.tobytes(small, "RGB"), np.uint8)  # ten times faster than surfarray
        return pixels.reshape(height // 2, width // 2, 3)
