"""An arm's colour, line and marker, the same in every picture, on every page and in TensorBoard.

Arms differ in colour (Okabe and Ito's colour-blind-safe palette), line and marker: colour alone says nothing. This
module draws nothing and imports nothing heavy.
"""

from typing import Any, NamedTuple

from experiments.config.schema import Config

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES: tuple[Any, ...] = ("--", "-", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (3, 2)))
MARKERS = ("s", "o", "^", "D", "v", "P")
MAX_CURVES = len(COLOURS)  # in one picture; more arms are compared by their ends alone


class Look(NamedTuple):
    """How an arm is drawn."""

    colour: str
    line: Any
    marker: str


LOOKS = tuple(Look(*parts) for parts in zip(COLOURS, LINES, MARKERS, strict=True))
WITHOUT, WITH = LOOKS[:2]  # the entropy term
WARM, COOL = (0, 4, 3, 2, 5, 1), (1, 5, 2, 3, 4, 0)  # which looks arms without and with the term prefer


def looks(config: Config) -> dict[str, Look]:
    """A look for each arm, in order: the first without the term is orange, the first with it blue.

    Further arms without the term are as warm, and with it as cool, as colours are left. Where there are more arms
    than colours, all without the term are orange, and all with it blue.
    """
    found: dict[str, Look] = {}
    for arm in config.arms:
        preferred = WARM if config.agent_of(arm).entropy_coef == 0 else COOL
        taken = found.values() if len(config.arms) <= MAX_CURVES else ()
        found[arm] = next(LOOKS[index] for index in preferred if LOOKS[index] not in taken)
    return found


def first_pair(config: Config) -> tuple[str | None, str | None]:
    """The first orange arm and the first blue one; None: there is none."""
    first_of = {look: arm for arm, look in reversed(looks(config).items())}
    return first_of.get(WITHOUT), first_of.get(WITH)


def in_order_of_colour(config: Config) -> list[str]:
    """The arms, the first orange one before the first blue one and both before the others: for TensorBoard, whose
    first colours are such a pair."""
    leading = [arm for arm in first_pair(config) if arm is not None]
    return [*leading, *(arm for arm in config.arms if arm not in leading)]


def rgb(look: Look) -> tuple[int, int, int]:
    """Its colour as red, green and blue, each from 0 to 255."""
    red, green, blue = bytes.fromhex(look.colour.removeprefix("#"))
    return red, green, blue
