"""Softmax policies stacked over the run axis: R independent policies share every operation.

R: runs, S: states, N: rows of one run, D: width of an observation, A: actions, P: parameters of one run.
All parameters of a run lie in one row of a flat buffer [R, P], so that one optimiser call moves all runs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.kernels.network import forward_all

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Initialization = Literal["orthogonal", "torch", "small_uniform"]

# Rows of the flat buffer start at multiples of this, the numbers that a vector instruction takes.
ALIGNMENT = 16


@dataclass(frozen=True)
class PolicyShape:
    """A stacked softmax policy without its parameters.

    Attributes:
        inputs: S for one-hot states, D for observations.
        hidden_sizes: widths of the tanh layers; () is linear with a bias shared by all states;
            None is tabular: one free logit per state and action, no bias.
        actions: A.
    """

    inputs: int
    hidden_sizes: tuple[int, ...] | None
    actions: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the rows, the hidden layers and the logits of a network; of a table, none."""
        return () if self.hidden_sizes is None else (self.inputs, *self.hidden_sizes, self.actions)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of one run's parameters: weight, bias, weight, bias, ...; tabular: the logits alone."""
        if self.hidden_sizes is None:
            return [(self.inputs, self.actions)]
        return [shape for a, b in pairwise(self.widths) for shape in ((a, b), (b,))]

    @property
    def labels(self) -> list[str]:
        """A name for each of `shapes`."""
        if self.hidden_sizes is None:
            return ["logits"]
        return [f"{kind}_{layer}" for layer in range(len(self.shapes) // 2) for kind in ("weight", "bias")]

    @property
    def parameters(self) -> int:
        """P, a multiple of ALIGNMENT; the numbers after the last layer stay 0."""
        return math.ceil(sum(map(math.prod, self.shapes)) / ALIGNMENT) * ALIGNMENT

    def split(self, buffer: Any) -> list[Any]:
        """Views of a buffer [R, P], an array or a tensor, as one [R, *shape] for each of `shapes`."""
        views, at = [], 0
        for shape in self.shapes:
            size = math.prod(shape)
            views.append(buffer[:, at : at + size].reshape(-1, *shape))
            at += size
        return views

    def join(self, layers: "Sequence[Tensor]") -> "Tensor":
        """The buffer [R, P] of which `split` gives these layers."""
        import torch

        buffer = torch.cat([layer.flatten(1) for layer in layers], dim=1)
        return torch.nn.functional.pad(buffer, (0, self.parameters - buffer.shape[1]))

    def logits(self, theta: "Tensor", rows: "Tensor | None" = None) -> "Tensor":
        """Logits of every row, differentiable.

        Args:
            theta: parameters, [R, P].
            rows: observations, [R, N, D]; None: the one-hot codes of all S states.
        Returns:
            logits, [R, N, A] (N = S without rows).
        """
        if self.hidden_sizes is not None:
            from agents.differentiable import network  # loads torch, which compiled training does without

            return network(theta, self.widths, rows)
        (table,) = self.split(theta)
        return table if rows is None else rows @ table

    def initial(
        self, numbers: Array, initialization: Initialization, initial_policy: Sequence[float] | None
    ) -> Array:
        """One run's initial parameters, [P], from the run's own random numbers.

        Args:
            numbers: one per parameter, [P]; standard normal for "orthogonal", else uniform in [0, 1).
            initialization: of the hidden and output layers of an MLP; a table starts uniform.
                "orthogonal": gain sqrt 2, output layer 0.01, biases 0 (Andrychowicz et al., *What Matters
                In On-Policy Reinforcement Learning?* (2020)). "torch": torch's default, U(+-1/sqrt fan_in)
                for weights and biases. "small_uniform": first layer U(+-1/sqrt 3), others
                U(+-1/sqrt fan_in), output a tenth of that, biases 0.
            initial_policy: action probabilities in every state, [A], all positive; None: as initialized.
        """
        theta = np.array(numbers)
        *pieces, unused = np.split(theta, np.cumsum([math.prod(shape) for shape in self.shapes]))
        layers = [piece.reshape(shape) for piece, shape in zip(pieces, self.shapes, strict=True)]  # views
        unused[:] = 0
        if self.hidden_sizes is None:
            layers[0][:] = 0
        else:
            _initialize(layers, initialization)
        if initial_policy is not None:
            if self.hidden_sizes is not None:
                layers[-2][:] = 0  # only the bias acts: the same policy in every state
            layers[-1][:] = np.log(initial_policy)
        return theta


def _initialize(layers: Sequence[Array], how: Initialization) -> None:
    """Turn random numbers into weights and biases, in place."""
    weights, biases = layers[::2], layers[1::2]
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        first, last = index == 0, index == len(weights) - 1
        bound = 1 / math.sqrt(len(weight))
        if how == "orthogonal":
            weight[:] = (0.01 if last else math.sqrt(2)) * orthogonal(weight)
            bias[:] = 0
        elif how == "torch":
            weight[:], bias[:] = bound * (2 * weight - 1), bound * (2 * bias - 1)
        else:
            bound = (1 / math.sqrt(3) if first else bound) / (10 if last else 1)
            weight[:], bias[:] = bound * (2 * weight - 1), 0


def orthogonal(normals: Array) -> Array:
    """A random orthogonal matrix made from standard normal numbers: its rows or its columns, whichever are fewer,
    have length 1. It is uniformly distributed, because the signs make the factorisation unique (Mezzadri, *How to
    Generate Random Matrices from the Classical Compact Groups* (2007))."""
    if len(normals) < len(normals.T):
        return orthogonal(normals.T).T
    q, r = np.linalg.qr(normals)
    return np.asarray(q * np.sign(np.diag(r)))


class Policies(NamedTuple):
    """R policies of one shape, as plain arrays that training changes in place."""

    shape: PolicyShape
    theta: NDArray[Any]  # [R, P]

    def log_pi(self) -> Array:
        """Log-probabilities of all states in double precision, [R, S, A]."""
        shape, theta = self.shape, self.theta
        logits = np.empty((len(theta), shape.inputs, shape.actions), theta.dtype)
        if shape.hidden_sizes is None:
            logits[:] = shape.split(theta)[0]
        else:
            identity = np.empty((len(theta), shape.inputs, 0), theta.dtype)
            hidden = np.empty((len(theta), shape.inputs * sum(shape.hidden_sizes)), theta.dtype)
            forward_all(theta, np.array(shape.widths), identity, hidden, logits)
        below = logits.astype(np.float64) - logits.max(-1, keepdims=True)
        return below - np.log(np.exp(below).sum(-1, keepdims=True))
