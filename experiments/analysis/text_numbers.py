"""The numbers of the text that this project is built on: as it printed them, and exactly.

A blog post introduces information, entropy, cross entropy and the Kullback-Leibler divergence with a biased coin,
two policies over four actions and a picture of a digit. It prints some of the results, truncated after a few
digits.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.information import cross_entropy, effective_actions, entropy, information, kl_divergence

COIN = (0.99, 0.01)
FAIR_COIN = (0.5, 0.5)
CONFIDENT = (0.9, 0.05, 0.025, 0.025)  # a policy that has almost settled
UNDECIDED = (0.3, 0.2, 0.25, 0.25)
DIGIT = (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # it is a two
CLASSIFIER = (0.01, 0.02, 0.75, 0.05, 0.02, 0.1, 0.001, 0.02, 0.009, 0.02)


class Number(NamedTuple):
    """A quantity of the text."""

    quantity: str
    printed: str  # as in the text; "": not printed there
    exact: float
    unit: str
    remark: str

    @property
    def agrees(self) -> bool:
        """Whether the printed number is the exact one, rounded or truncated at its last digit; words always
        agree."""
        try:
            printed = float(self.printed)
        except ValueError:
            return True
        digit = 10.0 ** -len(self.printed.partition(".")[2])
        return -digit / 2 <= self.exact - printed < digit


def numbers() -> list[Number]:
    """Every quantity of the text, from the project's own functions."""
    ratio = entropy(UNDECIDED) / entropy(CONFIDENT)
    return [
        Number("information of heads, p = 0.99", "0.0144", information(COIN, "bits")[0], "bits", "cut off"),
        Number("information of tails, p = 0.01", "6.64", information(COIN, "bits")[1], "bits", ""),
        Number("entropy of that coin", "0.08", entropy(COIN, "bits"), "bits", ""),
        Number("entropy of a fair coin", "1", entropy(FAIR_COIN, "bits"), "bits", ""),
        Number(
            "entropy of a = (.9, .05, .025, .025)",
            "0.61",
            entropy(CONFIDENT, "bits"),
            "bits",
            "cut off; the minus sign of the sum is missing",
        ),
        Number("  the same in nats", "", entropy(CONFIDENT), "nats", "what the loss adds up"),
        Number("  effective actions, exp(H)", "", effective_actions(CONFIDENT), "of 4", ""),
        Number("entropy of b = (.3, .2, .25, .25)", "1.98", entropy(UNDECIDED, "bits"), "bits", "cut off"),
        Number("  the same in nats", "", entropy(UNDECIDED), "nats", ""),
        Number("H(b) / H(a)", "almost three times", ratio, "", "more than three times"),
        Number(
            "cross entropy of a one-hot 2 and the classifier",
            "0.287",
            cross_entropy(DIGIT, CLASSIFIER),
            "nats",
            "cut off; nats here, bits above, and neither is named",
        ),
        Number("  the same in bits", "", cross_entropy(DIGIT, CLASSIFIER, "bits"), "bits", ""),
        Number("KL(a || b)", "", kl_divergence(CONFIDENT, UNDECIDED), "nats", "not symmetric:"),
        Number("KL(b || a)", "", kl_divergence(UNDECIDED, CONFIDENT), "nats", "so no distance"),
        Number("KL(a || uniform) = ln 4 - H(a)", "", kl_divergence(CONFIDENT, [1 / 4] * 4), "nats", ""),
    ]


class RatioMean(NamedTuple):
    """Means of the log-likelihood ratio of samples, and the divergence to which they converge."""

    quantity: str
    divergence: float  # nats
    samples: list[int]
    means: list[float]
    z: float  # of the last mean


def likelihood_ratios(most: int = 1_000_000, seed: int = 0) -> list[RatioMean]:
    """The mean of log p(x) / q(x) over samples x from p, for growing numbers of samples, in both directions.

    It converges to KL(p || q): the divergence is the expected log-likelihood ratio. (The text calls the ratio
    p(x) / q(x) a probability. It is not: it exceeds 1 wherever p is larger.)
    """
    sizes = [10**power for power in range(1, round(math.log10(most)) + 1)]
    rng = np.random.default_rng(seed)
    found = []
    for quantity, p, q in (("KL(a || b)", CONFIDENT, UNDECIDED), ("KL(b || a)", UNDECIDED, CONFIDENT)):
        ratio: NDArray[np.float64] = np.log(p) - np.log(q)
        drawn = ratio[rng.choice(len(p), size=sizes[-1], p=p)]
        divergence = kl_divergence(p, q)
        means = [float(drawn[:n].mean()) for n in sizes]
        z = (means[-1] - divergence) / (float(drawn.std()) / math.sqrt(sizes[-1]))
        found.append(RatioMean(quantity, divergence, sizes, means, z))
    return found
