"""The numbers of the text, by hand, and what becomes of the mean log likelihood ratio."""

import math

import pytest

from experiments.analysis.text_numbers import Number, likelihood_ratios, numbers

A, B = (0.9, 0.05, 0.025, 0.025), (0.3, 0.2, 0.25, 0.25)


def sum_of(p: tuple[float, ...], q: tuple[float, ...]) -> float:
    return math.fsum(x * math.log(x / y) for x, y in zip(p, q, strict=True))


def test_every_number_is_what_its_formula_says() -> None:
    """In the order of the text."""
    uniform = (0.25,) * 4
    nats_a, nats_b = math.log(4) - sum_of(A, uniform), math.log(4) - sum_of(B, uniform)
    by_hand = [
        -math.log2(0.99),
        math.log2(100),
        -0.99 * math.log2(0.99) + 0.01 * math.log2(100),
        1.0,
        nats_a / math.log(2),
        nats_a,
        math.exp(nats_a),
        nats_b / math.log(2),
        nats_b,
        nats_b / nats_a,
        -math.log(0.75),
        -math.log2(0.75),
        sum_of(A, B),
        sum_of(B, A),
        math.log(4) - nats_a,
    ]
    assert [number.exact for number in numbers()] == pytest.approx(by_hand, abs=1e-12)


def test_what_the_text_prints_is_the_number_rounded_or_cut_off() -> None:
    found = numbers()
    assert all(number.agrees for number in found)
    printed = [n for n in found if n.printed and n.printed[0].isdigit()]
    assert len(printed) == 7
    for number in printed:
        decimals = len(number.printed.partition(".")[2])
        rounded = f"{number.exact:.{decimals}f}"
        assert (rounded != number.printed) == ("cut off" in number.remark)


@pytest.mark.parametrize("printed", ["0.60", "0.63", "0.6", "1"])
def test_a_wrong_number_is_called_wrong(printed: str) -> None:
    """The exact one is .618996; 0.6 is it cut off, and right, 1 is it rounded."""
    number = Number("entropy", printed, 0.618996, "bits", "")
    assert number.agrees == (printed in ("0.6", "1"))


def test_the_mean_log_likelihood_ratio_converges_to_the_divergence_in_both_directions() -> None:
    found = likelihood_ratios(most=100_000)
    assert [ratio.divergence for ratio in found] == pytest.approx([sum_of(A, B), sum_of(B, A)], abs=1e-12)
    assert found[0].divergence != pytest.approx(found[1].divergence, abs=0.1)
    for ratio in found:
        assert ratio.samples == [10, 100, 1000, 10_000, 100_000]
        assert abs(ratio.z) < 3.29  # 99.9 %
        # the error falls like 1 / sqrt(n): at the last size to below a tenth of what a hundred samples allow
        spread = 1.5  # an upper bound on the deviation of the log ratio of these two policies
        for n, mean in zip(ratio.samples, ratio.means, strict=True):
            assert abs(mean - ratio.divergence) < 3.89 * spread / math.sqrt(n)  # 99.99 %


def test_a_likelihood_ratio_is_no_probability() -> None:
    assert max(p / q for p, q in zip(A, B, strict=True)) == pytest.approx(3.0)
