"""Watch a trained policy play an episode: in the terminal, in a window, or as an animated GIF.

python -m experiments.play runs/two_rooms --seed 3003    all arms, side by side
python -m experiments.play runs/two_rooms --arm with_entropy --seed 3003 --window
python -m experiments.play runs/two_rooms --arm without_entropy with_entropy --seed 3003 --gif episodes.gif
"""

from experiments.session.command import begin, command, leave

if __name__ == "__main__":
    begin("experiments.play")  # before anything else: Ctrl-C is heard from here on

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from agents.information import entropy
from experiments.config.failures import Failure
from experiments.config.mistakes import one_line
from experiments.config.plain_text import printable
from experiments.figures.gif import Picture, check_gif, write_gif
from experiments.session.command_line import Parser, place, run_folder
from experiments.session.console import Screen
from experiments.session.remote import folder_to_read
from experiments.session.side_by_side import TextPicture, play_in_place
from experiments.storage.policies import StoredPolicy, load_policy
from experiments.storage.run_folder import RunFolder, StoreError
from experiments.training.environments import FAILURES, closed
from experiments.training.global_generators import GlobalGenerators
from experiments.training.randomness import Purpose, uniforms
from experiments.training.spaces import begun, flag_of, reward_of
from experiments.training.worlds import World, search_current_folder

T = TypeVar("T")


class PlayError(Failure, RuntimeError):
    """An environment cannot be shown, or failed; the message is one line."""


class Move(NamedTuple):
    """A step of an episode, or its beginning (without an action, and with numbers 0)."""

    action: int | None  # as the environment numbers it
    probability: float  # of the action
    entropy_bits: float  # of the policy from which the action was drawn
    reward: float
    total: float  # rewards so far
    ending: str  # "": the episode goes on
    picture: Any  # what the environment draws after the step, in its render mode


def episode(policy: StoredPolicy, render_mode: str | None, seed: int, greedy: bool) -> Iterator[Move]:
    """Play one episode.

    Args:
        policy: the policy that plays, in its own world.
        render_mode: the render mode of the environment; None: nothing is drawn.
        seed: the seed of the environment and, independently, of the actions.
        greedy: take the most probable action instead of drawing one.
    Raises:
        PlayError: the environment raised.
    """
    world, total, generators = policy.world, 0.0, GlobalGenerators(swapped=True)
    (numbers,) = uniforms([seed], Purpose.ACTIONS, 0, (world.time_limit,))
    try:
        with closed(world.make(render_mode)) as env:
            draw = env.render if render_mode else lambda: None
            with generators.acting(seed):
                observation, _ = begun(env, seed)
            yield Move(None, 0.0, 0.0, 0.0, 0.0, "", draw())
            for uniform in numbers:
                pi = policy.probabilities(observation)
                action = int(pi.argmax() if greedy else (pi[:-1].cumsum() <= uniform).sum())
                with generators.acting():
                    observation, reward, terminated, truncated, _ = env.step(world.as_shown(np.array([action]))[0])
                reward = world.paid(reward_of(reward))
                terminated, truncated = flag_of(terminated, "terminated"), flag_of(truncated, "truncated")
                total += reward
                ending = "ended" if terminated else "cut off by the time limit" if truncated else ""
                bits = entropy(pi, "bits")
                yield Move(world.first_action + action, float(pi[action]), bits, reward, total, ending, draw())
                if ending:
                    return
    except StoreError:
        raise
    except FAILURES as error:  # anything: a stranger's environment, a missing screen
        raise PlayError(f"{world.environment.id}: {type(error).__name__}: {error}") from error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = Parser("experiments.play", __doc__)
    top.add_argument("folder", type=run_folder, help="a finished run folder, as in runs/two_rooms, or its URL")
    top.add_argument(
        "--arm",
        nargs="+",
        help="whose policy (default: every arm's); several play side by side",
    )
    top.add_argument("--seed", type=int, help="which run of the arm")
    top.add_argument("--world", type=int, help="of a family, which of its worlds")
    where = top.add_mutually_exclusive_group()
    where.add_argument("--window", action="store_true", help="show it in a window instead of the terminal")
    where.add_argument("--gif", type=place, metavar="FILE", help="write an animated GIF")
    top.add_argument("--greedy", action="store_true", help="take the most probable action instead of drawing one")
    top.add_argument(
        "--episode-seed",
        type=_seed,
        default=0,
        metavar="N",
        help="seed of the environment and the actions (default: 0)",
    )
    top.add_argument(
        "--import",
        dest="module",
        metavar="MODULE",
        help="a module to import first, which registers the folder's environment",
    )
    return top


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"needs a whole number, 0 or more, not {text!r}")
    return int(text)


@command("experiments.play")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = parser().parse_args(arguments)
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # otherwise pygame prints a greeting
    try:
        if options.module is not None:
            _import(options.module)
        if options.gif:
            check_gif(options.gif)
        with folder_to_read(options.folder, Screen()) as run:
            arms = options.arm or _arms(run)
            with Screen().waiting("loading policies"):
                policies = {arm: load_policy(run, arm, options.seed, options.world) for arm in arms}
        play(policies, options)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failure(f"{error.filename or options.gif}: {error.strerror or error}") from error
    except ValueError as error:
        raise Failure(one_line(error)) from error
    return 0


def _arms(path: Path) -> list[str | None]:
    """All arms of a run folder; [None] if it has no config, which loading a policy will then report."""
    folder = RunFolder(path)
    return [*folder.read_config().arms] if folder.has_begun else [None]


def _import(module: str) -> None:
    search_current_folder()
    try:
        importlib.import_module(module)
    except FAILURES as error:  # anything: a stranger's module, or a name that is none
        raise PlayError(f"--import {module}: {type(error).__name__}: {error}") from error


def play(policies: dict[str | None, StoredPolicy], options: argparse.Namespace) -> None:
    """Play an episode of each policy and show it."""
    wish = "human" if options.window else "rgb_array" if options.gif else "ansi"
    modes = [_render_mode(policy.world, wish) for policy in policies.values()]
    in_place = wish == "ansi" and sys.stdout.isatty() and all(mode is not None for mode, _ in modes)
    rate, played = modes[0][1], []
    names = [arm or printable(str(options.folder)) for arm in policies]
    for name, policy, (mode, _) in zip(names, policies.values(), modes, strict=True):
        moves = episode(policy, mode, options.episode_seed, options.greedy)
        if not in_place:
            print(f"{name}, {policy.world.environment.id}, episode seed {options.episode_seed}")
            moves = _told(moves)
        played.append(list(moves))
    if in_place:
        texts = [_pictured(TextPicture, moves) for moves in played]
        play_in_place(Screen(), names, texts, rate)
        for name, told in zip(names, played, strict=True):
            print(f"{name}: {_ending(len(told) - 1, told[-1])}")
    if options.gif:
        pictures = [_pictured(Picture, moves) for moves in played]
        write_gif(options.gif, names, pictures, rate)
        print(f"{printable(str(options.gif))}: {options.gif.stat().st_size / 1000:.0f} kB")


def _told(moves: Iterator[Move]) -> Iterator[Move]:
    """The moves, each printed as it comes."""
    for number, move in enumerate(moves):
        if isinstance(move.picture, str):
            print(move.picture.rstrip("\n"))
        if move.action is not None:
            print(_line(number, move))
        if move.ending:
            print(f"{_ending(number, move)}\n")
        yield move


def _render_mode(world: World, wish: str) -> tuple[str | None, float]:
    """The render mode for making the environment, and its pictures per second."""
    try:
        with closed(world.make()) as env:
            modes = [str(mode) for mode in env.metadata.get("render_modes", [])]
            rate = float(env.metadata.get("render_fps") or 4)
    except FAILURES as error:  # a stranger's environment, and its metadata
        raise PlayError(f"{world.environment.id}: {type(error).__name__}: {error}") from error
    own = world.environment.kwargs.get("render_mode")
    if wish in modes and own in (None, wish):
        return wish, rate
    if wish == "ansi":  # the numbers are worth reading even without a drawing
        return None, rate
    if own is not None:
        raise PlayError(f"environment.kwargs.render_mode is {own!r} in the config; this needs {wish!r}")
    raise PlayError(f"{world.environment.id} has no render mode {wish!r}; it has {', '.join(modes) or 'none'}")


def _ending(steps: int, last: Move) -> str:
    return f"{last.ending} after {steps} steps, return {last.total:g}"


def _line(number: int, move: Move) -> str:
    return (
        f"step {number}: action {move.action}, probability {move.probability:.3f}, "
        f"entropy {move.entropy_bits:.3f} bits, reward {move.reward:g}"
    )


def _pictured(kind: Callable[[Any, str], T], moves: Sequence[Move]) -> list[T]:
    return [kind(move.picture, _caption(number, move)) for number, move in enumerate(moves)]


def _caption(number: int, move: Move) -> str:
    if move.action is None:
        return "step 0"
    return f"step {number}: p {move.probability:.2f}, {move.entropy_bits:.2f} bits, return {move.total:g}"


if __name__ == "__main__":
    leave(main)
