"""Information measures: the numbers of the text, the identities, the conventions at 0, the refusals."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.information import (
    cross_entropy,
    effective_actions,
    entropy,
    entropy_from_log,
    entropy_of_weights,
    information,
    kl_divergence,
)

LN_2 = math.log(2)
SURE_POLICY = (0.9, 0.05, 0.025, 0.025)
UNSURE_POLICY = (0.3, 0.2, 0.25, 0.25)
ONE_HOT_2 = (0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
SEEN_AS_2 = (0.01, 0.02, 0.75, 0.05, 0.02, 0.1, 0.001, 0.02, 0.009, 0.02)


def row(*p: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(p, dtype=dtype)


# --- the text's numbers: the arithmetic as it stands there, and the value to six decimals ---

ENTROPY_OF_SURE = -(0.9 * math.log(0.9) + 0.05 * math.log(0.05) + 2 * 0.025 * math.log(0.025))
ENTROPY_OF_UNSURE = -(0.3 * math.log(0.3) + 0.2 * math.log(0.2) + 2 * 0.25 * math.log(0.25))
KL_SURE_UNSURE = 0.9 * math.log(0.9 / 0.3) + 0.05 * math.log(0.05 / 0.2) + 2 * 0.025 * math.log(0.025 / 0.25)
KL_UNSURE_SURE = 0.3 * math.log(0.3 / 0.9) + 0.2 * math.log(0.2 / 0.05) + 2 * 0.25 * math.log(0.25 / 0.025)


@pytest.mark.parametrize(
    ("measured", "arithmetic", "six_decimals"),
    [
        (lambda d: information(row(0.99, dtype=d), "bits"), -math.log2(0.99), 0.014500),
        (lambda d: information(row(0.01, dtype=d), "bits"), -math.log2(0.01), 6.643856),
        (
            lambda d: entropy(row(0.99, 0.01, dtype=d), "bits"),
            -(0.99 * math.log2(0.99) + 0.01 * math.log2(0.01)),
            0.080793,
        ),
        (lambda d: entropy(row(0.5, 0.5, dtype=d), "bits"), 1.0, 1.0),
        (lambda d: entropy(row(*SURE_POLICY, dtype=d), "bits"), ENTROPY_OF_SURE / LN_2, 0.618996),
        (lambda d: entropy(row(*SURE_POLICY, dtype=d)), ENTROPY_OF_SURE, 0.429055),
        (lambda d: effective_actions(row(*SURE_POLICY, dtype=d)), math.exp(ENTROPY_OF_SURE), 1.535806),
        (lambda d: entropy(row(*UNSURE_POLICY, dtype=d), "bits"), ENTROPY_OF_UNSURE / LN_2, 1.985475),
        (lambda d: entropy(row(*UNSURE_POLICY, dtype=d)), ENTROPY_OF_UNSURE, 1.376227),
        (
            lambda d: cross_entropy(row(*ONE_HOT_2, dtype=d), row(*SEEN_AS_2, dtype=d)),
            -math.log(0.75),
            0.287682,
        ),
        (
            lambda d: cross_entropy(row(*ONE_HOT_2, dtype=d), row(*SEEN_AS_2, dtype=d), "bits"),
            -math.log2(0.75),
            0.415037,
        ),
        (
            lambda d: kl_divergence(row(*SURE_POLICY, dtype=d), row(*UNSURE_POLICY, dtype=d)),
            KL_SURE_UNSURE,
            0.804307,
        ),
        (
            lambda d: kl_divergence(row(*UNSURE_POLICY, dtype=d), row(*SURE_POLICY, dtype=d)),
            KL_UNSURE_SURE,
            1.098968,
        ),
        (
            lambda d: kl_divergence(row(*SURE_POLICY, dtype=d), torch.full((4,), 0.25, dtype=d)),
            math.log(4) - ENTROPY_OF_SURE,
            0.957239,
        ),
    ],
)
@pytest.mark.parametrize(("dtype", "precision"), [(torch.float64, 1e-14), (torch.float32, 2e-6)])
def test_every_number_of_the_text(
    measured: Callable[[torch.dtype], Tensor],
    arithmetic: float,
    six_decimals: float,
    dtype: torch.dtype,
    precision: float,
) -> None:
    value = measured(dtype)
    assert value.dtype == dtype
    assert value.item() == pytest.approx(arithmetic, rel=precision, abs=precision)
    assert arithmetic == pytest.approx(six_decimals, abs=5e-7)


def test_the_text_truncates_where_it_prints_other_digits() -> None:
    for printed, digits, exact in [
        (0.0144, 4, -math.log2(0.99)),
        (6.64, 2, -math.log2(0.01)),
        (0.08, 2, float(entropy(row(0.99, 0.01), "bits"))),
        (0.61, 2, ENTROPY_OF_SURE / LN_2),
        (1.98, 2, ENTROPY_OF_UNSURE / LN_2),
        (0.287, 3, -math.log(0.75)),
    ]:
        assert math.floor(exact * 10**digits) == round(printed * 10**digits)
    # "Almost three times": it is more.
    ratio = ENTROPY_OF_UNSURE / ENTROPY_OF_SURE
    assert ratio == pytest.approx(3.2076, abs=5e-5)


# --- identities, for any distributions, zeros included ---


def distributions(actions: int) -> st.SearchStrategy[Tensor]:
    """Points of the simplex, corners and edges among them."""
    weights = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=actions, max_size=actions)
    return weights.filter(lambda w: sum(w) > 1e-3).map(lambda w: torch.tensor(w, dtype=torch.float64) / sum(w))


def together(number: int) -> st.SearchStrategy[tuple[Tensor, ...]]:
    """So many distributions over the same outcomes."""
    return st.integers(1, 6).flatmap(lambda actions: st.tuples(*[distributions(actions)] * number))


laws = settings(deadline=None, max_examples=60)


def close(measured: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(measured, expected, rtol=1e-12, atol=1e-12)


@laws
@given(together(2))
def test_cross_entropy_is_entropy_plus_kl_divergence(pq: tuple[Tensor, Tensor]) -> None:
    p, q = pq
    close(cross_entropy(p, q), entropy(p) + kl_divergence(p, q))


@laws
@given(together(2))
def test_kl_divergence_is_zero_for_equals_and_positive_otherwise(pq: tuple[Tensor, Tensor]) -> None:
    p, q = pq
    assert kl_divergence(p, p).item() == 0
    # Pinsker's inequality (Cover and Thomas, lemma 11.6.1): at least half the squared L1 distance.
    distance = float((p - q).abs().sum())
    assert kl_divergence(p, q).item() >= max(0.0, 0.5 * distance**2 - 1e-12)


@laws
@given(together(1))
def test_entropy_lies_between_zero_and_log_of_the_actions(one: tuple[Tensor]) -> None:
    (p,) = one
    actions = p.shape[-1]
    assert 0 <= entropy(p).item() <= math.log(actions) + 1e-12
    assert 1 <= effective_actions(p).item() <= actions * (1 + 1e-12)
    close(kl_divergence(p, torch.full_like(p, 1 / actions)), math.log(actions) - entropy(p))


@laws
@given(together(2))
def test_a_bit_is_ln_2_nats(pq: tuple[Tensor, Tensor]) -> None:
    p, q = pq
    close(information(p, "bits") * LN_2, information(p))
    close(entropy(p, "bits") * LN_2, entropy(p))
    close(cross_entropy(p, q, "bits") * LN_2, cross_entropy(p, q))
    close(kl_divergence(p, q, "bits") * LN_2, kl_divergence(p, q))


@laws
@given(together(1))
def test_entropy_is_the_expected_information(one: tuple[Tensor]) -> None:
    (p,) = one
    possible = p > 0
    close(entropy(p), (p[possible] * information(p[possible])).sum())


@laws
@given(together(2), st.floats(0, 1))
def test_entropy_is_concave(pq: tuple[Tensor, Tensor], share: float) -> None:
    """Mixing two policies gives at least the mixture of their entropies: it cannot make more sure."""
    p, q = pq
    mixture = share * p + (1 - share) * q
    assert entropy(mixture).item() >= (share * entropy(p) + (1 - share) * entropy(q)).item() - 1e-12


@laws
@given(st.integers(2, 6).flatmap(lambda a: st.lists(st.floats(-30, 30), min_size=a, max_size=a)))
def test_entropy_from_log_probabilities_is_the_same_entropy(logits: list[float]) -> None:
    log_pi = torch.log_softmax(torch.tensor(logits, dtype=torch.float64), -1)
    close(entropy_from_log(log_pi), entropy(log_pi.exp()))


@laws
@given(together(2))
def test_cross_entropy_is_least_at_the_truth(pq: tuple[Tensor, Tensor]) -> None:
    """So minimising it in q is minimising the KL divergence."""
    p, q = pq
    assert cross_entropy(p, q).item() >= cross_entropy(p, p).item() - 1e-12
    close(cross_entropy(p, p), entropy(p))


def test_kl_divergence_is_not_symmetric() -> None:
    a, b = row(*SURE_POLICY), row(*UNSURE_POLICY)
    assert (kl_divergence(b, a) - kl_divergence(a, b)).item() == pytest.approx(1.098968 - 0.804307, abs=1e-6)


def test_kl_divergence_breaks_the_triangle_inequality() -> None:
    p, q, r = row(0.9, 0.1), row(0.5, 0.5), row(0.1, 0.9)
    direct, by_way_of_q = kl_divergence(p, r), kl_divergence(p, q) + kl_divergence(q, r)
    # 0.8 ln 9 against 0.9 ln 1.8 + 0.1 ln 0.2 + 0.5 ln(5) + 0.5 ln(5/9)
    assert direct.item() == pytest.approx(0.8 * math.log(9))
    assert by_way_of_q.item() == pytest.approx(
        0.9 * math.log(1.8) + 0.1 * math.log(0.2) + 0.5 * math.log(5) + 0.5 * math.log(5 / 9)
    )
    assert direct > by_way_of_q


# --- at the boundary ---


def test_a_probability_of_zero_adds_nothing() -> None:
    assert entropy(row(1, 0, 0)).item() == 0
    assert entropy(row(0.5, 0.5, 0), "bits").item() == 1
    assert kl_divergence(row(0, 1), row(0.5, 0.5), "bits").item() == 1
    assert kl_divergence(row(0, 1), row(0, 1)).item() == 0
    assert cross_entropy(row(0, 1), row(0, 1)).item() == 0


def test_what_was_thought_impossible_surprises_without_bound() -> None:
    assert information(row(0.0)).item() == math.inf
    assert kl_divergence(row(0.5, 0.5), row(1, 0)).item() == math.inf
    assert cross_entropy(row(0.5, 0.5), row(1, 0), "bits").item() == math.inf


def test_a_certain_event_carries_plus_zero() -> None:
    """Printed, a negative zero looks like a mistake."""
    for zero in (information(row(1.0)), cross_entropy(row(0, 1), row(0, 1)), entropy(row(1, 0))):
        assert math.copysign(1, zero.item()) == 1


# --- shapes and types ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_leading_axes_are_kept_and_rows_are_independent(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.softmax(torch.randn(2, 3, 4, generator=generator, dtype=dtype), -1)
    q = torch.softmax(torch.randn(3, 4, generator=generator, dtype=dtype), -1)  # broadcast against p
    assert entropy(p).shape == effective_actions(p).shape == (2, 3)
    assert information(p).shape == p.shape
    assert cross_entropy(p, q).shape == kl_divergence(p, q).shape == (2, 3)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(entropy(p)[i, j], entropy(p[i, j]))
            torch.testing.assert_close(entropy_from_log(p.log())[i, j], entropy(p[i, j]))
            torch.testing.assert_close(cross_entropy(p, q)[i, j], cross_entropy(p[i, j], q[j]))
            torch.testing.assert_close(kl_divergence(p, q)[i, j], kl_divergence(p[i, j], q[j]))


def test_no_rows_give_no_numbers() -> None:
    assert entropy(torch.zeros(0, 4)).shape == (0,)


# --- refusals ---

NO_DISTRIBUTIONS = [
    (row(0.5, 0.6), "must sum to 1"),
    (row(0.5, 0.4), "must sum to 1"),
    (row(1.5, -0.5), r"must lie in \[0, 1\]"),
    (row(math.nan, 0.5), r"must lie in \[0, 1\]"),
    (torch.tensor(1.0), "no last axis"),
    (torch.zeros(3, 0), "no last axis"),
    (torch.tensor([1, 0]), "floating-point"),
    (torch.tensor([[0.5, 0.5], [0.5, 0.4]]), "must sum to 1"),
    (row(0.5, 0.5 + 1e-6), "must sum to 1"),  # in double precision
    (row(1.5), r"must lie in \[0, 1\]"),
]


@pytest.mark.parametrize(("p", "reason"), NO_DISTRIBUTIONS)
def test_what_is_no_distribution_is_refused(p: Tensor, reason: str) -> None:
    good = row(0.5, 0.5)
    for measure in (entropy, effective_actions):
        with pytest.raises(ValueError, match=f"^entropy: p .*{reason}"):
            measure(p)
    for compared in (cross_entropy, kl_divergence):
        with pytest.raises(ValueError, match=f"{compared.__name__}: p .*{reason}"):
            compared(p, good)
        with pytest.raises(ValueError, match=f"{compared.__name__}: q .*{reason}"):
            compared(good, p)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_information_of_what_is_no_probability_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match=r"^information: every probability must lie in \[0, 1\]$"):
        information(row(p))


def test_an_unknown_base_is_refused() -> None:
    good = row(0.5, 0.5)
    with pytest.raises(ValueError, match='"nats" or "bits"'):
        information(good, "bans")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='"nats" or "bits"'):
        entropy(good, "bans")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='"nats" or "bits"'):
        kl_divergence(good, good, "bans")  # type: ignore[arg-type]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=64))
def test_a_softmax_is_a_distribution_in_either_precision(logits: list[float]) -> None:
    for dtype in (torch.float32, torch.float64):
        assert math.isfinite(entropy(torch.softmax(torch.tensor(logits, dtype=dtype), -1)).item())


# --- a likelihood ratio is not a probability: its logarithm's mean is the KL divergence ---


@pytest.mark.parametrize("direction", ["sure -> unsure", "unsure -> sure"])
def test_the_mean_log_likelihood_ratio_converges_to_the_kl_divergence(direction: str) -> None:
    p, q = row(*SURE_POLICY), row(*UNSURE_POLICY)
    if direction == "unsure -> sure":
        p, q = q, p
    ratio = (p / q).log()
    divergence = kl_divergence(p, q).item()
    deviation = (p * (ratio - divergence) ** 2).sum().sqrt().item()
    draws = ratio[np.random.default_rng(0).choice(4, size=100_000, p=p.numpy())].numpy()
    for samples in (100, 1_000, 10_000, 100_000):
        error = abs(draws[:samples].mean() - divergence)
        assert error < 3.29 * deviation / math.sqrt(samples)  # 99.9 %, two-sided normal
    # The other direction's value is far outside: the sample tells the two apart.
    other = kl_divergence(q, p).item()
    assert abs(draws.mean() - other) > 3.29 * deviation / math.sqrt(len(draws))


@laws
@given(together(2))
def test_the_kl_divergence_is_the_expected_log_likelihood_ratio(pq: tuple[Tensor, Tensor]) -> None:
    p, q = pq
    assume(bool((q[p > 0] > 0).all()))
    possible = p > 0
    ratio = p[possible].log() - q[possible].log()
    close(kl_divergence(p, q), (p[possible] * ratio).sum())


# --- what it takes ---

SINGLE = [entropy, effective_actions, lambda p: entropy(p, "bits"), lambda p: cross_entropy(p, UNSURE_POLICY)]
SINGLE += [lambda p: kl_divergence(p, UNSURE_POLICY), lambda p: entropy_of_weights(p)]


@pytest.mark.parametrize("measure", SINGLE)
def test_lists_arrays_and_tensors_give_the_same_numbers(measure: Callable[[object], float]) -> None:
    plain, array = measure(list(SURE_POLICY)), measure(np.array(SURE_POLICY))
    assert type(plain) is type(array) is float  # a single distribution has a single number
    assert plain == array == measure(SURE_POLICY)
    several = measure(np.tile(SURE_POLICY, (3, 2, 1)))
    assert isinstance(several, np.ndarray)
    np.testing.assert_array_equal(several, np.full((3, 2), plain))


@given(together(2))
def test_a_tensor_is_answered_with_a_tensor_of_the_same_numbers(pq: tuple[Tensor, Tensor]) -> None:
    p, q = pq
    for measure in (cross_entropy, kl_divergence):
        tensor = measure(p, q)
        assert isinstance(tensor, Tensor)
        np.testing.assert_allclose(tensor.numpy(), measure(p.numpy(), q.numpy()), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(entropy(p).numpy(), entropy(p.numpy()), rtol=1e-12, atol=1e-14)


def test_the_entropy_of_a_tensor_is_differentiable_where_a_probability_is_zero() -> None:
    p = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(entropy(p), [p])
    np.testing.assert_allclose(gradient[:2], [math.log(2) - 1] * 2, atol=1e-12)  # -(log p + 1)


def test_whole_numbers_in_a_list_are_probabilities() -> None:
    assert entropy([0, 1, 0]) == 0.0
    assert kl_divergence([1, 0], [0.5, 0.5], "bits") == pytest.approx(1.0, rel=1e-15)


def test_nothing_counted_has_no_entropy_and_the_total_does_not_matter() -> None:
    found = entropy_of_weights([[0, 0, 0], [3, 3, 0], [0.1, 0.1, 0]], "bits")
    np.testing.assert_allclose(found, [0, 1, 1], rtol=0, atol=1e-15)


def test_words_are_no_probabilities() -> None:
    with pytest.raises(ValueError, match="must hold numbers"):
        entropy(["a", "b"])


def test_torch_is_not_imported() -> None:
    code = (
        "import sys; from agents.information import entropy; entropy([.5, .5]); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
