"""Pictures of a FiniteMDP, as text, pixels or a window: the map of a grid, or the actions of another world."""

import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.finite_mdp import Cell, Drawing, FiniteMDP

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # otherwise pygame prints a greeting
import pygame

PAPER, INK, GRID = (250, 250, 246), (45, 52, 64), (222, 222, 214)
BEST_GOAL, GOAL, BAD_GOAL = (118, 190, 120), (240, 200, 96), (224, 130, 118)
START, AGENT = (205, 222, 245), (38, 92, 190)
ARROWS = {(-1, 0): "↑", (0, 1): "→", (1, 0): "↓", (0, -1): "←"}


class Scene(NamedTuple):
    """A moment of an episode."""

    mdp: FiniteMDP
    state: int
    last_action: int | None  # None: the episode has just begun


def text(scene: Scene) -> str:
    """The scene as text that ends in a line break: the map or the actions, and the last action."""
    drawing = scene.mdp.drawing
    lines = _action_lines(scene) if drawing is None else _map_lines(scene, drawing)
    return "\n".join([*lines, f"last action: {_action_name(scene)}", ""])


def picture(scene: Scene) -> NDArray[np.uint8]:
    """The scene as pixels, [height, width, 3]."""
    return np.ascontiguousarray(pygame.surfarray.array3d(_surface(scene)).swapaxes(0, 1))


class Window:
    """A window on the screen; showing a scene waits for the next frame."""

    def __init__(self, frames_per_second: int) -> None:
        pygame.display.init()
        pygame.display.set_caption("FourAction")
        self._clock = pygame.time.Clock()
        self._frames_per_second = frames_per_second

    def show(self, scene: Scene) -> None:
        """Put the scene on the screen."""
        surface = _surface(scene)
        screen = pygame.display.get_surface()
        if screen is None or screen.get_size() != surface.get_size():
            screen = pygame.display.set_mode(surface.get_size())
        screen.blit(surface, (0, 0))
        pygame.event.pump()
        pygame.display.update()
        self._clock.tick(self._frames_per_second)

    def close(self) -> None:
        """Close the window."""
        pygame.display.quit()


def _action_name(scene: Scene) -> str:
    if scene.last_action is None:
        return "none"
    drawing = scene.mdp.drawing
    arrow = None if drawing is None else ARROWS.get(tuple(drawing.action_vectors[scene.last_action].tolist()))
    return f"{scene.last_action} {arrow}" if arrow else f"{scene.last_action}"


def _cell(scene: Scene, drawing: Drawing) -> Cell:
    row, column = drawing.cells[scene.state].tolist()
    return row, column


def _start_cells(scene: Scene, drawing: Drawing) -> set[Cell]:
    return {(int(r), int(c)) for r, c in drawing.cells[scene.mdp.start > 0]}


def _mean_rewards(scene: Scene) -> NDArray[np.float64]:
    """The expected reward of each action here, [A]."""
    mdp = scene.mdp
    mean: NDArray[np.float64] = (mdp.probability[scene.state] * mdp.reward[scene.state]).sum(-1)
    return mean


def _action_lines(scene: Scene) -> list[str]:
    lines = [f"state {scene.state} of {scene.mdp.states}"]
    for action, reward in enumerate(_mean_rewards(scene)):
        lines.append(f"  action {action}  reward {reward:g}{'  <' if action == scene.last_action else ''}")
    return lines


def _map_lines(scene: Scene, drawing: Drawing) -> list[str]:
    """The characters of text maps, '@' for the agent, thin walls between the cells; 'G' is the best goal."""
    symbols = {cell: "S" for cell in _start_cells(scene, drawing)}
    symbols |= dict.fromkeys(drawing.walls, "#")
    best = max(drawing.goals.values(), default=0.0)
    symbols |= {cell: "G" if reward == best else "g" for cell, reward in drawing.goals.items()}
    symbols[_cell(scene, drawing)] = "@"
    symbols.pop((-1, -1), None)  # a state that has no cell
    canvas = np.full((2 * drawing.height - 1, 2 * drawing.width - 1), " ")
    canvas[::2, ::2] = "."
    for (row, column), symbol in symbols.items():
        canvas[2 * row, 2 * column] = symbol
    for (r, c), (r2, c2) in drawing.thin_walls:
        canvas[r + r2, c + c2] = "|" if r == r2 else "-"
    keep = [r % 2 == 0 or bool((canvas[r] != " ").any()) for r in range(len(canvas))]
    goals = ", ".join(f"{reward:g} at {cell}" for cell, reward in sorted(drawing.goals.items()))
    return ["".join(row).rstrip() for row in canvas[keep]] + [f"goals: {goals}"]


def _surface(scene: Scene) -> pygame.Surface:
    drawing = scene.mdp.drawing
    return _action_surface(scene) if drawing is None else _map_surface(scene, drawing)


def _write(surface: pygame.Surface, words: str, center: tuple[float, float], size: int) -> None:
    pygame.font.init()
    image = pygame.font.Font(None, size).render(words, True, INK)
    surface.blit(image, image.get_rect(center=center))


def _map_surface(scene: Scene, drawing: Drawing) -> pygame.Surface:
    side = max(12, min(48, 640 // max(drawing.height, drawing.width)))  # pixels of a cell
    surface = pygame.Surface((drawing.width * side, drawing.height * side))
    surface.fill(PAPER)

    def box(cell: Cell) -> tuple[int, int, int, int]:
        return cell[1] * side, cell[0] * side, side, side

    def center(cell: Cell) -> tuple[float, float]:
        return (cell[1] + 0.5) * side, (cell[0] + 0.5) * side

    for r in range(drawing.height):
        for c in range(drawing.width):
            pygame.draw.rect(surface, GRID, box((r, c)), 1)
    for cell in drawing.walls:
        pygame.draw.rect(surface, INK, box(cell))
    for cell in _start_cells(scene, drawing):
        pygame.draw.rect(surface, START, box(cell))
        _write(surface, "S", center(cell), side // 2)
    best = max(drawing.goals.values(), default=0.0)
    for cell, reward in drawing.goals.items():
        colour = BEST_GOAL if reward == best else GOAL if reward > 0 else BAD_GOAL
        pygame.draw.rect(surface, colour, box(cell))
    pygame.draw.circle(surface, AGENT, center(_cell(scene, drawing)), side * 0.32)  # (-1, -1): outside the picture
    for cell, reward in drawing.goals.items():
        _write(surface, f"{reward:g}", center(cell), side // 2)
    for (r, c), (r2, c2) in drawing.thin_walls:
        corner = max(r, r2) * side, max(c, c2) * side
        end = (corner[0], corner[1] + side) if r != r2 else (corner[0] + side, corner[1])
        pygame.draw.line(surface, INK, corner[::-1], end[::-1], max(3, side // 10))
    return surface


def _action_surface(scene: Scene) -> pygame.Surface:
    """A bar for each action's mean reward in this state, downward if negative, with a frame around the last
    action's."""
    rewards = _mean_rewards(scene)
    width, height, bar = 80 * len(rewards), 240, 48
    surface = pygame.Surface((width, height))
    surface.fill(PAPER)
    _write(surface, f"state {scene.state}, last action: {_action_name(scene)}", (width / 2, 16), 22)
    scale = max(1e-12, float(np.abs(rewards).max()))
    down = 80 if (rewards < 0).any() else 0
    zero, reach = 205 - down, 150 - down
    for action, reward in enumerate(rewards):
        left = 80 * action + (80 - bar) // 2
        tall = round(abs(reward) / scale * (reach if reward > 0 else down))
        top = zero - tall if reward > 0 else zero
        colour = BEST_GOAL if reward == rewards.max() else GOAL if reward > 0 else BAD_GOAL
        pygame.draw.rect(surface, colour, (left, top, bar, tall))
        if action == scene.last_action:
            pygame.draw.rect(surface, AGENT, (left - 8, 34, bar + 16, height - 38), 3)
        _write(surface, f"{reward:g}", (left + bar / 2, zero - tall - 10 if reward > 0 else zero - 10), 20)
        _write(surface, f"{action}", (left + bar / 2, height - 16), 22)
    pygame.draw.line(surface, INK, (0, zero), (width, zero), 2)
    return surface
