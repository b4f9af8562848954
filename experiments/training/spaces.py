"""Checks that observations, rewards and flags of an environment are what its spaces declare.

Gymnasium's own checks are a wrapper that takes longer than many a step. Here no number may change silently: an
integer is converted to another integer type if it keeps its value, and for all else NumPy's rule `same_kind`
decides (a float64 is rounded to a declared float32; a fraction is not truncated to a declared whole number).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard

import gymnasium
import numpy as np
from gymnasium.spaces import (
    Box,
    Dict,
    Discrete,
    MultiBinary,
    MultiDiscrete,
    Tuple,
    flatdim,
    flatten,
    flatten_space,
)
from numpy.typing import NDArray

SIMPLE = (Discrete, Box, MultiDiscrete, MultiBinary)
# What a policy can see: state numbers, vectors of numbers, and what Gymnasium's `flatten` makes one of.
# In quotes, since Gymnasium's Tuple takes no type in brackets before 1.4.
Observed: TypeAlias = "Discrete | Box | MultiDiscrete | MultiBinary | Tuple[Any] | Dict"
MAX_BYTES = 1 << 28  # of a policy's input, or of its probabilities in one state

NUMBERS, FLAGS = (float, int, np.floating, np.integer), (bool, np.bool_)


class Undeclared(ValueError):
    """A value is not what the environment declares, or not what Gymnasium's interface requires."""


def is_observed(space: "gymnasium.Space[Any]") -> TypeGuard[Observed]:
    """Whether a policy can see what comes from the space: from all parts of a Tuple or a Dict, and it has some."""
    if isinstance(space, Tuple | Dict):
        parts = space.spaces if isinstance(space, Tuple) else space.values()
        return len(parts) > 0 and all(map(is_observed, parts))
    return isinstance(space, SIMPLE)


def seen_as(space: Observed) -> Discrete | Box:
    """What is kept of an observation: a state number, or an array of numbers, flat where the space has parts."""
    if isinstance(space, Discrete | Box):
        return space
    flat = flatten_space(space)
    assert isinstance(flat, Box)
    return flat


def largest_number(space: Observed) -> float:
    """The largest number that an observation is declared to hold, by size; 0: no end is declared."""
    seen = seen_as(space)
    if isinstance(seen, Discrete):
        return 0.0
    ends = np.abs(np.concatenate([np.ravel(seen.low), np.ravel(seen.high)]).astype(float))
    return float(ends[ends < np.finfo(np.float32).max].max(initial=0.0))


def check_size(actions: Discrete, observations: Observed) -> None:
    """Refuse spaces for which a policy would be too large, or that have no numbers.

    Raises:
        ValueError: the message gives the bytes that it would take, or the space.
    """
    if not flatdim(observations):
        raise ValueError(f"an observation of {observations} has no numbers that a policy could see")
    for what, number in (("an observation", flatdim(observations)), ("a policy", int(actions.n))):
        if 8 * number > MAX_BYTES:
            raise ValueError(
                f"{what} of {number:,} numbers would take {8 * number:,} bytes; at most {MAX_BYTES:,} are allowed"
            )


def converter(space: Observed) -> Callable[[Any], Any]:
    """A function from an observation to a state number or an array: of the declared dtype and shape, or
    flat, as Gymnasium's `flatten` has it, where the space is neither Discrete nor Box.

    It raises an Undeclared that names what is declared and what was received.
    """
    if isinstance(space, Discrete | Box):
        return _converter(space)
    parts = _converter(space)
    return lambda seen: flatten(space, parts(seen))


def _converter(space: Observed) -> Callable[[Any], Any]:
    """As `converter`, but what has parts keeps them."""
    if isinstance(space, Tuple):
        return _of_tuple(space)
    if isinstance(space, Dict):
        return _of_dict(space)
    if isinstance(space, MultiDiscrete | MultiBinary):
        return lambda seen: _in_range(_converted(seen, space), space)
    if isinstance(space, Discrete):
        first, end = int(space.start), int(space.start + space.n)

        def state(seen: Any) -> int:
            number = int(seen if type(seen) in (int, np.int64) else _converted(seen, space))
            if not first <= number < end:
                raise Undeclared(f"declares {space} and shows state {number}")
            return number

        return state
    shape, dtype = space.shape, space.dtype

    def array(seen: Any) -> NDArray[Any]:
        # Comparing types that are not the same object would take longer than the rest of this function.
        if type(seen) is np.ndarray and seen.dtype is dtype and seen.shape == shape:
            return seen
        return _converted(seen, space)

    return array


def _of_tuple(space: "Tuple[Any]") -> Callable[[Any], Any]:
    parts = [_converter(part) for part in space.spaces if is_observed(part)]

    def converted(seen: Any) -> tuple[Any, ...]:
        has_parts = isinstance(seen, Sequence) or (isinstance(seen, np.ndarray) and seen.ndim > 0)
        if not has_parts or len(seen) != len(parts):
            raise Undeclared(f"declares {space} and shows {seen!r}")
        return tuple(part(one) for part, one in zip(parts, seen, strict=True))

    return converted


def _of_dict(space: Dict) -> Callable[[Any], Any]:
    parts = {name: _converter(part) for name, part in space.items() if is_observed(part)}

    def converted(seen: Any) -> dict[str, Any]:
        if not isinstance(seen, Mapping) or seen.keys() != parts.keys():
            raise Undeclared(f"declares {space} and shows {seen!r}")
        return {name: part(seen[name]) for name, part in parts.items()}

    return converted


def _in_range(seen: NDArray[Any], space: MultiDiscrete | MultiBinary) -> NDArray[Any]:
    if not space.contains(seen):
        raise Undeclared(f"declares {space} and shows {seen.tolist()}")
    return seen


def _converted(seen: Any, space: Observed) -> NDArray[Any]:
    declared, shape = np.dtype(space.dtype), space.shape or ()
    try:
        given = np.asarray(seen)
    except ValueError:  # a list of lists of different lengths
        raise Undeclared(f"declares {space} and shows {type(seen).__name__} of uneven lengths") from None
    if given.shape != shape:
        if given.size != 1 or np.prod(shape) != 1:
            raise Undeclared(f"declares {space} and shows the shape {given.shape}")
        given = given.reshape(shape)  # one number is one number
    whole = given.dtype.kind in "iu" and declared.kind in "iu"
    if not (whole or np.can_cast(given.dtype, declared, "same_kind")):
        raise Undeclared(f"declares {space} and shows {given.dtype} values, as in {_example(given)}")
    with np.errstate(over="ignore"):
        cast = given.astype(declared)
    if whole and (changed := cast != given).any():
        raise Undeclared(f"declares {space} and shows {given[changed][0]}, which {declared} cannot hold")
    return cast


def _example(given: NDArray[Any]) -> str:
    """An example among the numbers: one that is not whole, if there is one."""
    numbers = given.ravel()
    if given.dtype.kind == "f" and (fractions := numbers[numbers % 1 != 0]).size:
        return str(fractions[0])
    return repr(numbers.tolist()[0]) if numbers.size else "nothing"


def reward_of(reward: Any) -> float:
    """A reward as a number; it may be a scalar of any type or an array with one number.

    Raises:
        Undeclared: it is not a single number.
    """
    if isinstance(reward, NUMBERS):
        return float(reward)
    return float(_single(reward, "reward", "biuf"))


def flag_of(flag: Any, name: str) -> bool:
    """`terminated` or `truncated` as true or false; 0 and 1 are allowed.

    Raises:
        Undeclared: it is neither.
    """
    if isinstance(flag, FLAGS):
        return bool(flag)
    value = _single(flag, name, "biu")
    if value not in (0, 1):
        raise Undeclared(f"{name} must be true or false, not {flag!r}")
    return bool(value)


def _single(value: Any, name: str, kinds: str) -> Any:
    given = np.asarray(value)
    if given.size != 1 or given.dtype.kind not in kinds:
        kind = "one number" if "f" in kinds else "true or false"
        raise Undeclared(f"{name} must be {kind}, not {value!r}")
    return given.item()


def begun(env: "gymnasium.Env[Any, Any]", seed: int) -> Any:
    """What `env.reset(seed=seed)` returns, once the `sample` of both spaces follows from the seed as well. Their
    numbers are others than those of `env.np_random`."""
    env.action_space.seed(seed ^ 1)
    env.observation_space.seed(seed ^ 2)
    return env.reset(seed=seed)


def check_first_step(
    env: "gymnasium.Env[Any, Any]", actions: Discrete, observations: Observed
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Reset an environment, take one step, and check everything that comes back.

    Returns:
        both observations, and the reward with both flags; copies, since an environment may use its arrays again.
    Raises:
        Undeclared: something is not what the environment declares, or not what Gymnasium's interface requires.
    """
    convert, seen = converter(observations), seen_as(observations)
    shown = begun(env, 0)
    if not (isinstance(shown, tuple) and len(shown) == 2):
        raise Undeclared(f"reset must return (observation, info), returns {type(shown).__name__}")
    first = np.array(convert(shown[0]))
    _check_range(first, seen)
    stepped = env.step(actions.start)
    if not (isinstance(stepped, tuple) and len(stepped) == 5):
        size = f" of {len(stepped)}" if isinstance(stepped, tuple) else ""
        raise Undeclared(
            "step must return (observation, reward, terminated, truncated, info), "
            f"returns {type(stepped).__name__}{size}"
        )
    observation, reward, terminated, truncated, _ = stepped
    second = np.array(convert(observation))
    _check_range(second, seen)
    if not np.isfinite(reward_of(reward)):
        raise Undeclared(f"pays {float(reward)} in its first step; a reward is a finite number")
    flags = flag_of(terminated, "terminated"), flag_of(truncated, "truncated")
    return first, second, np.array([reward_of(reward), *flags])


def _check_range(observation: Any, space: Discrete | Box) -> None:
    if isinstance(space, Discrete):
        return
    outside = ~((observation >= space.low) & (observation <= space.high))  # NaN is outside
    if outside.any():
        raise Undeclared(f"declares {space} and shows {observation[outside].ravel()[0]}")
    if not np.isfinite(observation).all():  # shown so, or too large for the declared type
        raise Undeclared(f"declares {space} and shows a number that is infinite in {space.dtype}")
