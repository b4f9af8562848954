"""A policy as a plain torch module, for programs that know nothing of this one.

D: width of an observation, A: actions.
"""

import torch
from torch import Tensor, nn

from agents.policy import PolicyShape
from experiments.training.simulated.observations import CLIP


class Normalization(nn.Module):
    """clip((row - mean) / deviation, -10, 10), in the precision of the layers after it."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.register_buffer("mean", mean.clone())
        self.register_buffer("deviation", deviation.clone())

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [..., D] of observations as rows that the policy was trained on."""
        return ((rows - self.mean) / self.deviation).clip(-CLIP, CLIP).to(self.dtype)


def torch_module(shape: PolicyShape, theta: Tensor, moments: tuple[Tensor, Tensor] | None) -> nn.Sequential:
    """Linear layers with tanh between them; of a table, one linear layer without a bias.

    Args:
        shape: of the policy.
        theta: its parameters, [1, P]; the module has copies.
        moments: mean and deviation of the observations, [D] each; None: they are not normalised.
    """
    layers = [layer[0] for layer in shape.split(theta)]
    weights, biases = (layers, [None]) if shape.hidden_sizes is None else (layers[::2], layers[1::2])
    found: list[nn.Module] = [] if moments is None else [Normalization(*moments, theta.dtype)]
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        inputs, outputs = weight.shape
        with torch.device("meta"):  # its own first parameters would take random numbers
            linear = nn.Linear(inputs, outputs, bias=bias is not None)
        linear.weight = nn.Parameter(weight.T.clone(memory_format=torch.contiguous_format))
        if bias is not None:
            linear.bias = nn.Parameter(bias.clone())
        found += [nn.Tanh(), linear] if number else [linear]
    return nn.Sequential(*found)
